"""How long a hover over a key of `pygent.toml` takes, and a completion, alone and while tasks stream.

python -m benchmarks.hover [--streams 50] [--count 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.programs import SERVER, Editor
from benchmarks.scale import model, percentile, script

TEXT = """\
# Settings of the project.
model = "gpt-4.1-mini"
max_tasks = 100
banned_apps = ["curl", "wget"]

[limits]
steps = 40

[[task_personas]]
name = "tester"
description = "runs tests"
"""
ASKED = {"hover": (1, 2), "completion": (6, 0)}
"""Line and character: within a key, and where one may stand."""
PAUSE = 0.005
"""Seconds between two requests, as a person never asks without a pause."""


async def answered(editor: Editor, uri: str, kind: str, count: int) -> list[float]:
    """Milliseconds of each answer, one after the other."""
    line, character = ASKED[kind]
    place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
    times = []
    for _ in range(count):
        began = time.perf_counter()
        assert await editor.request(f"textDocument/{kind}", place)
        times.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(PAUSE)
    return times


async def measured(editor: Editor, uri: str, when: str, count: int) -> None:
    """Print a row for each kind of request."""
    for kind in ASKED:
        cpu, began = editor.cpu(), time.perf_counter()
        times = await answered(editor, uri, kind, count)
        share = (editor.cpu() - cpu) / (time.perf_counter() - began)
        figures = (percentile(times, 0.5), percentile(times, 0.99), max(times))
        print(f"| {kind}, {when} | {' | '.join(f'{one:.1f}' for one in figures)} | {share:.0%} |", flush=True)


async def crowd(editor: Editor, streams: int) -> list[str]:
    """Start tasks that stream, and wait until all of them run."""
    session = (await editor.command("pygent.session.new"))["session"]["id"]
    made = []
    for number in range(streams):
        given: Any = await editor.command("pygent.delegate", prompt=f"stream {number}", sessionId=session)
        made.append(given["task"]["id"])
    while len((await editor.command("pygent.tasks", status="running"))["tasks"]) < streams:
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    return made


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hover", description=__doc__)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pygent-hover-"))
    place = root / "project"
    place.mkdir()
    try:
        async with model(root, script()) as url:
            editor = await Editor.start(SERVER, place, url)
            await editor.initialize(place, max_tasks=given.streams)
            editor.tell("initialized")
            uri = (place / "pygent.toml").as_uri()
            document = {"uri": uri, "languageId": "toml", "version": 1, "text": TEXT}
            editor.tell("textDocument/didOpen", {"textDocument": document})
            await answered(editor, uri, "hover", 20)
            print("| request | median ms | p99 ms | worst ms | server, of a processor |")
            print("| --- | --- | --- | --- | --- |")
            await measured(editor, uri, "alone", given.count)
            made = await crowd(editor, given.streams)
            await measured(editor, uri, f"{given.streams} tasks stream", given.count)
            for one in made:
                await editor.command("pygent.task.cancel", taskId=one)
            await editor.leave()
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
