"""Who is asked where: a conversation document that shows it first, a message where nobody answers there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.conversations.test_talk import CHANGES, VERSIONS, document
from tests.lsp.paper import Paper
from tests.lsp.wire import IGNORE, Wire, editor
from tests.story import call

from pygent.replay import Match, Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="Ok.", times=0)
TOUCH = call("bash", cmd="touch x")
MESSAGE = "window/showMessageRequest"


def limit(seconds: float) -> dict[str, Any]:
    return {"trusted": True, "config": {"approvals": {"timeout": seconds}}, "events": True}


def messages(wire: Wire) -> list[str]:
    return [one["params"]["message"] for one in wire.asked if one["method"] == MESSAGE]


def send(wire: Wire, folder: Path, text: str = "Touch it") -> tuple[Paper, asyncio.Future[dict[str, Any]]]:
    paper = Paper(wire, document(folder), f"## You\n\n{text}\n")
    params = {"command": "pygent.conversation.send", "arguments": [{"uri": paper.uri}]}
    return paper, wire.begin("workspace/executeCommand", params)[1]


@pytest.mark.parametrize("capabilities", [VERSIONS, CHANGES], ids=["versions", "changes"])
async def test_what_is_answered_in_the_document_is_asked_nowhere_else(
    workspace: Path, capabilities: Any
) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities=capabilities) as wire:
        paper, ended = send(wire, workspace)
        await paper.until("**Approval needed**")
        await paper.choose("Allow")
        assert (await ended)["result"]["status"] == "completed"
        assert (workspace / "x").exists()
        assert messages(wire) == []


async def test_a_document_left_alone_is_followed_by_a_message(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities=VERSIONS, **limit(4)) as wire:
        shown: list[str] = []

        def answer(params: Any) -> Any:
            shown.append(paper.text)
            return {"title": "Allow"}

        wire.answers[MESSAGE] = answer
        paper, ended = send(wire, workspace)
        assert (await ended)["result"]["status"] == "completed"
        assert (workspace / "x").exists()
        assert "**Approval needed**" in shown[0]


async def test_no_message_takes_the_keys_of_who_types_in_the_document(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities=VERSIONS, **limit(6)) as wire:
        paper, ended = send(wire, workspace)
        while not ended.done():
            paper.type("a")
            await asyncio.wait([ended], timeout=0.2)
        assert messages(wire) == []
        assert wire.events("approvalResolved")[0]["event"]["by"] == "timeout"
        assert not (workspace / "x").exists()
        assert "> **Denied** (timeout)" in paper.text


async def test_where_the_document_is_closed_a_message_asks(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities=VERSIONS, **limit(20)) as wire:
        wire.answers[MESSAGE] = lambda params: {"title": "Allow"}
        paper, ended = send(wire, workspace)
        await paper.until("## Pygent")
        paper.close()
        assert (await ended)["result"]["status"] == "completed"
        assert len(messages(wire)) == 1


async def test_an_editor_that_makes_no_edits_gets_a_message(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities={}) as wire:
        wire.answers[MESSAGE] = lambda params: {"title": "Deny"}
        _, ended = send(wire, workspace)
        assert (await ended)["result"]["status"] == "completed"
        assert len(messages(wire)) == 1
        assert not (workspace / "x").exists()


async def test_one_that_refuses_them_does_too(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, capabilities=VERSIONS) as wire:
        wire.answers[MESSAGE] = lambda params: {"title": "Allow"}
        wire.answers["workspace/applyEdit"] = lambda params: {"applied": False}
        uri = document(workspace)
        item = {"uri": uri, "languageId": "markdown", "version": 1, "text": "## You\n\nTouch it\n"}
        wire.tell("textDocument/didOpen", {"textDocument": item})
        await wire.command("pygent.conversation.send", uri=uri)
        assert len(messages(wire)) == 1
        assert (workspace / "x").exists()


async def test_another_session_is_not_asked_about_in_the_document(workspace: Path) -> None:
    hello = Reply(match=Match(last="Hello"), text="Hi.")
    async with editor(workspace, hello, TOUCH, DONE, capabilities=VERSIONS) as wire:
        wire.answers[MESSAGE] = lambda params: {"title": "Allow"}
        paper, ended = send(wire, workspace, "Hello")
        await ended
        assert (await wire.command("pygent.chat", "touch"))["status"] == "completed"
        assert len(messages(wire)) == 1
        assert "Approval" not in paper.text


async def test_a_question_is_answered_by_the_next_message(workspace: Path) -> None:
    async with editor(
        workspace, call("ask_user", prompt="Which?", options=["red", "blue"]), DONE, capabilities=VERSIONS
    ) as wire:
        wire.answers[MESSAGE] = lambda params: IGNORE
        paper, ended = send(wire, workspace, "Paint")
        assert (await ended)["result"]["status"] == "needsInput"
        assert (await paper.choose("blue"))["status"] == "completed"
        assert messages(wire) == []
