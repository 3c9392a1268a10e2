"""Code actions on any document, and what they do, over the wire."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.paper import Paper
from tests.lsp.wire import Wire, editor
from tests.story import call

from pygent.lsp.problems import MAX_PER_DOCUMENT, Problems
from pygent.replay import Reply

pytestmark = pytest.mark.e2e
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
LITERALS: dict[str, Any] = {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix"]}}}
CAN: dict[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {}},
    },
    "textDocument": {"codeAction": LITERALS},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
}
SELECTION = {
    "Explain with Pygent",
    "Write tests with Pygent",
    "Document with Pygent",
    "Delegate to a background agent",
}
DONE = Reply(text="It *adds*.", times=0)
LINE = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
WRONG = {"range": LINE, "message": "y is not defined", "source": "pyright", "code": 1}


async def actions(wire: Wire, uri: str, span: Any = LINE, **context: Any) -> list[dict[str, Any]]:
    params = {"textDocument": {"uri": uri}, "range": span, "context": {"diagnostics": [], **context}}
    return (await wire.request("textDocument/codeAction", params))["result"]  # type: ignore[no-any-return]


async def run(wire: Wire, action: dict[str, Any]) -> Any:
    command = action.get("command") if isinstance(action.get("command"), dict) else action
    assert isinstance(command, dict)
    return await wire.command(command["command"], *command["arguments"])


@pytest.fixture
def code(workspace: Path) -> str:
    (workspace / "a.py").write_text("x = y\nz = 1\n")
    return (workspace / "a.py").as_uri()


async def test_what_is_offered_where(workspace: Path, code: str) -> None:
    async with editor(workspace, DONE, capabilities=CAN, **FREE) as wire:
        assert {one["title"] for one in await actions(wire, code)} == SELECTION
        found = await actions(wire, code, diagnostics=[WRONG])
        assert (found[0]["title"], found[0]["kind"]) == ("Fix with Pygent", "quickfix")
        assert found[0]["diagnostics"] == [WRONG]
        nothing = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
        assert await actions(wire, code, nothing) == []
        only = [one["title"] for one in await actions(wire, code, only=["quickfix"], diagnostics=[WRONG])]
        assert only == ["Fix with Pygent"]
        only = [one["title"] for one in await actions(wire, code, only=["refactor.rewrite"])]
        assert only == ["Document with Pygent"]
        assert await actions(wire, code, only=["source.organizeImports"]) == []
        assert await actions(wire, "untitled:x") == []
    async with editor(workspace, DONE, **FREE) as wire:
        plain = await actions(wire, code, diagnostics=[WRONG])
        assert {one["title"] for one in plain} == {*SELECTION, "Fix with Pygent"}
        assert {type(one["command"]) for one in plain} == {str}


async def test_a_fix_is_an_annotated_edit_of_the_unsaved_document(workspace: Path, code: str) -> None:
    change = call("edit_file", path="a.py", old="x = y", new="x = 2")
    async with editor(workspace, change, DONE, capabilities=CAN, **FREE) as wire:
        paper = Paper(wire, code, "x = y\nz = 1\nunsaved = True\n")
        (fix, *_) = await actions(wire, code, diagnostics=[WRONG])
        result = await run(wire, fix)
        assert result["changes"] == [{"uri": code, "kind": "edited"}]
        assert paper.text == "x = 2\nz = 1\nunsaved = True\n"
        assert Path(workspace / "a.py").read_text() == "x = y\nz = 1\n"
        edits = [one["params"] for one in wire.asked if one["method"] == "workspace/applyEdit"]
        assert edits[0]["edit"]["changeAnnotations"]
        said = wire.model.requests[0]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert "a.py, lines 1 to 1:\n```\nx = y\n```" in said
        assert "Problems in a.py:\n- line 1: y is not defined" in said
        assert [one for one in wire.notifications if one["method"] == "$/progress"]


async def test_an_explanation_is_shown_in_a_document(workspace: Path, code: str, state: Path) -> None:
    async with editor(workspace, DONE, capabilities=CAN, **FREE) as wire:
        wire.answers["window/showDocument"] = lambda params: {"success": True}
        explain = next(one for one in await actions(wire, code) if one["title"].startswith("Explain"))
        assert (await run(wire, explain))["reply"] == "It *adds*."
        (asked,) = [one["params"] for one in wire.asked if one["method"] == "window/showDocument"]
        path = Path(asked["uri"].removeprefix("file://"))
        assert state in path.parents
        assert "## Pygent\n\nIt *adds*." in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        await wire.leave()
        assert not path.exists()


@pytest.mark.parametrize("title", ["Write tests with Pygent", "Document with Pygent"])
async def test_the_other_turns(workspace: Path, code: str, title: str) -> None:
    async with editor(workspace, DONE, capabilities=CAN, **FREE) as wire:
        found = next(one for one in await actions(wire, code) if one["title"] == title)
        assert (await run(wire, found))["status"] == "completed"
        (session,) = (await wire.command("pygent.session.list"))["sessions"]
        assert session["title"].endswith("a.py:1-1")


async def test_delegating_a_selection(workspace: Path, code: str) -> None:
    async with editor(workspace, DONE, capabilities=CAN, **FREE) as wire:
        found = next(one for one in await actions(wire, code) if one["title"].startswith("Delegate"))
        task = (await run(wire, found))["task"]
        (done,) = (await wire.command("pygent.task.wait", taskIds=[task["id"]]))["tasks"]
        assert done["status"] == "completed"
        assert "x = y" in done["prompt"]


async def test_wrong_arguments_are_named(workspace: Path, code: str) -> None:
    async with editor(workspace, DONE, **FREE) as wire:
        error = await wire.refusal("pygent.code.fix", uri=code, range={"start": 1})
        assert error["data"]["field"] == "range"
        error = await wire.refusal("pygent.code.test", uri="untitled:a", range=LINE)
        assert error["data"]["code"] == "unsupported"
        error = await wire.refusal("pygent.code.test", uri=f"{code}x", range=LINE)
        assert error["data"]["code"] == "notFound"


def test_problems_are_replaced_where_they_are_told_anew() -> None:
    problems = Problems()
    other = {**WRONG, "range": {"start": {"line": 5, "character": 0}, "end": {"line": 5, "character": 9}}}
    problems.told("u", LINE, [WRONG, other, {"range": 3}, {}])
    assert problems.known() == {"u": [WRONG, other]}
    problems.told("u", LINE, [])
    assert problems.known() == {"u": [other]}
    problems.told("u", other["range"], [])
    assert problems.known() == {}
    problems.told("u", LINE, [WRONG] * 500)
    assert len(problems.known()["u"]) == MAX_PER_DOCUMENT
    problems.closed({"textDocument": {"uri": "u"}})
    assert problems.known() == {}
