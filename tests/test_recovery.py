"""What a killed process was doing goes on in the next: once, and from the last finished step."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, server
from tests.story import story

from pygent.events import ToolFinished, TurnFinished
from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall
from pygent.transcript import INTERRUPTED

pytestmark = pytest.mark.e2e
WORK = Match(first="work")
OPTIONS: dict[str, Any] = {"events": True, "trusted": True, "config": {"confirm_bash": False}}


def bash(cmd: str) -> Reply:
    return Reply(match=WORK, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": cmd})])


SCRIPT = Script(
    replies=[
        bash("echo one >> steps"),
        bash("echo two >> steps; sleep 600"),
        bash("echo three >> steps"),
        Reply(match=WORK, text="All three."),
    ]
)


async def ended(wire: Wire, task_id: str) -> dict[str, Any]:
    """The task once it has ended."""
    (task,) = (await wire.command("pygent.task.wait", taskIds=[task_id], timeout=60))["tasks"]
    return dict(task)


async def killed_in_the_middle(workspace: Path, url: str) -> str:
    """The id of a task whose server was killed while its second command ran."""
    async with server(workspace, base_url=url) as wire:
        await wire.initialize(workspace, **OPTIONS)
        task = (await wire.command("pygent.delegate", prompt="work"))["task"]
        steps = Path(task["workspace"]) / "steps"
        while not steps.exists() or steps.read_text() != "one\ntwo\n":
            await asyncio.sleep(0.05)
        os.kill(wire.process.pid, signal.SIGKILL)
        await wire.process.wait()
    return str(task["id"])


async def test_the_next_server_goes_on_after_the_last_finished_step(workspace: Path) -> None:
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            task = await ended(wire, task_id)
            assert task["status"] == "completed", task
            assert (Path(task["workspace"]) / "steps").read_text() == "one\ntwo\nthree\n"
            log = await wire.command("pygent.task.log", taskId=task_id)
        told = [message["content"] for message in model.requests[-1]["messages"] if message["role"] == "tool"]
        assert told[1] == INTERRUPTED
    kinds = [envelope["event"]["type"] for envelope in log["events"]]
    assert (kinds.count("turnStarted"), kinds.count("turnFinished")) == (1, 1)
    assert [envelope["seq"] for envelope in log["events"]] == list(range(1, len(kinds) + 1))


async def test_two_servers_that_start_together_take_a_task_up_once(workspace: Path) -> None:
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        asked = len(model.requests)
        async with (
            server(workspace, base_url=model.base_url) as one,
            server(workspace, base_url=model.base_url) as two,
        ):
            await asyncio.gather(*(wire.initialize(workspace, **OPTIONS) for wire in (one, two)))
            both = await asyncio.gather(ended(one, task_id), ended(two, task_id))
        assert [task["status"] for task in both] == ["completed", "completed"]
        assert len(model.requests) == asked + 2
        assert (Path(both[0]["workspace"]) / "steps").read_text() == "one\ntwo\nthree\n"


async def test_without_a_server_an_abandoned_task_is_seen_as_interrupted(
    workspace: Path, state: Path
) -> None:
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        async with story(workspace, state=state) as tale:
            assert tale.app.tasks.get(task_id).status == "interrupted"
            assert [task.id for task in tale.app.tasks.recorded(status="interrupted")] == [task_id]
            assert tale.app.tasks.recorded(status="running") == []
            (ended_here,) = await tale.app.tasks.wait([task_id], 5)
            assert ended_here.status == "interrupted"
            # Looking at it has not ended its turn: the next server still goes on.
            events = [e.event for e in tale.app.sessions.get(ended_here.session_id).events()]
            assert not [event for event in events if isinstance(event, TurnFinished)]
            assert len([event for event in events if isinstance(event, ToolFinished)]) == 1


async def test_a_task_is_left_to_the_server_of_its_own_folder(workspace: Path) -> None:
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        other = workspace.parent / "other"
        other.mkdir()
        async with server(other, base_url=model.base_url) as wire:
            await wire.initialize(other, **OPTIONS)
            assert (await ended(wire, task_id))["status"] == "interrupted"
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            assert (await ended(wire, task_id))["status"] == "completed"


@pytest.mark.parametrize("what", ["cancel", "retry", "delete"])
async def test_a_task_whose_process_died_is_ended_for_good(workspace: Path, state: Path, what: str) -> None:
    """Whoever cancels, retries or deletes it does not find it going on in the next server."""
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        async with story(workspace, Reply(text="Done."), state=state) as tale:
            if what == "retry":
                again = await tale.app.tasks.retry(task_id)
                await tale.app.tasks.wait([again.id], 30)
            else:
                await getattr(tale.app.tasks, what)(task_id)
        asked = len(model.requests)
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            tasks = {task["id"]: task["status"] for task in (await wire.command("pygent.tasks"))["tasks"]}
            assert tasks.get(task_id) == (None if what == "delete" else "cancelled")
            assert "running" not in tasks.values()
        assert len(model.requests) == asked


async def test_who_cancels_is_heard_though_the_process_dies_meanwhile(workspace: Path, state: Path) -> None:
    async with ReplayServer(SCRIPT) as model, story(workspace, state=state) as tale:
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            task = (await wire.command("pygent.delegate", prompt="work"))["task"]
            await wire.event("toolStarted")
            os.kill(wire.process.pid, signal.SIGSTOP)
            cancelling = asyncio.create_task(tale.app.tasks.cancel(task["id"]))
            while not tale.app.store._db.execute("SELECT sum(cancel_requested) FROM tasks").fetchone()[0]:
                await asyncio.sleep(0.02)
            os.kill(wire.process.pid, signal.SIGKILL)
            await wire.process.wait()
        assert (await cancelling).status == "cancelled"
        assert tale.app.stay([tale.folder.uri]) == []
