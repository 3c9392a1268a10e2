"""A client that misbehaves: each request is answered, nothing dies, nothing leaks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import KEY, Wire, editor, server
from tests.story import call

from pygent.lsp.transport import frame
from pygent.replay import Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
APPROVALS = {"command": "pygent.approvals"}


def refusals(wire: Wire) -> list[dict[str, Any]]:
    """Error answers without an id."""
    return [one["params"]["error"] for one in wire.notifications if one["method"] == "?"]


FRAMES = {
    "negative length": b"Content-Length: -5\r\n\r\n{}",
    "huge length": b"Content-Length: 99999999999999\r\n\r\n{}",
    "no length": b"X-Words: hello\r\n\r\n",
    "endless header": b"z" * 100_000,
    "a batch": frame(b'[{"jsonrpc":"2.0","id":1,"method":"shutdown"}]'),
    "a number": frame(b"7"),
    "a length too short": b'Content-Length: 3\r\n\r\n{"jsonrpc": "2.0"}',
    "no bytes": frame(b""),
    "an id that is a truth": frame(b'{"jsonrpc":"2.0","id":true,"method":"x"}'),
    "an id that is null": frame(b'{"jsonrpc":"2.0","id":null,"method":"x"}'),
    "a method that is a list": frame(b'{"jsonrpc":"2.0","id":1,"method":[]}'),
}


@pytest.mark.parametrize("data", FRAMES.values(), ids=FRAMES.keys())
async def test_a_bad_frame_is_answered_and_the_next_is_read(workspace: Path, data: bytes) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        wire.raw(data)
        assert (await wire.request("workspace/executeCommand", APPROVALS))["result"] == {"approvals": []}
        errors = await wire.until(lambda: refusals(wire))
        assert {error["code"] for error in errors} <= {-32700, -32600}


async def test_answers_and_notifications_that_make_no_sense(workspace: Path) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        for message in (
            {"id": "pygent-99", "result": 1},
            {"id": {"a": 1}, "error": "words"},
            {"id": None},
            {"method": "$/cancelRequest", "params": {"id": [1]}},
            {"method": "$/cancelRequest", "params": {"id": 4711}},
            {"method": "textDocument/didOpen", "params": {"textDocument": 5}},
            {"method": "textDocument/didChange", "params": {"textDocument": {"uri": "file:///x"}}},
            {"method": "textDocument/didChange", "params": [1]},
            {"method": "textDocument/didSave"},
            {"method": "workspace/didChangeWatchedFiles", "params": {"changes": 5}},
            {"method": "workspace/didChangeWorkspaceFolders", "params": {"event": None}},
            {"method": "window/workDoneProgress/cancel", "params": {"token": {"x": 1}}},
            {"method": "$/setTrace", "params": {"value": ["verbose"]}},
            {"method": "no/such"},
        ):
            wire.post({"jsonrpc": "2.0", **message})
        assert await wire.command("pygent.approvals") == {"approvals": []}
        assert not refusals(wire)
        assert not [one for one in wire.notifications if one["method"] == "window/showMessage"]


async def test_a_request_twice_at_once_is_refused_and_the_first_goes_on(workspace: Path) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        params = {"command": "pygent.sandbox.run", "arguments": ["sleep 0.3; echo first"]}
        number, answer = wire.begin("workspace/executeCommand", params)
        again: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        wire._waiting[number] = again
        wire.post({"jsonrpc": "2.0", "id": number, "method": "workspace/executeCommand", "params": params})
        assert (await again)["error"]["code"] == -32600
        wire._waiting[number] = answer
        assert (await answer)["result"]["output"] == "first\n"


async def test_a_message_of_twenty_megabytes_in_pieces(workspace: Path) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        document = {"uri": "file:///big", "languageId": "x", "version": 1, "text": "x" * 20_000_000}
        body = json.dumps(
            {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}
        )
        data = frame(body.encode())
        assert wire.process.stdin is not None
        for start in range(0, len(data), 1 << 20):
            wire.raw(data[start : start + (1 << 20)])
            await wire.process.stdin.drain()
        assert await wire.command("pygent.approvals") == {"approvals": []}


async def test_half_characters_reach_nobody(workspace: Path) -> None:
    """JSON may name half a character, which no UTF-8 can hold: not the store's, not the model's."""
    async with editor(workspace, DONE, events=True, **FREE) as wire:
        result = await wire.command("pygent.chat", text="half \ud83d here", sessionId=None)
        assert result["status"] == "completed"
        sent = wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert sent == "half \ufffd here"
        error = await wire.refusal("pygent.session.get", sessionId="\udc00")
        assert error["data"]["code"] == "notFound"


async def test_half_a_character_in_a_buffer_is_read_and_edited(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("")
    replies = call("read_file", path="a.txt"), call("edit_file", path="a.txt", old="end", new="END"), DONE
    capabilities = {"workspace": {"applyEdit": True}}
    async with editor(workspace, *replies, capabilities=capabilities, **FREE) as wire:
        document = {"uri": path.as_uri(), "languageId": "x", "version": 1, "text": "cut \ud83d end"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        wire.answers["workspace/applyEdit"] = lambda params: {"applied": True}
        await wire.command("pygent.chat", "go")
        (asked,) = [one for one in wire.asked if one["method"] == "workspace/applyEdit"]
        ((edit,),) = asked["params"]["edit"]["changes"].values()
        assert edit["range"]["start"] == {"line": 0, "character": 6}


VALUES = {
    "everything new": {
        "general": {"positionEncodings": ["utf-64", 7, None], "markdown": []},
        "workspace": {
            "workspaceEdit": {"resourceOperations": ["teleport", 5], "failureHandling": "pray"},
            "symbol": {"symbolKind": {"valueSet": [1, 999]}},
        },
        "textDocument": {
            "completion": {"completionItem": {"insertTextModeSupport": {"valueSet": [99]}}},
            "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": [1]}}},
            "hover": {"contentFormat": ["html5"]},
            "publishDiagnostics": {"tagSupport": {"valueSet": [77]}},
        },
        "window": {"showMessage": "loudly"},
    },
    "wrong types": {"general": 5, "workspace": [], "textDocument": "all", "window": None},
    "no object": 5,
    "nothing": None,
}


@pytest.mark.parametrize("capabilities", VALUES.values(), ids=VALUES.keys())
async def test_no_value_of_initialize_is_too_new(workspace: Path, capabilities: Any) -> None:
    async with server(workspace) as wire:
        params = {"processId": None, "rootUri": workspace.as_uri(), "capabilities": capabilities}
        answer = await wire.request("initialize", {**params, "trace": "shouting", "locale": 5})
        assert answer["result"]["capabilities"]["positionEncoding"] == "utf-16"
        wire.tell("initialized")
        assert await wire.command("pygent.approvals") == {"approvals": []}


async def test_params_of_initialize_that_are_none_leave_another_try(workspace: Path) -> None:
    async with server(workspace) as wire:
        for params in (5, [], {"processId": "mine", "capabilities": {}}, {"workspaceFolders": 7}):
            error = (await wire.request("initialize", params))["error"]
            assert error["code"] == -32602, params
        await wire.initialize(workspace)
        assert await wire.command("pygent.approvals") == {"approvals": []}


async def test_what_runs_at_the_end_of_input_is_ended(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="touch begun; sleep 600"), events=True, **FREE) as wire:
        wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        await wire.event("toolStarted")
        assert wire.process.stdin is not None
        wire.process.stdin.close()
        assert await asyncio.wait_for(wire.process.wait(), 20) == 1
        assert (await wire.event("turnFinished"))["event"]["status"] == "cancelled"


async def test_the_log_has_neither_payloads_nor_tracebacks(workspace: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "own.log"
    arguments = "--stdio", "--log-file", str(log), "--log-level", "info"
    async with server(workspace, *arguments) as wire:
        await wire.initialize(workspace)
        text = "a prompt that is nobody's business"
        wire.tell("textDocument/didChange", {"textDocument": {"uri": text}, "contentChanges": text})
        await wire.request("no/such/method", {"text": text})
        await wire.refusal("pygent.chat", {"text": 5, "sessionId": text})
        await wire.command("pygent.chat", text)
        assert await wire.leave() == 0
    written = log.read_text()
    assert written
    assert "nobody's business" not in written
    assert "Traceback" not in written
    assert KEY not in written


async def test_a_log_that_cannot_be_written_is_said_and_harms_nothing(workspace: Path) -> None:
    (workspace / "file").write_text("")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pygent.lsp", "--log-file", str(workspace / "file" / "x.log")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    _, errors = await process.communicate(b"")
    assert process.returncode == 1
    assert b"can't be written" in errors


async def test_a_client_hears_the_log_at_its_trace_level(workspace: Path) -> None:
    def logged(wire: Wire) -> list[str]:
        found = [one for one in wire.notifications if one["method"] == "window/logMessage"]
        return [one["params"]["message"] for one in found]

    async with server(workspace) as wire:
        await wire.initialize(workspace)
        wire.tell("textDocument/didOpen", [])
        await wire.command("pygent.approvals")
        assert not logged(wire)
        wire.tell("$/setTrace", {"value": "messages"})
        wire.tell("textDocument/didOpen", [])
        await wire.until(lambda: logged(wire))
        assert "ignored" in logged(wire)[0]


STRAY = """
import os, threading
def stray():
    while True:
        print("STRAY print", flush=True)
        os.write(1, b"STRAY write")
        os.system("echo STRAY child")
        stop.wait(0.02)
stop = threading.Event()
import pygent.lsp.transport as transport
claim = transport.claim_streams
def claimed():
    streams = claim()
    threading.Thread(target=stray, daemon=True).start()
    return streams
transport.claim_streams = claimed
from pygent.lsp import main
raise SystemExit(main(["--stdio"]))
"""


async def test_stray_output_reaches_the_log_of_errors_only(workspace: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STRAY),
        cwd=workspace,
        env={**os.environ, "PYGENT_USE_DOCKER": "0"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    wire = Wire(process)
    await wire.initialize(workspace)
    for _ in range(20):
        await wire.command("pygent.sandbox.run", "echo hi")
    wire.tell("exit")
    assert process.stderr is not None
    errors = await process.stderr.read()
    await process.wait()
    assert b"STRAY" not in wire.everything
    for words in (b"STRAY print", b"STRAY write", b"STRAY child"):
        assert words in errors
