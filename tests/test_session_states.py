"""What becomes of messages that arrive while something else than a turn holds the session."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, editor

from pygent.app import AcceptedMessages
from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
EDIT = Reply(
    match=Match(first="first"),
    tool_calls=[ScriptedCall(name="write_file", arguments={"path": "a.txt", "content": "a\n"})],
)
REPLIES = [
    Reply(match=Match(last="second"), text="Second."),
    EDIT,
    Reply(match=Match(last="a.txt"), text="First."),
    Reply(text="A summary.", times=0),
]


async def turns(wire: Wire, session_id: str) -> list[tuple[str, str]]:
    """The texts of the session's turns and how each ended."""
    stored = await wire.command("pygent.session.events", sessionId=session_id)
    found: list[tuple[str, str]] = []
    for one in stored["events"]:
        if one["event"]["type"] == "turnStarted":
            found.append((one["event"]["text"], ""))
        elif one["event"]["type"] == "turnFinished":
            found[-1] = (found[-1][0], one["event"]["reply"])
    return found


def chat(wire: Wire, **fields: Any) -> asyncio.Future[dict[str, Any]]:
    params = {"command": "pygent.chat", "arguments": [fields]}
    return wire.begin("workspace/executeCommand", params)[1]


def command(wire: Wire, name: str, **fields: Any) -> asyncio.Future[dict[str, Any]]:
    return wire.begin("workspace/executeCommand", {"command": f"pygent.{name}", "arguments": [fields]})[1]


@pytest.mark.parametrize("deliver", ["steer", "queue"])
@pytest.mark.parametrize("holder", ["undo", "redo", "session.compact"])
async def test_a_message_during_an_undo_or_a_compaction_begins_the_next_turn(
    workspace: Path, holder: str, deliver: str
) -> None:
    """Whichever of the two is first: the message is answered by a turn of its own, and only once."""
    async with editor(workspace, *REPLIES, events=True, **FREE) as wire:
        first = await wire.command("pygent.chat", text="first")
        here = {"sessionId": first["sessionId"]}
        if holder == "redo":
            await wire.command("pygent.undo", **here)
        held = command(wire, holder, **here)
        answer = chat(wire, text="second", deliver=deliver, **here)
        assert "error" not in await held
        result = (await asyncio.wait_for(answer, 60))["result"]
        assert (result["reply"], result["status"]) == ("Second.", "completed")
        assert result["turnId"] != first["turnId"]
        assert await turns(wire, first["sessionId"]) == [("first", "First."), ("second", "Second.")]


async def test_a_start_during_an_undo_is_busy_and_says_why(workspace: Path) -> None:
    async with editor(workspace, *REPLIES, **FREE) as wire:
        first = await wire.command("pygent.chat", text="first")
        here = {"sessionId": first["sessionId"]}
        held = command(wire, "session.compact", **here)
        refused = await chat(wire, text="second", **here)
        assert refused["error"]["data"]["code"] == "busy"
        assert "compacted" in refused["error"]["message"]
        await held
        assert (await wire.command("pygent.chat", text="second", **here))["reply"] == "Second."


async def test_a_refused_message_may_be_sent_again_with_its_id(workspace: Path) -> None:
    work = Reply(
        match=Match(first="first"),
        tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "until [ -e go ]; do sleep 0.02; done"})],
    )
    async with editor(workspace, work, Reply(text="Done.", times=0), events=True, **FREE) as wire:
        begun = await wire.command("pygent.chat", text="first", wait=False)
        here = {"sessionId": begun["sessionId"], "clientMessageId": "m1"}
        assert (await wire.refusal("pygent.chat", text="again", **here))["data"]["code"] == "busy"
        (workspace / "go").touch()
        await wire.event("turnFinished")
        result = await wire.command("pygent.chat", text="again", **here)
        assert (result["status"], result["reply"]) == ("completed", "Done.")
        assert [text for text, _ in await turns(wire, begun["sessionId"])] == ["first", "again"]


@pytest.mark.parametrize("first_waits", [True, False])
async def test_a_message_that_is_sent_twice_has_one_turn_and_the_same_answer(
    workspace: Path, first_waits: bool
) -> None:
    async with editor(workspace, *REPLIES, events=True, **FREE) as wire:
        fields = {"text": "first", "clientMessageId": "m1"}
        one = await wire.command("pygent.chat", **fields, wait=first_waits)
        two = await wire.command("pygent.chat", **fields)
        assert two["turnId"] == one["turnId"]
        assert (two["status"], two["reply"]) == ("completed", "First.")
        assert [change["kind"] for change in two["changes"]] == ["created"]
        if first_waits:
            assert two == one
        assert await turns(wire, one["sessionId"]) == [("first", "First.")]


def test_the_ids_of_messages_are_not_kept_for_ever() -> None:
    messages = AcceptedMessages(limit=3)
    for number in range(10):
        messages.add(f"m{number}", "ses_1", f"trn_{number}")
    assert [messages.get(f"m{number}") is not None for number in range(10)] == [False] * 7 + [True] * 3
    assert messages.get(None) is None
