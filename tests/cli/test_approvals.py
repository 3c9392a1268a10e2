"""Approvals and questions that another process answers: seen from anywhere, resolved once."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.cli.program import Program
from tests.conftest import python
from tests.lsp.wire import IGNORE, Wire, server
from tests.nasty import COMMANDS
from tests.story import Person, call, story
from tests.test_recovery import ended

from pygent.approval_text import made_visible
from pygent.cli.asking import show_approval
from pygent.cli.console import Console
from pygent.cli.diffs import styled
from pygent.delegation import DelegateRequest
from pygent.events import ApprovalRequested, ApprovalResolved, QuestionAnswered, QuestionAsked
from pygent.records import Approval, Decision, Isolation
from pygent.replay import Reply
from pygent.store import Store
from pygent.visible import visible

DONE = Reply(text="All done.", times=0)
TOUCH = call("bash", cmd="touch x")
ASK = call("ask_user", prompt="Tabs or spaces?")


class Slow(Person):
    """A front end with a person who is at lunch."""

    async def ask(self, question: Any) -> str | None:
        return await asyncio.get_running_loop().create_future()


@pytest.fixture
async def asked(workspace: Path, pygent: Callable[..., Program]) -> AsyncIterator[tuple[Wire, Program, str]]:
    """A server whose task waits for consent, a shell beside it, and the task's id."""
    program = pygent(TOUCH, DONE)
    async with server(workspace, base_url=program.base_url) as wire:
        await wire.initialize(workspace, events=True, approvals=True)
        wire.answers["pygent/approve"] = lambda params: IGNORE
        task = (await wire.command("pygent.delegate", prompt="touch it"))["task"]["id"]
        await wire.event("approvalRequested")
        yield wire, program, task


async def run(program: Program, *arguments: str) -> Any:
    return await asyncio.to_thread(program, *arguments)


def result(journal: Path) -> str:
    """What the model was told of its last call."""
    requests = [json.loads(line) for line in journal.read_text().splitlines()]
    return str([one for one in requests[-1]["messages"] if one["role"] == "tool"][-1]["content"])


@pytest.mark.e2e
async def test_a_shell_allows_what_an_editor_asks(asked: tuple[Wire, Program, str], workspace: Path) -> None:
    wire, program, task = asked
    shown = await run(program, "approvals")
    (approval,) = json.loads((await run(program, "approvals", "--json")).stdout)["approvals"]
    assert shown.stdout.strip() == approval["id"]
    assert "[Task: touch it]" in shown.stderr
    assert "touch x" in shown.stderr
    done = await run(program, "approvals", "allow", approval["id"][-6:])
    assert (done.returncode, done.stderr.strip()) == (0, "allowed")
    assert (await ended(wire, task))["status"] == "completed"
    assert (Path(wire.events("taskChanged")[-1]["event"]["task"]["workspace"]) / "x").exists()
    (resolved,) = wire.events("approvalResolved")
    assert (resolved["event"]["decision"], resolved["event"]["by"]) == ("accept", "cli")
    late = await run(program, "approvals", "deny", approval["id"])
    assert late.returncode == 1
    assert "No approval that waits" in late.stderr


@pytest.mark.parametrize("isolation", get_args(Isolation))
def test_every_isolation_is_named(isolation: Any) -> None:
    asked = Approval(
        id="apr_1",
        session_id="ses_1",
        kind="command",
        title="Run",
        detail="",
        command="id\nls",
        isolation=isolation,
    )
    console = Console(io.StringIO(), io.StringIO(), colour=False)
    show_approval(console, asked)
    shown = console.err.getvalue()  # type: ignore[attr-defined]
    assert "  id\n  ls\n" in shown
    assert ("NO SANDBOX" in shown) == (isolation == "local")


@pytest.mark.e2e
async def test_a_shell_denies_with_a_reason(asked: tuple[Wire, Program, str], tmp_path: Path) -> None:
    wire, program, task = asked
    (approval,) = (await wire.command("pygent.approvals"))["approvals"]
    assert (await run(program, "approvals", "deny", approval["id"], "leave", "it")).returncode == 0
    done = await ended(wire, task)
    assert (done["status"], done["changedFiles"]) == ("completed", [])
    assert "leave it" in result(tmp_path / "journal")
    assert await wire.command("pygent.approvals") == {"approvals": []}


@pytest.mark.e2e
async def test_of_many_who_answer_at_once_one_decides(asked: tuple[Wire, Program, str]) -> None:
    wire, program, task = asked
    (approval,) = (await wire.command("pygent.approvals"))["approvals"]
    fields = {"approvalId": approval["id"], "decision": "accept"}
    shells = [run(program, "approvals", "deny", approval["id"], str(n)) for n in range(3)]
    editor, *others = await asyncio.gather(wire.command("pygent.approval.respond", **fields), *shells)
    assert [editor["resolved"], *(one.returncode == 0 for one in others)].count(True) == 1
    await ended(wire, task)
    assert len(wire.events("approvalResolved")) == 1


@pytest.mark.e2e
async def test_what_a_killed_server_asked_waits_no_longer(asked: tuple[Wire, Program, str]) -> None:
    wire, program, _ = asked
    (approval,) = (await wire.command("pygent.approvals"))["approvals"]
    os.kill(wire.process.pid, signal.SIGKILL)
    await wire.process.wait()
    late = await run(program, "approvals", "allow", approval["id"])
    assert late.returncode == 1
    assert json.loads((await run(program, "approvals", "--json")).stdout) == {"approvals": []}


async def test_what_is_said_to_a_task_that_asks_is_the_answer(workspace: Path, state: Path) -> None:
    async with story(workspace, ASK, Reply(text="Tabs it is."), state=state, person=Slow()) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("indent it", tale.folder))
        await tale.person.until(QuestionAsked)
        async with story(workspace, state=state) as other:
            assert other.app.tasks.get(task.id).waiting_for == "[Task: indent it] Tabs or spaces?"
            assert other.app.tasks.send(task.id, "tabs")
            (done,) = await other.app.tasks.wait([task.id], 30)
        assert done.status == "completed"
        assert [event.answer for event in tale.person.of(QuestionAnswered)] == ["tabs"]
        assert tale.last_result().endswith(": tabs")
        assert tale.app.store.mail(task.session_id) == []


async def test_an_answer_that_was_taken_counts_at_the_very_end_of_the_wait(
    workspace: Path, state: Path
) -> None:
    """Whoever was told that it is resolved was not told so in vain, though nobody had looked yet."""
    wait = {"timeout": 0.01}
    async with story(workspace, TOUCH, DONE, state=state, confirm_bash=True, approvals=wait) as tale:
        other = Store(state)
        tale.person.approve = lambda approval: later(other, approval.id)  # type: ignore[method-assign]
        await tale.app.tasks.delegate(DelegateRequest("touch it", tale.folder))
        resolved = await tale.person.until(ApprovalResolved)
        assert (resolved.decision, resolved.by) == ("accept", "other")
        other.close()


RENAME = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
db.execute(f"ALTER TABLE {sys.argv[2]} RENAME TO {sys.argv[3]}")
"""


async def test_an_answer_of_another_process_counts_after_the_store_could_not_be_read(
    workspace: Path, state: Path
) -> None:
    """What waits goes on waiting, and is answered, whatever another program did to the file meanwhile."""

    async def rename(old: str, new: str) -> None:
        command = python("-c", RENAME, str(state / "pygent.db"), old, new)
        await asyncio.to_thread(subprocess.run, command, check=True)

    async with story(workspace, TOUCH, DONE, state=state, confirm_bash=True) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("touch it", tale.folder))
        await tale.person.until(ApprovalRequested)
        await rename("asked", "gone")
        while "can't be read" not in (state / "pygent.log").read_text():
            await asyncio.sleep(0.05)
        await rename("gone", "asked")
        other = Store(state)
        (approval,) = other.pending_approvals()
        assert other.reply(approval.id, Decision(decision="accept"), "other")
        other.close()
        resolved = await tale.person.until(ApprovalResolved)
        assert (resolved.decision, resolved.by) == ("accept", "other")
        (ended,) = await tale.app.tasks.wait([task.id], 30)
        assert (ended.status, (Path(ended.workspace) / "x").exists()) == ("completed", True)


async def later(other: Store, approval_id: str) -> None:
    """Answer in another process's name and let the time run out before this one can look."""
    assert other.reply(approval_id, Decision(decision="accept"), "other")
    time.sleep(0.05)


@pytest.mark.parametrize("words", [[], ["run", "touch it"]])
def test_a_terminal_that_asks_goes_on_when_another_answers(
    pygent: Callable[..., Program], words: list[str]
) -> None:
    program = pygent(TOUCH, Reply(text="Touched it."))
    terminal = program.terminal("--cwd", *words)
    if not words:
        terminal.until("/help")
        terminal.type("touch it\r")
    terminal.until("[c]ancel")
    while not (pending := json.loads(program("approvals", "--json").stdout)["approvals"]):
        pass
    assert program("approvals", "allow", pending[0]["id"]).returncode == 0
    terminal.until("Touched it.")
    assert re.search(r"^ *accept \(cli\)", terminal.text, re.M)
    assert (program.folder / "x").exists()
    if not words:
        terminal.until("tokens in")
        terminal.type("/exit\r")
    assert terminal.wait() == 0


@pytest.mark.parametrize("word", ["stop", "sure", "", "yep", "ys", "nope", "accept", "1", "yes please"])
def test_only_whole_words_are_answers(pygent: Callable[..., Program], word: str) -> None:
    program = pygent(TOUCH, Reply(text="Left alone."))
    terminal = program.terminal("--cwd", "run", "touch it")
    terminal.until("[c]ancel >")
    terminal.type(f"{word}\n")
    terminal.until("Answer y, s, n or c")
    terminal.until("[c]ancel >", times=2)
    terminal.type(" NO, not now \n")
    terminal.until("Left alone.")
    assert terminal.wait() == 0
    assert not (program.folder / "x").exists()


@pytest.mark.parametrize(("word", "made"), [("y", True), (" Yes ", True), ("SESSION", True), ("\x04", False)])
def test_each_word_is_taken_for_what_it_says(pygent: Callable[..., Program], word: str, made: bool) -> None:
    program = pygent(TOUCH, Reply(text="Done with it."))
    terminal = program.terminal("--cwd", "run", "touch it")
    terminal.until("[c]ancel >")
    terminal.type(word if word == "\x04" else f"{word}\n")
    assert terminal.wait() == (0 if made else 130)
    assert (program.folder / "x").exists() == made


@pytest.mark.parametrize("words", [[], ["run", "go"]], ids=["interactive", "run"])
def test_what_was_typed_before_the_question_does_not_answer_it(
    pygent: Callable[..., Program], words: list[str]
) -> None:
    program = pygent(TOUCH, Reply(text="Left alone."))
    terminal = program.terminal("--cwd", *words)
    if words:
        terminal.type("yes\n" * 5)
    else:
        terminal.until("/help")
        terminal.type("go\ryes\ryes\r")
    terminal.until("[c]ancel >")
    terminal.until("touch x")
    assert not (program.folder / "x").exists()
    terminal.type("n\r")
    terminal.until("Left alone.")
    if not words:
        terminal.until("tokens in")
        terminal.type("/exit\r")
    assert terminal.wait() == 0
    assert not (program.folder / "x").exists()


def test_a_dumb_terminal_asks_for_whole_words_too(pygent: Callable[..., Program]) -> None:
    program = pygent(TOUCH, Reply(text="Left alone."))
    terminal = program.terminal("--cwd", TERM="dumb")
    terminal.until("Pygent>")
    terminal.type("go\r")
    terminal.until("[c]ancel >")
    terminal.type("stop\r")
    terminal.until("Answer y, s, n or c")
    terminal.until("[c]ancel >", times=2)
    terminal.type("no\r")
    terminal.until("Left alone.")
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert not (program.folder / "x").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_a_terminal_shows_the_whole_command(encoding: str) -> None:
    for command in [*COMMANDS, "echo ä…日"]:
        stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="replace")
        asked = Approval(
            id="apr_1",
            session_id="ses_1",
            kind="command",
            title="Run a command",
            detail=command,
            command=command,
            isolation="docker",
            background=True,
            network=True,
            outside=["/srv/\u200bx"],
        )
        show_approval(Console(stream, stream, colour=False), made_visible(asked))
        stream.seek(0)
        shown = [line.removeprefix("  ") for line in stream.read().split("\n")]
        spelt = "".join(
            char if char.encode(encoding, "ignore") else f"\\u{{{ord(char):x}}}" for char in visible(command)
        )
        assert spelt in "\n".join(shown)
        assert shown[0] == "? Run a command (in Docker)"
        assert "With network." in shown and "In the background: it goes on after the answer." in shown
        assert "It can also change files outside of the workspace: /srv/\\u{200b}x." in shown


def test_the_lines_of_a_diff_are_coloured_by_their_place() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- gone\n+++ come\n  @@ kept\n\\ No newline at end of file\n"
    assert [style for _, style in styled(diff)] == ["dim", "dim", "cyan", "red", "green", "dim", "dim"]
    assert "".join(f"{line}\n" for line, _ in styled(diff)) == diff
