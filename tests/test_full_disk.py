"""A disk that is full for a while: said in a sentence, nothing stuck, and gone on with once there is room."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest
from tests.story import call, story

from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.events import TaskChanged, ToolStarted, TurnFinished, TurnStarted
from pygent.replay import Reply
from pygent.sandbox.output import HEAD, Output
from pygent.store import Store

DONE = Reply(text="Done.", times=0)
LONG = call("bash", cmd="until [ -e go ]; do sleep 0.02; done; head -c 100000 /dev/zero | tr '\\0' x")


def room(store: Store, pages: int) -> None:
    """Let the store's file grow by so many pages and no further, as a full disk does."""
    (now,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count={now + pages}")


async def test_turns_and_tasks_end_and_go_on_when_there_is_room_again(workspace: Path, state: Path) -> None:
    async with story(workspace, LONG, DONE, state=state) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("work", tale.folder))
        session = tale.app.sessions.new(tale.folder)
        await tale.person.until(ToolStarted)
        room(tale.app.store, 0)
        with pytest.raises(PygentError, match="disk is full"):
            await session.chat("hello " * 20_000)
        assert session.turn_id is None
        (Path(task.workspace) / "go").touch()
        while "tasks wait for the store" not in (state / "pygent.log").read_text():
            await asyncio.sleep(0.05)
        assert not [event for event in tale.person.of(TaskChanged) if event.task.status == "failed"]
        room(tale.app.store, 10_000)
        while (ended := tale.person.of(TaskChanged)[-1].task).status != "failed":
            await asyncio.sleep(0.05)
        assert ended.error is not None
        assert "disk is full" in ended.error.message
        (workspace / "go").touch()
        assert (await session.chat("again")).status == "completed"
        for one in (session.id, task.session_id):
            kinds = [type(envelope.event) for envelope in tale.app.store.events(one)]
            assert kinds.count(TurnStarted) == kinds.count(TurnFinished)
        assert tale.app.tasks.send(task.id, "go on")
        (ended,) = await tale.app.tasks.wait([task.id], 30)
        assert ended.status == "completed"


async def test_a_turn_whose_end_can_not_be_stored_leaves_its_session_free(workspace: Path) -> None:
    async with story(workspace, LONG, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        turn = asyncio.create_task(session.chat("hello"))
        await tale.person.until(ToolStarted)
        tale.app.store._db.execute("PRAGMA query_only=1")
        (workspace / "go").touch()
        with pytest.raises(PygentError, match="readonly"):
            await turn
        assert session.turn_id is None
        tale.app.store._db.execute("PRAGMA query_only=0")
        assert (await session.chat("again")).status == "completed"
        ends = [event.status for event in tale.person.of(TurnFinished)]
        assert ends == ["failed", "completed"]


@pytest.mark.parametrize("pieces", [1, 50])
def test_an_output_that_can_not_be_kept_is_shown_all_the_same(tmp_path: Path, pieces: int) -> None:
    shown: list[str] = []
    output = Output(tmp_path, "one", shown.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEAD, before[1]))
    try:
        for _ in range(pieces):
            output.feed(b"x" * (8 * HEAD // pieces))
        output.feed(b"the end")
        text, path = output.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (path, text.endswith("the end")) == (None, True)
    assert "could not be kept: File too large" in text
    assert len("".join(shown)) == 8 * HEAD // pieces * pieces + len("the end")
