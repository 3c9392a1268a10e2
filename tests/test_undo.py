"""Undo and redo of a turn: its commands included, and what a person typed since kept."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.story import Person, call, story

from pygent import checkpoints
from pygent.errors import PygentError
from pygent.events import Checkpoint, Envelope, Message, Notice, ToolFinished, TurnFinished, TurnUndone
from pygent.replay import Reply, ScriptedCall

DONE = Reply(text="Done.")
CHANGE = Reply(
    tool_calls=[
        ScriptedCall(name="edit_file", arguments={"path": "text", "old": "two", "new": "TWO"}),
        ScriptedCall(name="bash", arguments={"cmd": "rm gone; printf '\\001\\000' > made; chmod +x run"}),
    ]
)


def fill(workspace: Path) -> None:
    (workspace / "text").write_text("one\ntwo\nthree\nfour\n")
    (workspace / "gone").write_text("was here\n")
    (workspace / "run").write_text("#!/bin/sh\n")


async def test_a_turn_is_taken_back_and_made_again(workspace: Path) -> None:
    fill(workspace)
    async with story(workspace, CHANGE, DONE, Reply(text="I see.")) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("change it")
        preview = await session.undo(preview=True)
        assert sorted(file.action for file in preview.files) == ["created", "deleted", "edited", "edited"]
        assert (workspace / "made").exists()
        assert preview == await session.undo()
        assert preview.restored
        assert (workspace / "text").read_text() == "one\ntwo\nthree\nfour\n"
        assert (workspace / "gone").read_text() == "was here\n"
        assert not (workspace / "made").exists()
        assert not (workspace / "run").stat().st_mode & 0o111
        with pytest.raises(PygentError, match="no turn"):
            await session.undo()
        assert (await session.undo(redo=True)).restored
        assert (workspace / "text").read_text() == "one\nTWO\nthree\nfour\n"
        assert (workspace / "made").read_bytes() == b"\1\0"
        assert (workspace / "run").stat().st_mode & 0o111
        with pytest.raises(PygentError, match="no turn"):
            await session.undo(redo=True)
        assert [event.redone for event in tale.person.of(TurnUndone)] == [False, True]
        await session.chat("and now?")
        assert "taken back" in str(tale.server.requests[-1]["messages"])
    assert not (workspace / ".git").exists()


async def test_what_was_typed_since_is_kept(workspace: Path) -> None:
    fill(workspace)
    async with story(workspace, CHANGE, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("change it")
        (workspace / "text").write_text("one\nTWO\nthree\nfour and five\n")
        (workspace / "made").write_text("mine now\n")
        done = await session.undo()
        assert not done.restored
        (conflict,) = [file for file in done.files if file.conflict is not None]
        assert conflict.uri.endswith("/made")
    assert (workspace / "text").read_text() == "one\ntwo\nthree\nfour and five\n"
    assert (workspace / "made").read_text() == "mine now\n"


async def test_turns_are_taken_back_one_after_the_other_or_by_name(workspace: Path) -> None:
    write = [call("write_file", path=name, content=name) for name in "ab"]
    async with story(workspace, write[0], DONE, write[1], DONE, Reply(text="Nothing to do.")) as tale:
        session = tale.app.sessions.new(tale.folder)
        first = await session.chat("a")
        await session.chat("b")
        await session.chat("talk")
        assert len(tale.person.of(Checkpoint)) == 2
        await session.undo(first.turn_id)
        assert sorted(path.name for path in workspace.iterdir()) == ["b"]
        await session.undo()
        assert sorted(path.name for path in workspace.iterdir()) == []
        await session.undo(redo=True)
        assert sorted(path.name for path in workspace.iterdir()) == ["b"]


async def test_a_cancelled_turn_can_be_taken_back(workspace: Path) -> None:
    fill(workspace)
    async with story(workspace, call("bash", cmd="echo spoilt > text; touch begun; sleep 60")) as tale:
        session = tale.app.sessions.new(tale.folder)
        session.start("go")
        while not (workspace / "begun").exists():
            await asyncio.sleep(0.05)
        assert await session.cancel()
        assert (await session.undo()).restored
    assert (workspace / "text").read_text() == "one\ntwo\nthree\nfour\n"


async def test_a_workspace_that_is_too_large_for_a_snapshot_is_told_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.0001)
    replies = [call("write_file", path=name, content=name) for name in "ab"]
    async with story(workspace, *replies, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("go")).status == "completed"
        told = [event.text for event in tale.person.of(Notice) if event.code == "snapshot"]
        assert len(told) == 1
        assert "can't be undone" in told[0]
        with pytest.raises(PygentError, match="no turn"):
            await session.undo()


@pytest.mark.parametrize("steps", [0, 3, 6, 12, 25])
async def test_a_turn_that_is_cancelled_at_its_last_snapshot_ends_once(workspace: Path, steps: int) -> None:
    fill(workspace)
    async with story(workspace, CHANGE, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        session.start("go")
        await tale.person.until(Message, text="Done.")
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.gather(session.cancel(), session.cancel())
        kinds = [type(envelope.event) for envelope in session.events()]
        assert kinds[-1] is TurnFinished
        assert (kinds.count(TurnFinished), kinds.count(Checkpoint)) == (1, 1)
        assert (await session.undo()).restored


async def test_a_turn_ends_well_when_its_snapshot_fails(workspace: Path) -> None:
    class Breaker(Person):
        def emit(self, envelope: Envelope) -> None:
            super().emit(envelope)
            if isinstance(envelope.event, ToolFinished):
                shutil.rmtree(shadow)
                shadow.touch()

    async with story(workspace, call("bash", cmd="echo x > made"), DONE, person=Breaker()) as tale:
        shadow = tale.folder.launch.state / "shadow.git"
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("go")).status == "completed"
        assert "can't be undone" in tale.person.of(Notice)[-1].text
        assert isinstance(session.events()[-1].event, TurnFinished)
