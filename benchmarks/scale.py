"""Many tasks in one server: what waits, what runs, and how quickly a person is answered meanwhile.

python -m benchmarks.scale [--streams 50] [--running 200] [--queued 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.programs import SERVER, Editor
from pygent.replay import Match, Reply, Script

INSPECTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pygent.tasks", {}),
    ("pygent.tasks", {"status": "running", "limit": 20}),
    ("pygent.task.get", {"taskId": ""}),
    ("pygent.task.log", {"taskId": "", "limit": 100}),
    ("pygent.session.list", {}),
    ("pygent.session.get", {"sessionId": ""}),
    ("pygent.session.events", {"sessionId": "", "limit": 100}),
    ("pygent.personas", {}),
    ("pygent.tools", {}),
    ("pygent.config.show", {}),
    ("pygent.approvals", {}),
    ("pygent.sandbox.status", {}),
)
"""Commands that only look; an empty id becomes that of a task, or of the session that delegated."""


def script() -> Script:
    """`stream` answers a word each 20 ms until it is told to end, `short` at once."""
    text = "word " * 100_000
    return Script(
        replies=[
            Reply(match=Match(first="stream"), text=text, fragment=5, delay=0.02),
            Reply(match=Match(first="hold"), text="a b", fragment=2, delay=3600),
            Reply(text="Done."),
        ]
    )


@contextlib.asynccontextmanager
async def model(place: Path, said: Script) -> AsyncIterator[str]:
    """A model server that says this, in a process of its own; its address."""
    path = place / "script.json"
    path.write_bytes(msgspec.json.encode(said))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pygent.replay", str(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["baseUrl"]
    finally:
        process.kill()
        await process.wait()


async def inspected(editor: Editor, ids: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each inspection, one after the other."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, fields in INSPECTIONS:
            arguments = {key: ids.get(key, "") if value == "" else value for key, value in fields.items()}
            began = time.perf_counter()
            await editor.command(name, **arguments)
            label = name + (" (20)" if fields.get("limit") == 20 else "")
            times.setdefault(label, []).append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.005)
    return times


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def crowd(place: Path, url: str, *, streams: int, running: int, queued: int) -> None:
    """One server with so many tasks; prints what they cost."""
    editor = await Editor.start(SERVER, place, url)
    await editor.initialize(place, max_tasks=running)
    editor.tell("initialized")
    session = (await editor.command("pygent.session.new"))["session"]["id"]
    await editor.command("pygent.chat", text="hello", sessionId=session)
    before, threads = editor.status("VmRSS"), editor.status("Threads")
    began = time.perf_counter()
    made = []
    for n in range(running + queued):
        kind = "stream" if n < streams else "hold"
        given = await editor.command("pygent.delegate", prompt=f"{kind} {n}", sessionId=session)
        made.append(given["task"]["id"])
    delegated = time.perf_counter() - began
    while len((await editor.command("pygent.tasks", status="running"))["tasks"]) < running:
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    label = f"{running} running ({streams} of them stream), {queued} queued"
    print(f"\n{label}: delegated in {delegated:.1f} s ({1e3 * delegated / len(made):.1f} ms each); ", end="")
    print(f"threads {threads} -> {editor.status('Threads')}; ", end="")
    print(f"memory {(editor.status('VmRSS') - before) / 1024 / len(made):.2f} MB a task")
    ids = {"taskId": made[0], "sessionId": session}
    cpu, began = editor.cpu(), time.perf_counter()
    times = await inspected(editor, ids, 40)
    share = (editor.cpu() - cpu) / (time.perf_counter() - began)
    print(f"| inspection (server at {share:.0%} of a processor) | median ms | p99 ms | worst ms |")
    print("| --- | --- | --- | --- |")
    everything = [value for values in times.values() for value in values]
    for name, values in [*times.items(), ("all", everything)]:
        line = (percentile(values, 0.5), percentile(values, 0.99), max(values))
        print(f"| `{name}` | {line[0]:.1f} | {line[1]:.1f} | {line[2]:.1f} |")
    began = time.perf_counter()
    for one in reversed(made):
        await editor.command("pygent.task.cancel", taskId=one)
    print(f"all cancelled in {time.perf_counter() - began:.1f} s")
    await editor.leave()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--running", type=int, default=200)
    parser.add_argument("--queued", type=int, default=1000)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pygent-scale-"))
    try:
        for number, (running, queued) in enumerate([(given.streams, 0), (given.running, given.queued)]):
            place = root / str(number) / "project"
            place.mkdir(parents=True)
            (place / "file.txt").write_text("one\ntwo\n")
            async with model(place.parent, script()) as url:
                await crowd(place, url, streams=given.streams, running=running, queued=queued)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
