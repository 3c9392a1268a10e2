"""Unsaved buffers: the agent reads them, edits them as the editor's own, and loses nothing a person types."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lsp.desk import Desk
from tests.lsp.inprocess import Loop
from tests.lsp.wire import Wire, editor
from tests.story import call

from pygent.errors import ToolError
from pygent.lsp.server import Host
from pygent.replay import Reply
from pygent.workspace import Text, Workspace

DONE = Reply(text="All done.", times=0)
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
EDITS = {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}
FULL = {
    "applyEdit": True,
    "workspaceEdit": {
        "documentChanges": True,
        "changeAnnotationSupport": {},
        "resourceOperations": ["create", "rename", "delete"],
    },
}


def told(wire: Wire) -> str:
    """The result of the last call, as the model was told it."""
    return str(wire.model.requests[-1]["messages"][-1]["content"])  # type: ignore[attr-defined]


@pytest.mark.e2e
async def test_what_is_typed_while_consent_is_asked_is_not_overwritten(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("")
    replies = call("edit_file", path="a.txt", old="two", new="2"), DONE
    options = {"trusted": True, "approvals": True, "config": {"confirm_edits": True}}
    async with editor(workspace, *replies, capabilities={"workspace": EDITS}, **options) as wire:
        desk = Desk(wire)
        desk.open(path, "one\ntwo\n")

        def approve(_: Any) -> Any:
            desk.type(path, "typed ", 0)
            return {"decision": "accept"}

        wire.answers["pygent/approve"] = approve
        await wire.command("pygent.chat", "go")
        assert "nothing was written. Its text is now:\ntyped one\ntwo" in told(wire)
        assert desk.text(path) == "typed one\ntwo\n"
        assert desk.edits == []


@pytest.mark.e2e
@pytest.mark.parametrize("why", ["refused", "stale"])
async def test_an_edit_that_is_not_made_tells_the_model_the_present_text(workspace: Path, why: str) -> None:
    path = workspace / "a.txt"
    path.write_text("on disk\n")
    replies = call("edit_file", path="a.txt", old="two", new="2"), DONE
    async with editor(workspace, *replies, capabilities={"workspace": EDITS}, **FREE) as wire:
        desk = Desk(wire)
        desk.open(path, "one\ntwo\n")
        desk.refuse = why == "refused"
        if why == "stale":
            desk.before = lambda: desk.type(path, "typed ", 0)
        assert (await wire.command("pygent.chat", "go"))["changes"] == []
        now = "one\ntwo\n" if why == "refused" else "typed one\ntwo\n"
        assert f"nothing was written. Its text is now:\n{now}" in told(wire)
        assert (desk.text(path), path.read_text()) == (now, "on disk\n")


@pytest.mark.e2e
async def test_several_changes_are_several_edits_and_one_undo(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("")
    before = "x = 1\r\n" + "same\r\n" * 20 + "y = 1\r\n"
    replies = call("edit_file", path="a.txt", old="= 1", new="= 2", replace_all=True), DONE
    async with editor(workspace, *replies, capabilities={"workspace": FULL}, **FREE) as wire:
        desk = Desk(wire)
        desk.open(path, before)
        await wire.command("pygent.chat", "go")
        assert desk.text(path) == before.replace("= 1", "= 2")
        (change,) = desk.edits[0]["edit"]["documentChanges"]
        assert [one["newText"] for one in change["edits"]] == ["2", "2"]
        annotations = desk.edits[0]["edit"]["changeAnnotations"]
        assert annotations == {"pygent": {"label": "Pygent: a.txt", "needsConfirmation": False}}
        assert {one["annotationId"] for one in change["edits"]} == {"pygent"}
        assert desk.undo == [(path.as_uri(), before)]


@pytest.mark.e2e
async def test_a_step_after_an_edit_sees_it_although_nothing_is_saved(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("one\n")
    replies = (
        call("edit_file", path="a.txt", old="one", new="two"),
        call("edit_file", path="a.txt", old="two", new="three"),
        call("bash", cmd="cat a.txt"),
        DONE,
    )
    async with editor(workspace, *replies, capabilities={"workspace": EDITS}, events=True, **FREE) as wire:
        desk = Desk(wire)
        desk.open(path, "one\n")
        await wire.command("pygent.chat", "go")
        assert desk.text(path) == "three\n"
        assert told(wire) == "one\n[Not saved in the editor, so commands see the older files: a.txt.]"
        assert "unsaved" in [one["event"]["code"] for one in wire.events("notice")]


@pytest.mark.e2e
async def test_a_person_is_told_of_unsaved_files_when_a_command_is_to_be_allowed(workspace: Path) -> None:
    (workspace / "a.txt").write_text("one\n")
    replies = call("bash", cmd="cat a.txt"), DONE
    async with editor(workspace, *replies, approvals=True) as wire:
        asked: list[Any] = []
        wire.answers["pygent/approve"] = lambda params: asked.append(params) or {"decision": "accept"}
        desk = Desk(wire)
        desk.open(workspace / "a.txt", "unsaved\n")
        desk.open(workspace / "chat.pygent.md", "## You\n")
        await wire.command("pygent.chat", "go")
        assert asked[0]["command"] == "cat a.txt"
        assert asked[0]["detail"].endswith("commands see the older files: a.txt.")


@pytest.mark.e2e
@pytest.mark.parametrize("capabilities", [FULL, EDITS, {}], ids=["creates", "edits", "nothing"])
async def test_a_new_file_is_whole_on_disk_at_once(workspace: Path, capabilities: Any) -> None:
    replies = call("write_file", path="sub/new.txt", content="new\n"), DONE
    async with editor(workspace, *replies, capabilities={"workspace": capabilities}, **FREE) as wire:
        desk = Desk(wire)
        result = await wire.command("pygent.chat", "go")
        path = workspace / "sub/new.txt"
        assert path.read_text() == "new\n"
        assert result["changes"] == [{"uri": path.as_uri(), "kind": "created"}]
        operations = [one["edit"]["documentChanges"][0] for one in desk.edits]
        assert [(one["kind"], one["uri"]) for one in operations] == (
            [("create", path.as_uri())] if capabilities is FULL else []
        )


@pytest.mark.e2e
@pytest.mark.parametrize("capabilities", [FULL, EDITS], ids=["deletes", "edits"])
async def test_undo_deletes_an_open_file_through_the_editor_or_leaves_it(
    workspace: Path, capabilities: Any
) -> None:
    replies = call("write_file", path="new.txt", content="new\n"), DONE
    async with editor(workspace, *replies, capabilities={"workspace": capabilities}, **FREE) as wire:
        desk, path = Desk(wire), workspace / "new.txt"
        await wire.command("pygent.chat", "go")
        desk.open(path, "new\n")
        done = await wire.command("pygent.undo")
        assert done["restored"] == (capabilities is FULL)
        assert path.exists() != (capabilities is FULL)


@pytest.mark.e2e
async def test_a_file_that_changed_on_disk_meanwhile_is_kept(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("one\n")
    replies = call("write_file", path="a.txt", content="all new\n"), DONE
    options = {"trusted": True, "approvals": True, "config": {"confirm_edits": True}}
    async with editor(workspace, *replies, **options) as wire:

        def approve(_: Any) -> Any:
            path.write_text("changed by another program\n")
            return {"decision": "accept"}

        wire.answers["pygent/approve"] = approve
        await wire.command("pygent.chat", "go")
        assert path.read_text() == "changed by another program\n"
        assert "Its text is now:\nchanged by another program" in told(wire)


@pytest.mark.e2e
async def test_a_client_that_never_tells_of_the_edit_delays_and_stops_nothing(workspace: Path) -> None:
    path = workspace / "a.txt"
    path.write_text("")
    replies = call("edit_file", path="a.txt", old="one", new="two"), DONE
    async with editor(workspace, *replies, capabilities={"workspace": EDITS}, **FREE) as wire:
        desk = Desk(wire)
        desk.open(path, "one\n")
        desk.silent = True
        assert (await wire.command("pygent.chat", "go"))["status"] == "completed"
        assert told(wire).startswith("Edited a.txt")


PIECES = st.lists(st.sampled_from(["a", "é", "😀", "\n", "\r\n", "\r", " ", "\u2028"]), max_size=12).map(
    "".join
)
KEYS = st.lists(
    st.tuples(st.sampled_from(["before", "after"]), st.integers(0, 40), st.sampled_from("🅐🅑🅒")), max_size=8
)


class NoApp:
    """Stands where no App is needed."""


@given(PIECES, st.lists(PIECES, min_size=1, max_size=4), KEYS, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_key_a_person_presses_is_lost(
    tmp_path: Path, text: str, agent: list[str], keys: list[Any], encoding: str
) -> None:
    asyncio.run(type_beside(tmp_path, text, agent, keys, encoding))


async def type_beside(folder: Path, text: str, agent: list[str], keys: list[Any], encoding: str) -> None:
    """The agent rewrites an open document while a person types marks that occur nowhere else."""
    host = Host(NoApp)  # type: ignore[arg-type]
    capabilities = {"workspace": EDITS, "general": {"positionEncodings": [encoding]}}
    loop = Loop(host, capabilities)
    desk, path = Desk(loop, encoding), folder / "a.txt"  # type: ignore[arg-type]
    desk.open(path, text)
    workspace = Workspace(folder)
    workspace.documents = host.documents
    pending, typed = list(keys), list[str]()

    def press(when: str) -> None:
        while pending and pending[0][0] == when:
            _, at, mark = pending.pop(0)
            place = desk.documents[path.as_uri()].offset(
                desk.documents[path.as_uri()].position(at % (len(desk.text(path)) + 1))
            )
            desk.type(path, mark, place)
            typed.append(mark)

    desk.before = lambda: press("before")
    for new in agent:
        press("after")
        before = workspace.read(path)
        kept = [mark for mark in before.content if mark in "🅐🅑🅒"]
        try:
            await workspace.write(path, before, new + "".join(kept), "test")
        except ToolError as error:
            assert "nothing was written" in str(error)
    loop.close()
    assert sorted(mark for mark in desk.text(path) if mark in "🅐🅑🅒") == sorted(typed)
    (buffer,) = loop.server.buffers
    assert buffer.text == desk.text(path)


async def test_of_two_editors_the_one_typed_in_last_is_read_and_edited(tmp_path: Path) -> None:
    host = Host(NoApp)  # type: ignore[arg-type]
    loops = [Loop(host, {"workspace": EDITS}) for _ in range(2)]
    desks = [Desk(loop) for loop in loops]  # type: ignore[arg-type]
    path = tmp_path / "a.txt"
    for desk in desks:
        desk.open(path, "same\n")
    workspace = Workspace(tmp_path)
    workspace.documents = host.documents
    desks[0].type(path, "mine ", 0)
    assert workspace.read(path).content == "mine same\n"
    await workspace.write(path, workspace.read(path), "new\n", "test")
    assert [desk.text(path) for desk in desks] == ["new\n", "same\n"]
    loops[0].close()
    assert workspace.read(path).content == "same\n"
    loops[1].close()
    with pytest.raises(ToolError):
        workspace.read(path)


async def test_two_edits_at_once_wait_for_each_other(tmp_path: Path) -> None:
    host = Host(NoApp)  # type: ignore[arg-type]
    loop = Loop(host, {"workspace": EDITS})
    desk, path = Desk(loop), tmp_path / "a.txt"  # type: ignore[arg-type]
    desk.open(path, "one\n")
    workspace = Workspace(tmp_path)
    workspace.documents = host.documents
    before = Text("one\n")
    results = await asyncio.gather(
        workspace.write(path, before, "two\n", "test"),
        workspace.write(path, before, "three\n", "test"),
        return_exceptions=True,
    )
    assert results[0] == "edited"
    assert isinstance(results[1], ToolError)
    assert "Its text is now:\ntwo\n" in str(results[1])
    assert desk.text(path) == "two\n"
    loop.close()
