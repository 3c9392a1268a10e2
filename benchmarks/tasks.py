"""Delegated tasks of twenty steps against the ideal: one bare conversation, however many there are.

python -m benchmarks.tasks [--pause 0.05] [--rounds 3] [3 100 200]

The model answers each step in five pieces, `--pause` seconds apart, so that the ideal is what a single bare loop
takes: all tasks run at once and wait for the same model.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.programs import SERVER, Editor, bare, run
from benchmarks.scale import model
from pygent.replay import Reply, Script, ScriptedCall

STEPS = 20


def work(pause: float) -> Script:
    """Twenty steps, each of some words and one file to read, and a last answer."""
    read = ScriptedCall(name="read_file", arguments={"path": "file-{{step}}.txt"}, id="call{{step}}")
    text = "Reading. "
    step = Reply(text=text, fragment=3, delay=pause, tool_calls=[read], times=STEPS)
    return Script(replies=[step, Reply(text=text, fragment=3, delay=pause)])


def project(root: Path, name: str) -> Path:
    """A folder with a file for each step."""
    place = root / name / "project"
    place.mkdir(parents=True)
    for number in range(1, STEPS + 2):
        (place / f"file-{number}.txt").write_text(f"line one of {number}\nline two\n" * 5)
    return place


async def pygent(place: Path, url: str, count: int) -> tuple[float, float]:
    """Seconds from the first command to the end of the last task, and peak memory in MB of each."""
    editor = await Editor.start(SERVER, place, url)
    await editor.initialize(place, max_tasks=count)
    editor.tell("initialized")
    await editor.command("pygent.tools")
    await editor.command("pygent.chat", text="warm up")
    before, began = editor.status("VmRSS"), time.perf_counter()
    made = [(await editor.command("pygent.delegate", prompt=f"task {n}"))["task"]["id"] for n in range(count)]
    ended = (await editor.command("pygent.task.wait", taskIds=made, timeout=3600))["tasks"]
    wall = time.perf_counter() - began
    if failed := [task for task in ended if task["status"] != "completed" or task["steps"] != STEPS + 1]:
        raise RuntimeError(str(failed[0]))
    memory = (editor.status("VmHWM") - before) / 1024 / count
    await editor.leave()
    return wall, memory


async def measure(root: Path, counts: list[int], pause: float, rounds: int) -> None:
    samples: dict[str, list[float]] = {}
    for number in range(rounds):
        for count in [1, *counts]:
            place = project(root, f"{number}-{count}")
            async with model(place.parent, work(pause)) as url:
                cost = await run(bare("httpx", url, "go", str(count)), place, "")
                samples.setdefault(f"bare {count}", []).append(cost.wall)
            if count > 1:
                place = project(root, f"{number}-{count}-pygent")
                async with model(place.parent, work(pause)) as url:
                    wall, memory = await pygent(place, url, count)
                samples.setdefault(f"pygent {count}", []).append(wall)
                samples.setdefault(f"memory {count}", []).append(memory)
    middle = {name: statistics.median(values) for name, values in samples.items()}
    print("| tasks | ideal, s | bare loops, s | Pygent, s | to the ideal | to bare loops | peak MB a task |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for count in counts:
        ideal, loops, ours = middle["bare 1"], middle[f"bare {count}"], middle[f"pygent {count}"]
        ratios = f"{ours / ideal:.2f} | {ours / loops:.2f}"
        print(
            f"| {count} | {ideal:.1f} | {loops:.1f} | {ours:.1f} | {ratios} | {middle[f'memory {count}']:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("counts", type=int, nargs="*", default=[3, 100, 200])
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pygent-tasks-"))
    try:
        asyncio.run(measure(root, given.counts, given.pause, given.rounds))
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
