"""A client that misbehaves: each request is answered, nothing dies, nothing leaks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.paper import Paper
from tests.lsp.wire import KEY, Wire, editor, server
from tests.story import call

from pygent.lsp.transport import frame
from pygent.replay import ReplayServer, Reply, Script

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


STRANGE = [
    "file://[",
    "pygent://[",
    "file:///a%00b/pygent.toml",
    f"file:///{'a' * 5000}/pygent.toml",
    "file:///\ud800/.env",
]
PLACE: dict[str, Any] = {"start": {"line": 0, "character": 0}, "end": {"line": 3, "character": 0}}
ASKED = (
    "hover",
    "completion",
    "documentSymbol",
    "foldingRange",
    "codeLens",
    "codeAction",
    "formatting",
    "documentLink",
)


@pytest.mark.parametrize("uri", STRANGE)
async def test_a_uri_that_names_no_file_harms_nothing(workspace: Path, uri: str) -> None:
    """Neither a request about it, nor a command, nor another one while it is open or a folder."""
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, events=True, **FREE) as wire:
        document = {"uri": uri, "languageId": "x", "version": 1, "text": "model = 1\n"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        wire.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
        wire.tell("workspace/didChangeWatchedFiles", {"changes": [{"uri": uri, "type": 2}]})
        added = {"added": [{"uri": uri, "name": "x"}], "removed": []}
        wire.tell("workspace/didChangeWorkspaceFolders", {"event": added})
        params = {"textDocument": {"uri": uri}, "position": PLACE["start"], "range": PLACE}
        for name in ASKED:
            answer = await wire.request(f"textDocument/{name}", {**params, "context": {"diagnostics": []}})
            assert "error" not in answer, (name, answer)
        for command, arguments in (
            ("pygent.session.new", {"folderUri": uri}),
            ("pygent.config.show", {"folderUri": uri}),
            ("pygent.workspace.trust", {"folderUri": uri, "trusted": True}),
            ("pygent.conversation.send", {"uri": uri}),
            ("pygent.chat", {"text": "go", "attachments": [{"image": uri}]}),
        ):
            assert (await wire.refusal(command, arguments))["code"] in (-32803, -32602), command
        assert (await wire.command("pygent.chat", "go"))["status"] == "completed"
        assert wire.events("toolFinished")[0]["event"]["status"] == "completed"
        assert not [one for one in wire.notifications if one["method"] == "window/logMessage"]


@pytest.mark.parametrize("name", ["pygent.toml", ".env", "chat.pygent.md"])
async def test_half_a_character_in_a_document_of_ours_is_answered(workspace: Path, name: str) -> None:
    async with editor(workspace, **FREE) as wire:
        uri = (workspace / name).as_uri()
        text = 'x\ud83d = "\udc00"\n[\ud83d]\n## You\n\n\ud83d @\udc00\nPYGENT_\ud83d=1\n'
        document = {"uri": uri, "languageId": "x", "version": 1, "text": text}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        params = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 3}, "range": PLACE}
        for method in ASKED:
            answer = await wire.request(f"textDocument/{method}", {**params, "context": {"diagnostics": []}})
            assert "error" not in answer, (method, answer)
        if name == "pygent.toml":
            found = [one["params"] for one in wire.notifications if one["params"].get("uri") == uri]
            assert found[-1]["diagnostics"]
        assert not [one for one in wire.notifications if one["method"] == "window/logMessage"]


async def test_half_a_character_in_a_conversation_is_sent_and_answered(workspace: Path) -> None:
    capabilities = {"workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}}
    async with editor(workspace, DONE, capabilities=capabilities, **FREE) as wire:
        paper = Paper(wire, (workspace / "c.pygent.md").as_uri(), "## You\n\ncut \ud83d here, \ud83d\n")
        end = paper.text.rindex("\ud83d") + 1
        paper.type("\ude00", end)  # the other half, a key press later
        await paper.choose("Send")
        sent = wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert sent == "cut \ufffd here, 😀"
        assert "All done." in paper.text


async def test_bytes_that_are_not_utf_8(workspace: Path, tmp_path: Path) -> None:
    """A request is refused; a document, which Vim sends as the file is, is read as well as can be."""
    log = tmp_path / "own.log"
    replies = call("read_file", path="a.txt"), DONE
    async with (
        ReplayServer(Script(replies=list(replies))) as model,
        server(workspace, "--stdio", "--log-file", str(log), base_url=model.base_url) as wire,
    ):
        await wire.initialize(workspace, **FREE)
        half = b"surrogate" + b"\xed\xa0\xbd"
        wire.raw(frame(b'{"jsonrpc":"2.0","id":"%s","method":"private words"}' % half))
        wire.raw(frame('{"jsonrpc":"2.0","id":77,"method":"shutdown"}'.encode("utf-16")))
        await wire.until(lambda: len(refusals(wire)) == 2)
        assert {error["code"] for error in refusals(wire)} == {-32700}
        uri = (workspace / "a.txt").as_uri()
        (workspace / "a.txt").write_text("on disk")
        document = {"uri": uri, "languageId": "x", "version": 1, "text": "caf? au lait"}
        message = {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}
        wire.raw(frame(json.dumps(message).encode().replace(b"?", b"\xe9")))
        await wire.command("pygent.chat", "go")
        assert "caf\ufffd au lait" in json.dumps(model.requests[-1]["messages"][-1], ensure_ascii=False)
        assert await wire.leave() == 0
    assert "private words" not in log.read_text()


ATTACHED: list[Any] = [
    {"uri": "file:///x", "diagnostics": [5]},
    {"uri": "file:///x", "diagnostics": [{"range": {"start": {"line": 1e400}}}]},
    {"uri": "file:///x", "range": {"start": {"line": None}, "end": {"line": 1}}},
    {"uri": ["file:///x"]},
    {"image": 5},
    {},
]


@pytest.mark.parametrize("attachment", ATTACHED, ids=range(len(ATTACHED)))
async def test_an_attachment_that_is_none_is_named(workspace: Path, attachment: Any) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        error = await wire.refusal("pygent.chat", text="go", attachments=[attachment])
        assert error["code"] == -32602
        assert error["data"]["field"].startswith("attachments[0]")


async def test_a_truth_is_no_id_to_cancel(workspace: Path) -> None:
    async with server(workspace) as wire:
        await wire.initialize(workspace)
        wire._last = 0
        params = {"command": "pygent.sandbox.run", "arguments": ["sleep 0.3; echo first"]}
        number, answer = wire.begin("workspace/executeCommand", params)
        assert number == 1
        wire.tell("$/cancelRequest", {"id": True})
        assert (await answer)["result"]["output"] == "first\n"


async def test_what_is_no_request_is_refused_under_its_id(workspace: Path) -> None:
    async with server(workspace) as wire:
        for number, message in enumerate(
            ({"jsonrpc": "1.0", "method": "x"}, {"method": "x"}, {"jsonrpc": "2.0", "method": [5]}), 100
        ):
            wire._waiting[number] = asyncio.get_running_loop().create_future()
            wire.post({**message, "id": number})
            answer = await asyncio.wait_for(wire._waiting[number], 20)
            assert answer["error"]["code"] == -32600
