"""Consent and questions: the ways to a person, one after the other, and never a yes that nobody said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import IGNORE, REFUSE, Wire, editor
from tests.nasty import COMMANDS
from tests.story import call

from pygent.replay import Reply, ScriptedCall
from pygent.visible import visible

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)
TOUCH = call("bash", cmd="touch x")
ASK = call("ask_user", prompt="Which?", options=["a", "b"])


def begin(wire: Wire) -> asyncio.Future[dict[str, Any]]:
    return wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})[1]


def methods(wire: Wire) -> list[str]:
    return [one["method"] for one in wire.asked]


@pytest.mark.parametrize("bad", [REFUSE, None, {"decision": "perhaps"}, ["accept"], "accept", True])
async def test_a_bad_answer_to_the_first_way_leads_to_the_next(workspace: Path, bad: Any) -> None:
    async with editor(workspace, TOUCH, TOUCH, DONE, approvals=True, events=True) as wire:
        wire.answers["pygent/approve"] = lambda params: bad
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "Allow"}
        assert (await begin(wire))["result"]["status"] == "completed"
        assert (workspace / "x").exists()
        asked = [one for one in methods(wire) if "pprove" in one or "Message" in one]
        both = ["pygent/approve", "window/showMessageRequest"]
        assert asked == (both + both[1:] if bad is REFUSE else both * 2)


async def test_the_message_says_what_will_run_and_where(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, events=True, env={"PYGENT_USE_DOCKER": "0"}) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "Deny"}
        await begin(wire)
        (asked,) = [one["params"] for one in wire.asked if one["method"] == "window/showMessageRequest"]
        assert "touch x" in asked["message"]
        assert "bubblewrap" in asked["message"] or "NO SANDBOX" in asked["message"]
        titles = [one["title"] for one in asked["actions"]]
        assert titles == ["Allow", "Allow for Session", "Deny", "Cancel"]
        assert not (workspace / "x").exists()


@pytest.mark.parametrize("bad", [REFUSE, IGNORE, None, {"title": "Sure"}, {"title": None}, [], 5])
async def test_without_an_answer_it_is_declined_and_said(workspace: Path, bad: Any) -> None:
    options = {"trusted": True, "config": {"approvals": {"timeout": 0.5}}, "events": True}
    async with editor(workspace, TOUCH, DONE, **options) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: bad
        assert (await begin(wire))["result"]["status"] == "completed"
        assert not (workspace / "x").exists()
        (resolved,) = wire.events("approvalResolved")
        assert (resolved["event"]["decision"], resolved["event"]["by"]) == ("decline", "timeout")
        assert "Nobody answered within 0.5 s" in wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert await wire.command("pygent.approvals") == {"approvals": []}
        cancelled = [one for one in wire.notifications if one["method"] == "$/cancelRequest"]
        assert len(cancelled) == (1 if bad is IGNORE else 0)


async def test_an_answer_that_comes_late_changes_nothing(workspace: Path) -> None:
    options = {"trusted": True, "config": {"approvals": {"timeout": 0.3}}, "events": True}
    async with editor(workspace, TOUCH, DONE, **options) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: IGNORE
        await begin(wire)
        (asked,) = [one for one in wire.asked if one["method"] == "window/showMessageRequest"]
        wire.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"title": "Allow"}})
        answer = {"approvalId": wire.events("approvalRequested")[0]["event"]["approval"]["id"]}
        late = await wire.command("pygent.approval.respond", **answer, decision="accept")
        assert late == {"resolved": False}
        assert not (workspace / "x").exists()
        assert len(wire.events("approvalResolved")) == 1


async def test_cancelling_the_turn_resolves_what_it_asked(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, events=True) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: IGNORE
        answer = begin(wire)
        await wire.event("approvalRequested")
        assert await wire.command("pygent.cancel") == {"cancelled": True}
        assert (await answer)["result"]["status"] == "cancelled"
        (resolved,) = wire.events("approvalResolved")
        assert resolved["event"]["decision"] == "cancel"
        order = [one["event"]["type"] for one in wire.events()]
        assert order.index("approvalResolved") < order.index("turnFinished")
        assert await wire.command("pygent.approvals") == {"approvals": []}


async def test_cancel_is_not_no(workspace: Path) -> None:
    async with editor(workspace, TOUCH, DONE, events=True) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "Cancel"}
        assert (await begin(wire))["result"]["status"] == "cancelled"


async def test_for_the_session_means_for_this_command(workspace: Path) -> None:
    async with editor(workspace, TOUCH, TOUCH, call("bash", cmd="touch y"), DONE, events=True) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "Allow for Session"}
        await begin(wire)
        commands = [one["event"]["approval"]["command"] for one in wire.events("approvalRequested")]
        assert commands == ["touch x", "touch y"]


@pytest.mark.parametrize("bad", [REFUSE, None, {"answer": 5}, "a", {"reply": "a"}])
async def test_a_question_takes_the_next_way(workspace: Path, bad: Any) -> None:
    async with editor(workspace, ASK, DONE, questions=True, events=True) as wire:
        wire.answers["pygent/ask"] = lambda params: bad
        wire.answers["window/showMessageRequest"] = lambda params: {"title": "b"}
        assert (await begin(wire))["result"]["status"] == "completed"
        assert (await wire.event("questionAnswered"))["event"]["answer"] == "b"


@pytest.mark.parametrize("bad", [REFUSE, IGNORE, None, {"title": "c"}])
async def test_a_question_nobody_answers_ends_the_turn(workspace: Path, bad: Any) -> None:
    options = {"trusted": True, "config": {"approvals": {"timeout": 0.5}}, "events": True}
    async with editor(workspace, ASK, DONE, **options) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: bad
        result = (await begin(wire))["result"]
        assert (result["status"], result["question"]["prompt"]) == ("needsInput", "Which?")
        again = await wire.command("pygent.chat", "a")
        assert (again["status"], again["sessionId"]) == ("completed", result["sessionId"])


async def test_a_free_question_is_left_to_the_next_message(workspace: Path) -> None:
    async with editor(workspace, call("ask_user", prompt="Why?"), DONE) as wire:
        assert (await begin(wire))["result"]["status"] == "needsInput"
        assert "window/showMessageRequest" not in methods(wire)


def many(commands: list[str]) -> Reply:
    return Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": cmd}) for cmd in commands])


def wants(wire: Wire, read: Callable[[str], str | None]) -> list[str]:
    """Deny everything, and keep all that was shown of each."""
    shown: list[str] = []

    def answer(params: Any) -> Any:
        titles = [one["title"] for one in params["actions"]]
        if titles == ["Allow", "Allow for Session", "Deny", "Cancel"]:
            shown.append(params["message"] + (read(params["message"]) or ""))
        return {"title": "Open" if "Open" in titles else "Deny"}

    wire.answers["window/showMessageRequest"] = answer
    return shown


async def test_a_message_shows_the_whole_or_says_where_it_is(workspace: Path) -> None:
    async with editor(workspace, many(COMMANDS), DONE, env={"PYGENT_USE_DOCKER": "0"}) as wire:

        def read(message: str) -> str | None:
            found = re.search(r"read all \d+ lines in (/\S+\.txt) first\.", message)
            return None if found is None else Path(found[1]).read_text()

        shown = wants(wire, read)
        assert (await begin(wire))["result"]["status"] == "completed"
        assert len(shown) == len(COMMANDS)
        for command, text in zip(COMMANDS, shown, strict=True):
            assert visible(command) in text
            assert (
                "Run a command (in the bubblewrap sandbox)\nWithout network." in text or "NO SANDBOX" in text
            )


async def test_what_is_too_long_is_allowed_only_after_it_was_opened(workspace: Path) -> None:
    long = "\n".join(f"echo {number} > x" for number in range(100))
    opens = {"window": {"showDocument": {"support": True}}}
    async with editor(workspace, call("bash", cmd=long), DONE, capabilities=opens) as wire:
        opened: list[str] = []
        seen: list[list[str]] = []

        def show(params: Any) -> Any:
            opened.append(Path(params["uri"].removeprefix("file://")).read_text())
            return {"success": True}

        def answer(params: Any) -> Any:
            seen.append([one["title"] for one in params["actions"]])
            return {"title": "Open" if len(seen) == 1 else "Allow"}

        wire.answers["window/showDocument"] = show
        wire.answers["window/showMessageRequest"] = answer
        await begin(wire)
        assert seen == [["Open", "Deny", "Cancel"], ["Allow", "Allow for Session", "Deny", "Cancel"]]
        assert long in opened[0] and "100 lines:" in opened[0]
        assert (workspace / "x").read_text() == "99\n"


async def test_what_no_document_can_show_is_declined(workspace: Path, state: Path) -> None:
    async with editor(workspace, call("bash", cmd="touch x\n" * 100), DONE, events=True) as wire:
        (state / "views").write_text("in the way")
        assert (await begin(wire))["result"]["status"] == "completed"
        assert not (workspace / "x").exists()
        assert "window/showMessageRequest" not in methods(wire)
        (told,) = [one for one in wire.notifications if one["method"] == "window/showMessage"]
        assert "what can't be read can't be allowed" in told["params"]["message"]


async def test_an_approval_tells_clients_all_that_counts(workspace: Path) -> None:
    config = {"sandbox": {"network": True, "writable_paths": [str(workspace.parent / "out")]}}
    (workspace.parent / "out").mkdir()
    command = "python3 te\u200bst.py"
    options: dict[str, Any] = {"approvals": True, "trusted": True, "config": config}
    async with editor(workspace, call("bash", cmd=command, background=True), DONE, **options) as wire:
        wire.answers["pygent/approve"] = lambda params: {"decision": "decline"}
        await begin(wire)
        (asked,) = [one["params"] for one in wire.asked if one["method"] == "pygent/approve"]
        assert asked["command"] == command
        assert asked["detail"] == "python3 te\\u{200b}st.py"
        assert (asked["background"], asked["network"]) == (True, True)
        assert asked["outside"] == [str(workspace.parent / "out")]


@pytest.mark.parametrize("decision", ["yes", "Accept", "", "session", None, 1])
async def test_an_answer_by_hand_is_one_of_four_words(workspace: Path, decision: Any) -> None:
    async with editor(workspace, TOUCH, DONE, events=True) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: IGNORE
        answer = begin(wire)
        asked = (await wire.event("approvalRequested"))["event"]["approval"]
        params = {"approvalId": asked["id"], "decision": decision}
        refused = await wire.refusal("pygent.approval.respond", **params)
        assert (refused["code"], refused["data"]["field"]) == (-32602, "decision")
        params["decision"] = "decline"
        assert await wire.command("pygent.approval.respond", **params) == {"resolved": True}
        await answer
        assert not (workspace / "x").exists()
