"""Eleven real clients, by what they send in `initialize` and how they answer: each gets the whole agent."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.desk import Desk
from tests.lsp.wire import IGNORE, REFUSE, Wire, server
from tests.story import call

from pygent.replay import ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))
NEVER, REFUSES = ("vim-ale-3.3",), ("helix-25.01.1",)
"""Clients that leave every request of a server unanswered, and that refuse to show a message with buttons."""


def behave(wire: Wire, name: str) -> None:
    """Answer as that client does."""
    for method in (
        "window/showMessageRequest",
        "window/workDoneProgress/create",
        "client/registerCapability",
        "workspace/configuration",
        "workspace/codeLens/refresh",
    ):
        wire.answers[method] = (lambda params: IGNORE) if name in NEVER else lambda params: None
    if name in REFUSES:
        wire.answers["window/showMessageRequest"] = lambda params: REFUSE
    elif name not in NEVER:
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "Allow"}


async def greet(wire: Wire, workspace: Path, payload: Path) -> dict[str, Any]:
    """The client's own handshake."""
    text = payload.read_text().replace("file:///workspace", workspace.as_uri())
    params = {**json.loads(text), "processId": os.getpid(), "rootPath": str(workspace)}
    given = params.get("initializationOptions") or {}
    params["initializationOptions"] = {**given, "pygent": {"trusted": True}}
    answer = await wire.request("initialize", params)
    behave(wire, payload.stem)
    wire.tell("initialized")
    return {**answer["result"], "capabilities": answer["result"]["capabilities"], "sent": params}


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda path: path.stem)
async def test_chat_approval_edit_and_cancel(workspace: Path, payload: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("on disk\n")
    replies = (
        call("bash", cmd="echo approved > made"),
        call("edit_file", path="a.txt", old="buffer", new="text"),
        Reply(text="Edited."),
        call("bash", cmd="touch begun; sleep 600"),
    )
    async with (
        ReplayServer(Script(replies=list(replies), together=True)) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        greeting = await greet(wire, workspace, payload)
        desk = Desk(wire, greeting["capabilities"]["positionEncoding"])
        desk.open(path, "😀 buffer\n", version=4)
        _, answer = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        if payload.stem in (*NEVER, *REFUSES):
            await approve_by_hand(wire)
        result = (await asyncio.wait_for(answer, 60))["result"]
        assert (result["status"], result["reply"]) == ("completed", "Edited.")
        assert (workspace / "made").read_text() == "approved\n"
        check_edit(desk, path, greeting["sent"]["capabilities"])
        check_progress(wire, greeting["sent"]["capabilities"], payload.stem)
        await cancel(wire, workspace, by_hand=payload.stem in (*NEVER, *REFUSES))
        assert await wire.leave() == 0


async def approve_by_hand(wire: Wire) -> None:
    """What a person does whose editor shows no buttons."""
    while not (waiting := (await wire.command("pygent.approvals"))["approvals"]):
        await asyncio.sleep(0.02)
    answer = {"approvalId": waiting[0]["id"], "decision": "accept"}
    assert await wire.command("pygent.approval.respond", **answer) == {"resolved": True}


def check_edit(desk: Desk, path: Path, capabilities: dict[str, Any]) -> None:
    """The edit came in the client's form, at the right place; on disk nothing changed."""
    assert path.read_text() == "on disk\n"
    workspace = capabilities["workspace"]
    if not workspace.get("applyEdit"):
        assert desk.text(path) == "😀 buffer\n"
        assert desk.edits == []
        return
    assert desk.text(path) == "😀 text\n"
    (asked,) = desk.edits
    edit, support = asked["edit"], workspace["workspaceEdit"]
    assert asked["label"] == "Pygent: a.txt"
    assert ("documentChanges" in edit) == bool(support.get("documentChanges"))
    assert ("changes" in edit) != ("documentChanges" in edit)
    annotated = "changeAnnotations" in edit
    assert annotated == bool(support.get("documentChanges") and support.get("changeAnnotationSupport"))
    if "documentChanges" in edit:
        assert edit["documentChanges"][0]["textDocument"]["version"] == 4


def check_progress(wire: Wire, capabilities: dict[str, Any], name: str) -> None:
    """Each progress was begun under a token that the client took, and ended."""
    shown = [one["params"] for one in wire.notifications if one["method"] == "$/progress"]
    kinds = {
        token: [one["value"]["kind"] for one in shown if one["token"] == token]
        for token in {one["token"] for one in shown}
    }
    takes = bool((capabilities.get("window") or {}).get("workDoneProgress")) and name not in NEVER
    assert bool(kinds) == takes
    assert all(kind[0] == "begin" and kind[-1] == "end" and kind.count("end") == 1 for kind in kinds.values())


async def cancel(wire: Wire, workspace: Path, *, by_hand: bool) -> None:
    """A turn in the middle of a command ends when its request is cancelled."""
    number, answer = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["more"]})
    if by_hand:
        await approve_by_hand(wire)
    while not (workspace / "begun").exists():
        assert not answer.done(), answer
        await asyncio.sleep(0.02)
    wire.tell("$/cancelRequest", {"id": number})
    assert (await asyncio.wait_for(answer, 20))["error"]["code"] == -32800
    assert await wire.command("pygent.cancel") == {"cancelled": False}
