"""The connection itself: every request answered, whatever a client sends, and exit codes as specified."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import python
from tests.lsp.wire import server

from pygent.lsp.transport import frame

pytestmark = pytest.mark.e2e


async def test_values_newer_than_ours_do_no_harm(workspace: Path) -> None:
    capabilities = {"general": {"positionEncodings": ["utf-7", "utf-8"]}, "window": {"showMessage": 7}}
    async with server(workspace) as wire:
        result = await wire.initialize(workspace, capabilities, events="yes", colour=1)
        assert result["serverInfo"]["name"] == "pygent-server"
        announced = result["capabilities"]
        assert announced["positionEncoding"] == "utf-8"
        assert announced["experimental"]["pygent"]["protocol"] == 1
        assert "turnFinished" in announced["experimental"]["pygent"]["events"]
        assert announced["executeCommandProvider"]["workDoneProgress"] is True
        assert "pygent.chat" in announced["executeCommandProvider"]["commands"]


BAD = {
    "no JSON": (b"{", -32700),
    "no object": (b"[1]", -32600),
    "no version": (b'{"id": 1, "method": "x"}', -32600),
    "deep": (b"[" * 200_000, -32700),
    "bad UTF-8": (b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}', -32700),
}


@pytest.mark.parametrize(("body", "code"), BAD.values(), ids=BAD.keys())
async def test_garbage_is_answered_and_survived(workspace: Path, body: bytes, code: int) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        wire.raw(frame(body))
        heard = await wire.until(lambda: [one for one in wire.notifications if one["method"] == "?"])
        assert heard[0]["params"]["error"]["code"] == code
        assert await wire.command("pygent.approvals") == {"approvals": []}


REFUSED = {
    "unknown method": ("pygent/unknown", {}, -32601),
    "unknown method without params": ("pygent/unknown", None, -32601),
    "params of another type": ("workspace/executeCommand", [1], -32602),
    "unknown command": ("workspace/executeCommand", {"command": "no.such"}, -32602),
    "a command that is no name": ("workspace/executeCommand", {"command": 5}, -32602),
    "command without params": ("workspace/executeCommand", None, -32602),
    "initialize again": ("initialize", {"capabilities": {}}, -32600),
}


@pytest.mark.parametrize(("method", "params", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_wrong_request_is_answered(workspace: Path, method: str, params: Any, code: int) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        error = (await wire.request(method, params))["error"]
        assert error["code"] == code
        assert "Traceback" not in json.dumps(error)


async def test_before_and_after_its_life(workspace: Path) -> None:
    async with server(workspace) as wire:
        assert (await wire.request("workspace/executeCommand", {}))["error"]["code"] == -32002
        await wire.initialize(workspace)
        await wire.request("shutdown")
        assert (await wire.request("workspace/executeCommand", {}))["error"]["code"] == -32600
        wire.tell("exit")
        assert await wire.process.wait() == 0


@pytest.mark.parametrize("how", ["exit", "eof", "int", "term"])
async def test_the_exit_code(workspace: Path, how: str) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        await wire.command("pygent.approvals")
        assert wire.process.stdin is not None
        if how == "exit":
            wire.tell("exit")
        elif how == "eof":
            wire.process.stdin.close()
        else:
            wire.process.send_signal(signal.SIGINT if how == "int" else signal.SIGTERM)
        expected = {"exit": 1, "eof": 1, "int": 130, "term": 143}[how]
        assert await asyncio.wait_for(wire.process.wait(), 60) == expected


async def test_an_exit_that_does_not_wait_for_the_answer_to_shutdown(workspace: Path) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        _, answer = wire.begin("shutdown")
        wire.tell("exit")
        assert await wire.process.wait() == 0
        assert (await answer)["result"] is None


async def test_headers_in_any_form(workspace: Path) -> None:
    async with server(workspace) as wire:
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 77, "method": "initialize", "params": {"capabilities": {}}}
        )
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        wire._waiting[77] = answer
        data = f"content-length: {len(body)}\nX: y\n\n{body}".encode()
        for at in range(0, len(data), 7):
            wire.raw(data[at : at + 7])
        assert "result" in await asyncio.wait_for(answer, 20)


async def test_cancelling_a_command_ends_its_work(workspace: Path) -> None:
    mark = f"4{time.time_ns() % 10**8:08d}"
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        params = {"command": "pygent.sandbox.run", "arguments": [f"touch begun; sleep {mark}"]}
        number, answer = wire.begin("workspace/executeCommand", params)
        while not (workspace / "begun").exists():
            await asyncio.sleep(0.01)
        wire.tell("$/cancelRequest", {"id": number})
        assert (await asyncio.wait_for(answer, 60))["error"]["code"] == -32800
        while not subprocess.run(
            ["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False
        ).returncode:
            await asyncio.sleep(0.05)  # the kernel ends the rest of a killed sandbox in its own time


async def test_a_client_that_stops_reading_freezes_nothing(workspace: Path) -> None:
    """The server goes on working while its output is stuck in the pipe."""
    process = subprocess.Popen(
        python("-m", "pygent.lsp"),
        cwd=workspace,
        env={**os.environ, "PYGENT_USE_DOCKER": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    folders = [{"uri": workspace.as_uri(), "name": "w"}]
    hello = {"capabilities": {}, "workspaceFolders": folders}

    def post(number: int, method: str, params: Any) -> None:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        process.stdin.write(frame(json.dumps(message).encode()))  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

    post(1, "initialize", hello)
    for number in range(2, 200):
        post(number, "workspace/executeCommand", {"command": "pygent.tools"})
    post(200, "workspace/executeCommand", {"command": "pygent.sandbox.run", "arguments": ["touch done"]})
    deadline = time.monotonic() + 90
    while not (workspace / "done").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    process.kill()
    process.communicate()


async def test_the_server_ends_when_its_client_has_died(workspace: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    async with server(workspace) as wire:
        await wire.request("initialize", {"processId": parent.pid, "capabilities": {}})
        parent.communicate(b"\n")
        assert await asyncio.wait_for(wire.process.wait(), 60) == 1


def test_nothing_heavy_is_imported_for_the_handshake() -> None:
    program = (
        "import sys; from pygent.lsp.server import Host, PygentServer; PygentServer(Host(lambda: None));"
        "print([n for n in ('openai', 'docker', 'rich', 'prompt_toolkit', 'pygent.store', 'pygent.app')"
        " if n in sys.modules])"
    )
    done = subprocess.run(python("-c", program), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
