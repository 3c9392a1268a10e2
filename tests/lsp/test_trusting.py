"""Whose word counts in an editor: what a command leaves, what the agent edits, what the person saves."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, editor, server
from tests.story import call

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="Done.")
EVER = Reply(text="Done.", times=0)
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}


async def show(wire: Wire) -> dict[str, Any]:
    return (await wire.command("pygent.config.show"))["values"]  # type: ignore[no-any-return]


async def in_force(wire: Wire) -> dict[str, Any]:
    """The settings in force; the address of the scripted model is another one in each process."""
    return {key: one["value"] for key, one in (await show(wire)).items() if key != "base_url"}


def questions(wire: Wire) -> list[str]:
    return [one["params"]["message"] for one in wire.asked if one["method"] == "window/showMessageRequest"]


def module(mark: Path) -> str:
    return f"open({str(mark)!r}, 'a').write('ran')\n"


TOOLS = '[[tools]]\nmodule = "evil.py"\n'


@pytest.mark.parametrize(
    ("trusted", "way", "name", "text"),
    [
        (True, "bash", "pygent.toml", TOOLS),
        (False, "bash", "pygent.toml", TOOLS),
        (True, "write_file", "pygent.toml", TOOLS),
        (True, "sandbox.run", "pygent.toml", TOOLS),
        (True, "bash", "pygent.toml", 'image = "evil"\n[approvals]\ntimeout = 9\n'),
        (True, "sandbox.run", ".env", "PYGENT_IMAGE=evil\nPYGENT_INIT_FILES=evil.py\n"),
        (True, "bash", "pygent.toml", '[mcp_servers.x]\ncommand = "python3"\nargs = ["evil.py"]\n'),
    ],
)
async def test_what_the_agent_makes_has_no_effect_and_is_announced(
    trusted: bool, way: str, name: str, text: str, workspace: Path, tmp_path: Path, bwrap: str
) -> None:
    mark = tmp_path / "ran"
    make = f"printf '%s' {shlex.quote(module(mark))} > evil.py; printf '%s' {shlex.quote(text)} > {name}"
    work = call("write_file", path=name, content=text) if way == "write_file" else call("bash", cmd=make)
    (workspace / "evil.py").write_text(module(mark))
    replies = [work, DONE, EVER] if way != "sandbox.run" else [EVER]
    options = {"trusted": trusted, "config": {"confirm_bash": False}, "approvals": True, "events": True}
    async with editor(workspace, *replies, **options) as wire:
        wire.answers["pygent/approve"] = lambda params: {"decision": "accept"}
        before = await in_force(wire)
        if way == "sandbox.run":
            await wire.command("pygent.sandbox.run", make)
        else:
            await wire.command("pygent.chat", "go")
        assert (workspace / name).read_text() == text
        await wire.command("pygent.chat", "again")
        assert await in_force(wire) == before
        (question,) = await wire.until(lambda: questions(wire))
        assert name in question and "changed while a command or tool of the agent ran." in question
    async with editor(workspace, EVER, **options) as wire:  # the editor starts again, and trusts again
        await wire.command("pygent.chat", "again")
        assert await in_force(wire) == before
    assert not mark.exists()


async def test_a_module_that_a_command_changes_does_not_run(
    workspace: Path, tmp_path: Path, bwrap: str
) -> None:
    mark = tmp_path / "ran"
    (workspace / "mine.py").write_text("import helper\n")
    (workspace / "helper.py").write_text(f"open({str(tmp_path / 'good')!r}, 'w')\n")
    (workspace / "pygent.toml").write_text('[[tools]]\nmodule = "mine.py"\n')
    make = f"printf '%s' {shlex.quote(module(mark))} > helper.py"
    async with editor(workspace, EVER, **FREE) as wire:
        await wire.command("pygent.sandbox.run", make)  # before the module was ever loaded
        await wire.command("pygent.chat", "go")
        assert (tmp_path / "good").exists() and not mark.exists()
        (question,) = await wire.until(lambda: questions(wire))
        assert "helper.py" in question
        trusted = await wire.command("pygent.workspace.trust", trusted=True)
        assert trusted["wouldChange"][0]["files"] == ["helper.py", "mine.py"]
    async with editor(workspace, EVER, **FREE) as wire:
        await wire.command("pygent.chat", "go")
        assert mark.exists()


@pytest.mark.parametrize(("answer", "value"), [("Trust", False), ("Not now", True), (None, True)])
async def test_one_question_shows_what_would_change(workspace: Path, answer: str | None, value: bool) -> None:
    (workspace / "pygent.toml").write_text('confirm_bash = false\nbase_url = "http://127.0.0.1:1/v1"\n')
    async with server(workspace) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: answer and {"title": answer}
        await wire.initialize(workspace)
        (question,) = await wire.until(lambda: questions(wire))
        assert "confirm_bash = False" in question and "base_url = http://127.0.0.1:1/v1" in question
        (asked,) = [one for one in wire.asked if one["method"] == "window/showMessageRequest"]
        assert [one["title"] for one in asked["params"]["actions"]] == ["Trust", "Not now"]
        shown = await wire.command("pygent.config.show")
        assert shown["values"]["confirm_bash"]["value"] is value
        for _ in range(3):
            await show(wire)
        assert len(questions(wire)) == 1
        assert bool(shown["wouldChange"]) == value
        (workspace / "pygent.toml").write_text("confirm_bash = false\nconfirm_edits = false\n")
        await show(wire)
        if value:
            await wire.until(lambda: len(questions(wire)) == 2)


def document(path: Path, text: str) -> dict[str, Any]:
    return {"textDocument": {"uri": path.as_uri(), "languageId": "toml", "version": 1, "text": text}}


def typed(wire: Wire, path: Path, text: str, version: int) -> None:
    params = {
        "textDocument": {"uri": path.as_uri(), "version": version},
        "contentChanges": [{"text": text}],
    }
    wire.tell("textDocument/didChange", params)


def saved(wire: Wire, path: Path) -> None:
    wire.tell("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})


LOOSE = "confirm_bash = false\n"


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("trusted", [False, True])
async def test_what_the_person_saves_counts_where_the_editor_trusts(
    workspace: Path, new: bool, trusted: bool
) -> None:
    path = workspace / "pygent.toml"
    if not new:
        path.write_text("# mine\n")
    async with editor(workspace, EVER, trusted=trusted) as wire:
        await show(wire)
        wire.tell("textDocument/didOpen", document(path, "" if new else "# mine\n"))
        typed(wire, path, LOOSE, 2)
        await show(wire)
        path.write_text(LOOSE)
        wire.tell("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 2}]})
        saved(wire, path)
        assert (await show(wire))["confirm_bash"]["value"] is not trusted


async def test_a_text_that_the_editor_read_again_is_not_the_persons(workspace: Path) -> None:
    path = workspace / "pygent.toml"
    path.write_text("# mine\n")
    async with editor(workspace, EVER, trusted=True) as wire:
        await show(wire)
        wire.tell("textDocument/didOpen", document(path, "# mine\n"))
        path.write_text(LOOSE)  # somebody else
        typed(wire, path, LOOSE, 2)  # the editor takes it in
        saved(wire, path)
        assert (await show(wire))["confirm_bash"]["value"] is True
        typed(wire, path, f"{LOOSE}# more\n", 3)
        path.write_text(f"{LOOSE}# more\n")
        saved(wire, path)
        assert (await show(wire))["confirm_bash"]["value"] is True
        assert (await wire.command("pygent.workspace.trust", trusted=True))["trusted"]
        typed(wire, path, f"{LOOSE}confirm_edits = true\n", 4)
        path.write_text(f"{LOOSE}confirm_edits = true\n")
        saved(wire, path)
        values = await show(wire)
        assert (values["confirm_bash"]["value"], values["confirm_edits"]["value"]) == (False, True)


async def test_a_text_that_was_opened_after_a_command_is_not_the_persons(workspace: Path) -> None:
    path = workspace / ".env"
    async with editor(workspace, EVER, trusted=True) as wire:
        await show(wire)
        path.write_text("PYGENT_CONFIRM_BASH=0\n")
        wire.tell("textDocument/didOpen", document(path, "PYGENT_CONFIRM_BASH=0\n"))
        saved(wire, path)
        assert (await show(wire))["confirm_bash"]["value"] is True


EVIL = 'image = "evil"\n'


async def test_an_edit_of_the_agent_is_not_the_persons(workspace: Path) -> None:
    path = workspace / "pygent.toml"
    path.write_text("# mine\n")
    replies = [
        call("read_file", path="pygent.toml"),
        call("write_file", path="pygent.toml", content=EVIL),
        DONE,
        EVER,
    ]
    capabilities = {"workspace": {"applyEdit": True}}
    async with editor(workspace, *replies, capabilities=capabilities, approvals=True, **FREE) as wire:
        wire.answers["pygent/approve"] = lambda params: {"decision": "accept"}

        def apply(params: Any) -> Any:
            typed(wire, path, EVIL, 2)
            return {"applied": True}

        wire.answers["workspace/applyEdit"] = apply
        await show(wire)
        wire.tell("textDocument/didOpen", document(path, "# mine\n"))
        await wire.command("pygent.chat", "go")
        assert any(one["method"] == "workspace/applyEdit" for one in wire.asked)
        path.write_text(EVIL)
        saved(wire, path)
        held = (await wire.command("pygent.config.show"))["wouldChange"]
        assert [one["key"] for one in held] == ["image"]
