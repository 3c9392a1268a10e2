"""What typing costs: a long document, many key presses, and answers in between.

python -m benchmarks.edits [--count 100000] [--lines 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.programs import SERVER, Editor

BARE = [sys.executable, "-m", "benchmarks.bare", "pygls"]


async def typed(argv: list[str], place: Path, count: int, lines: int) -> tuple[float, float, list[float]]:
    """MB that edits have cost, microseconds of CPU for each, and milliseconds of each answer in between."""
    editor = await Editor.start(argv, place, "http://127.0.0.1:9/v1")
    await editor.initialize(place)
    editor.tell("initialized")
    uri = (place / "long.txt").as_uri()
    text = "a line of the length that lines have\n" * lines
    document = {"uri": uri, "languageId": "text", "version": 0, "text": text}
    editor.tell("textDocument/didOpen", {"textDocument": document})
    times = []
    await answered(editor)
    for number in range(1000):
        await press(editor, uri, number, lines)
    await answered(editor)
    await settled(editor)
    before, cpu = editor.status("VmRSS"), editor.cpu()
    for number in range(count):
        await press(editor, uri, number, lines)
        if number % 1000 == 999:
            began = time.perf_counter()
            await answered(editor)
            times.append((time.perf_counter() - began) * 1e3)
    grown = (editor.status("VmRSS") - before) / 1024
    each = (editor.cpu() - cpu) / count * 1e6
    await editor.leave()
    return grown, each, times


async def settled(editor: Editor) -> None:
    """Wait until the imports after the handshake are done: no memory is added for a while."""
    seen, since = 0, time.perf_counter()
    while time.perf_counter() - since < 3:
        if (now := editor.status("VmRSS")) != seen:
            seen, since = now, time.perf_counter()
        await asyncio.sleep(0.2)


async def press(editor: Editor, uri: str, number: int, lines: int) -> None:
    """One key somewhere, and the next one takes it back, so that the text stays as long as it is."""
    place = {"line": number // 2 * 37 % lines, "character": 5}
    end = place if number % 2 == 0 else {**place, "character": 6}
    change = {"range": {"start": place, "end": end}, "text": "x" if number % 2 == 0 else ""}
    identity = {"uri": uri, "version": number + 1}
    editor.tell("textDocument/didChange", {"textDocument": identity, "contentChanges": [change]})
    if number % 100 == 0:
        await editor.drain()


async def answered(editor: Editor) -> None:
    """Wait until everything before is done; a request that any server answers."""
    try:
        await editor.request("no/such/method", {})
    except RuntimeError:
        return


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edits", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=5000)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pygent-edits-"))
    print("| server | MB grown | CPU for each edit, µs | 1,000 edits and an answer, median and worst ms |")
    print("| --- | --- | --- | --- |")
    try:
        servers: list[tuple[str, list[str], Any]] = [
            ("Pygent", SERVER, given.count),
            ("bare pygls", BARE, given.count // 50),
        ]
        for name, argv, count in servers:
            place = root / name.replace(" ", "-") / "project"
            place.mkdir(parents=True)
            grown, each, times = await typed(argv, place, count, given.lines)
            times.sort()
            shown = f"{times[len(times) // 2]:.0f}, {times[-1]:.0f}"
            print(f"| {name}, {count} edits | {grown:.1f} | {each:.0f} | {shown} |")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
