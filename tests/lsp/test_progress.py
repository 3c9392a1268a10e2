"""Progress: begun, told and ended under a token that the client knows, and a cancel that ends the work."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import IGNORE, REFUSE, Wire, editor
from tests.registry import docker, relay
from tests.story import call

from pygent.replay import Match, Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
SHOWS = {"window": {"workDoneProgress": True}}


def told(wire: Wire, token: Any = None) -> list[dict[str, Any]]:
    shown = [one["params"] for one in wire.notifications if one["method"] == "$/progress"]
    return [one["value"] for one in shown if token in (None, one["token"])]


def created(wire: Wire) -> list[str]:
    return [one["params"]["token"] for one in wire.asked if one["method"] == "window/workDoneProgress/create"]


async def ended(wire: Wire, mark: str) -> bool:
    """Wait until a command's process is gone: the kernel ends those of a killed sandbox in its own time."""
    while not subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode:
        await asyncio.sleep(0.05)
    return True


async def test_a_turn_shows_its_steps_under_a_new_token(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, capabilities=SHOWS, **FREE) as wire:
        await wire.command("pygent.chat", "fix it")
        (token,) = created(wire)
        values = await wire.until(lambda: (v := told(wire, token)) and v[-1]["kind"] == "end" and v)
        begin, *reports, end = values
        assert (begin["kind"], begin["cancellable"], begin["title"]) == ("begin", True, "Pygent")
        assert "$ echo hi" in [one["message"] for one in (begin, *reports)]
        assert end == {"kind": "end", "message": "completed"}


async def test_the_clients_own_token_is_used_and_ends_before_the_answer(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, capabilities=SHOWS, **FREE) as wire:
        params = {"command": "pygent.chat", "arguments": ["go"], "workDoneToken": 7}
        await wire.request("workspace/executeCommand", params)
        assert next(one["kind"] for one in told(wire, 7)) == "begin"
        assert [one["kind"] for one in told(wire, 7)].count("end") == 1
        assert told(wire, 7)[-1]["kind"] == "end"
        assert created(wire) == []


@pytest.mark.parametrize("capabilities", [{}, {"window": {"workDoneProgress": False}}])
async def test_a_client_without_progress_gets_none(workspace: Path, capabilities: Any) -> None:
    async with editor(workspace, call("bash", cmd="true"), DONE, capabilities=capabilities, **FREE) as wire:
        await wire.command("pygent.chat", "go")
        assert told(wire) == []
        assert created(wire) == []


@pytest.mark.parametrize("answer", [REFUSE, IGNORE])
async def test_a_client_that_takes_no_token_gets_no_progress(workspace: Path, answer: Any) -> None:
    async with editor(workspace, call("bash", cmd="true"), DONE, capabilities=SHOWS, **FREE) as wire:
        wire.answers["window/workDoneProgress/create"] = lambda params: answer
        assert (await wire.command("pygent.chat", "go"))["status"] == "completed"
        assert told(wire) == []


async def test_the_cancel_of_a_new_token_ends_the_turn(workspace: Path) -> None:
    mark = f"5{time.time_ns() % 10**8:08d}"
    long = call("bash", cmd=f"echo go; sleep {mark}")
    async with editor(workspace, long, DONE, capabilities=SHOWS, events=True, **FREE) as wire:
        _, answer = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        await wire.event("toolOutput")
        (token,) = created(wire)
        wire.tell("window/workDoneProgress/cancel", {"token": token})
        assert (await answer)["result"]["status"] == "cancelled"
        await wire.until(lambda: told(wire, token)[-1] == {"kind": "end", "message": "cancelled"})
        assert await ended(wire, mark)


async def test_a_task_shows_its_name_and_its_cancel_ends_it(workspace: Path) -> None:
    mark = f"6{time.time_ns() % 10**8:08d}"
    long = Reply(
        match=Match(first="count the files"), tool_calls=call("bash", cmd=f"echo; sleep {mark}").tool_calls
    )
    async with editor(workspace, long, DONE, capabilities=SHOWS, events=True, **FREE) as wire:
        task = (await wire.command("pygent.delegate", "count the files"))["task"]
        await wire.event("toolOutput")
        (token,) = created(wire)
        assert told(wire, token)[0]["title"] == "Pygent task: count the files"
        wire.tell("window/workDoneProgress/cancel", {"token": token})
        (done,) = (await wire.command("pygent.task.wait", taskIds=[task["id"]], timeout=30))["tasks"]
        assert done["status"] == "cancelled"
        await wire.until(lambda: told(wire, token)[-1]["kind"] == "end")
        assert await ended(wire, mark)


async def test_any_command_takes_a_token_and_its_cancel(workspace: Path) -> None:
    mark = f"7{time.time_ns() % 10**8:08d}"
    async with editor(workspace, DONE, capabilities=SHOWS, **FREE) as wire:
        params = {"command": "pygent.sandbox.run", "arguments": [f"touch begun; sleep {mark}"]}
        _, answer = wire.begin("workspace/executeCommand", {**params, "workDoneToken": "mine"})
        await wire.until(lambda: told(wire, "mine"))
        while not (workspace / "begun").exists():
            await wire.command("pygent.approvals")
        wire.tell("window/workDoneProgress/cancel", {"token": "mine"})
        assert (await answer)["error"]["code"] == -32800
        assert told(wire, "mine")[-1]["kind"] == "end"
        assert await ended(wire, mark)


async def test_a_command_that_is_refused_ends_its_progress(workspace: Path) -> None:
    async with editor(workspace, DONE, capabilities=SHOWS) as wire:
        params = {"command": "pygent.session.get", "arguments": [{"sessionId": "ses_none"}]}
        answer = await wire.request("workspace/executeCommand", {**params, "workDoneToken": "mine"})
        assert answer["error"]["data"]["code"] == "notFound"
        assert [one["kind"] for one in told(wire, "mine")] == ["begin", "end"]


@pytest.mark.docker
async def test_a_pull_that_fails_ends_its_progress(workspace: Path, docker_image: str) -> None:
    env = {"PYGENT_USE_DOCKER": "1", "PYGENT_IMAGE": "127.0.0.1:9/none/such:latest"}
    async with editor(workspace, DONE, capabilities=SHOWS, env=env) as wire:
        error = await wire.refusal("pygent.sandbox.status")
        assert error["data"]["code"] == "sandboxUnavailable"
        (token,) = created(wire)
        values = await wire.until(lambda: (v := told(wire, token)) and v[-1]["kind"] == "end" and v)
        assert "Pulling the image 127.0.0.1:9/none/such" in values[0]["message"]


def running(wire: Wire, what: str) -> bool:
    return any(what in value.get("message", "") for value in told(wire))


@pytest.mark.docker
async def test_the_cancel_of_a_pull_for_a_command_ends_it(workspace: Path, pushed: str) -> None:
    async with relay(5000, 0.5, first=400_000) as way:
        env = {"PYGENT_USE_DOCKER": "1", "PYGENT_IMAGE": f"127.0.0.1:{way.port}/{pushed}"}
        async with editor(workspace, DONE, capabilities=SHOWS, env=env) as wire:
            _, answer = wire.begin("workspace/executeCommand", {"command": "pygent.sandbox.status"})
            await wire.until(lambda: running(wire, "Pulling the image"))
            await way.busy()
            (token,) = created(wire)
            wire.tell("window/workDoneProgress/cancel", {"token": token})
            assert (await asyncio.wait_for(answer, 30))["error"]["code"] == -32800
            await wire.until(lambda: told(wire, token)[-1]["kind"] == "end")
            await asyncio.wait_for(way.idle(), 30)


@pytest.mark.docker
async def test_the_cancel_of_a_turn_that_pulls_ends_both_and_the_next_pulls_again(
    workspace: Path, pushed: str
) -> None:
    async with relay(5000, 0.5, first=400_000) as way:
        image = f"127.0.0.1:{way.port}/{pushed}"
        env = {"PYGENT_USE_DOCKER": "1", "PYGENT_IMAGE": image}
        async with editor(workspace, DONE, capabilities=SHOWS, env=env, events=True, **FREE) as wire:
            _, answer = wire.begin(
                "workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]}
            )
            await wire.until(lambda: running(wire, "Pulling the image"))
            await way.busy()
            (token,) = created(wire)
            wire.tell("window/workDoneProgress/cancel", {"token": token})
            assert (await asyncio.wait_for(answer, 30))["result"]["status"] == "cancelled"
            await wire.until(lambda: told(wire, token)[-1] == {"kind": "end", "message": "cancelled"})
            await asyncio.wait_for(way.idle(), 30)
            assert [one["event"]["status"] for one in wire.events("turnFinished")] == ["cancelled"]
            way.hurry.set()
            assert (await wire.command("pygent.chat", "again"))["status"] == "completed"
    docker("rmi", "--force", image)
