"""Very many tasks in one server: each is a record and a coroutine, no thread and little memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.lsp.wire import server

from pygent.replay import Fault, Match, ReplayServer, Reply, Script

RUNNING, QUEUED = 120, 480
THREADS, MEGABYTES = 12, 1.0
"""In all, and for each task."""


def status(pid: int, field: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{field}:")[1].split()[0])


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_hundreds_of_tasks_cost_no_thread_and_little_memory(workspace: Path) -> None:
    held = Reply(match=Match(first="wait"), text="Thinking", fault=Fault(no_done=True, stall=True))
    script = Script(replies=[held, Reply(text="Hello.")])
    config = {"max_tasks": RUNNING, "confirm_bash": False}
    async with ReplayServer(script) as model, server(workspace, base_url=model.base_url) as wire:
        await wire.initialize(workspace, trusted=True, config=config)
        await wire.command("pygent.chat", text="hello")  # what the first turn imports is not the tasks'
        memory = status(wire.process.pid, "VmRSS")
        prompts = [f"wait {n}" for n in range(RUNNING + QUEUED)]
        made = await asyncio.gather(
            *(wire.command("pygent.delegate", prompt=prompt, isolation="files") for prompt in prompts)
        )
        ids = [one["task"]["id"] for one in made]
        listed = (await wire.command("pygent.tasks"))["tasks"]
        states = [task["status"] for task in listed]
        assert (states.count("running"), states.count("queued")) == (RUNNING, QUEUED)
        places = {task["id"]: task["queuePlace"] for task in listed if task["status"] == "queued"}
        assert [places[one] for one in sorted(places)] == list(range(1, QUEUED + 1))
        while len(model.requests) < RUNNING + 1:
            await asyncio.sleep(0.05)
        assert status(wire.process.pid, "Threads") <= THREADS
        grown = (status(wire.process.pid, "VmRSS") - memory) / 1024
        assert grown / len(ids) <= MEGABYTES
        # Who is answered is answered, and room is given to the next in line.
        first, last = min(ids), max(ids)
        assert (await wire.command("pygent.task.cancel", taskId=first))["task"]["status"] == "cancelled"
        assert (await wire.command("pygent.task.get", taskId=min(places)))["task"]["status"] == "running"
        assert (await wire.command("pygent.task.get", taskId=last))["task"]["queuePlace"] == QUEUED - 1
        assert await wire.leave() == 0
    async with server(workspace) as wire:
        await wire.initialize(workspace, trusted=True, config=config)
        ended = (await wire.command("pygent.tasks"))["tasks"]
        assert {task["status"] for task in ended} == {"interrupted", "cancelled"}
