"""Delegated tasks: their place in the queue, what they are given, and what they wait for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.lsp.wire import server
from tests.story import Person, call, story
from tests.test_recovery import OPTIONS, SCRIPT, ended, killed_in_the_middle
from tests.test_takeover import DONE, delegated

from pygent import delegation
from pygent.delegation import DelegateRequest
from pygent.events import Envelope, TaskChanged, ToolStarted
from pygent.records import Decision
from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall
from pygent.shadow import Shadow
from pygent.store import Store

WAIT = call("bash", cmd="until [ -e go ]; do sleep 0.02; done; echo went")


async def test_queued_tasks_show_their_place_and_the_oldest_goes_first(workspace: Path) -> None:
    async with story(workspace, WAIT, DONE, max_tasks=1) as tale:
        tasks = [await tale.app.tasks.delegate(DelegateRequest(f"{n}", tale.folder)) for n in range(4)]
        assert [tale.app.tasks.get(task.id).queue_place for task in tasks[1:]] == [1, 2, 3]
        await tale.app.tasks.cancel(tasks[1].id)
        assert [tale.app.tasks.get(task.id).queue_place for task in tasks[2:]] == [1, 2]
        assert not Path(tasks[3].workspace).exists()
        with pytest.raises(Exception, match="not begun"):
            tale.app.sessions.get(tasks[3].session_id)
        await tale.person.until(ToolStarted, name="bash")
        (Path(tasks[0].workspace) / "go").touch()
        running = await tale.app.tasks.wait([tasks[0].id], 30)
        assert running[0].status == "completed"


async def test_a_task_is_given_the_folder_as_it_was_when_it_was_delegated(workspace: Path) -> None:
    (workspace / "file").write_text("then")
    (workspace / "gone").write_text("then")
    async with story(workspace, WAIT, DONE, max_tasks=1) as tale:
        first = await tale.app.tasks.delegate(DelegateRequest("work", tale.folder))
        second = await tale.app.tasks.delegate(DelegateRequest("work 2", tale.folder))
        (workspace / "file").write_text("now")
        (workspace / "gone").unlink()
        for task in (first, second):
            await tale.person.until(ToolStarted)
            while not (place := Path(task.workspace)).exists():
                await asyncio.sleep(0.02)
            assert (place / "file").read_text() == (place / "gone").read_text() == "then"
            (place / "go").touch()
            await tale.app.tasks.wait([task.id], 30)


async def test_repositories_inside_and_unsaved_texts_are_given_too(workspace: Path, home: Path) -> None:
    for name, commits in (("with", True), ("without", False)):
        inner = workspace / name
        subprocess.run(["git", "init", "-q", str(inner)], check=True)
        (inner / "file").write_text(name)
        if commits:
            identity = ("-c", "user.name=n", "-c", "user.email=e@e")
            subprocess.run(["git", "-C", str(inner), "add", "."], check=True)
            subprocess.run(["git", "-C", str(inner), *identity, "commit", "-qm", "m"], check=True)
    (workspace / "run.sh").write_text("saved")
    (workspace / "run.sh").chmod(0o755)
    shadow = Shadow(home / "shadow.git")
    typed = {workspace / "run.sh": "typed", workspace / "new/one": "ä\r\n"}
    tree = await shadow.whole(workspace, typed)
    place = home / "place"
    await shadow.check_out(tree, place)
    found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert found == {
        "with/file": b"with",
        "without/file": b"without",
        "run.sh": b"typed",
        "new/one": "ä\r\n".encode(),
    }
    assert os.access(place / "run.sh", os.X_OK)
    assert await shadow.take(place) == tree


async def test_limits_are_kept_for_a_second_try(workspace: Path) -> None:
    async with story(workspace, DONE) as tale:
        task = await delegated(tale, timeout=41.0, step_timeout=40.0)
        again = await tale.app.tasks.retry(task.id)
        assert (again.timeout, again.step_timeout) == (41.0, 40.0)
        await tale.app.tasks.wait([again.id], 30)


async def test_a_question_that_nobody_can_answer_waits_for_its_answer(workspace: Path, state: Path) -> None:
    replies = [call("ask_user", prompt="Tabs or spaces?"), Reply(text="Tabs it is.")]
    async with story(workspace, *replies, state=state) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("indent it", tale.folder))
        (waiting,) = await tale.app.tasks.wait([task.id], 30)
        assert waiting.status == "waiting"
        assert waiting.waiting_for == "Tabs or spaces?"
        assert tale.app.tasks.settled(waiting)
    # It needs no process: the next one, and every other, can answer.
    async with story(workspace, *replies[1:], state=state) as tale:
        assert tale.app.tasks.get(task.id).status == "waiting"
        assert tale.app.stay([tale.folder.uri]) == []
        assert tale.app.tasks.send(task.id, "tabs")
        (done,) = await tale.app.tasks.wait([task.id], 30)
        assert done.status == "completed"
        assert tale.app.tasks.results.reply(task.id) == "Tabs it is."


async def test_people_are_asked_in_the_name_of_the_task(workspace: Path) -> None:
    person = Person(Decision(decision="accept"))
    replies = [call("bash", cmd="echo hello"), DONE]
    async with story(workspace, *replies, person=person, confirm_bash=True) as tale:
        task = await delegated(tale)
        (approval,) = person.approvals
        assert approval.title.startswith(f"[Task: {task.title}] ")
        assert approval.task_id == task.id
        waited = [e.task.waiting_for for e in person.of(TaskChanged) if e.task.status == "waiting"]
        assert waited == [approval.title]


async def test_a_task_hears_another_process(workspace: Path, state: Path) -> None:
    async with story(workspace, WAIT, Reply(text="I heard."), state=state) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("work", tale.folder))
        await tale.person.until(ToolStarted)
        async with story(workspace, state=state) as other:
            assert other.app.tasks.send(task.id, "use tabs")
            (Path(task.workspace) / "go").touch()
            (done,) = await other.app.tasks.wait([task.id], 30)
        assert done.status == "completed"
        assert "use tabs" in tale.last_result()


async def test_what_was_said_to_a_killed_turn_is_heard_after_it(workspace: Path) -> None:
    async with ReplayServer(SCRIPT) as model:
        task_id = await killed_in_the_middle(workspace, model.base_url)
        async with story(workspace) as tale:  # nobody runs it now
            session = tale.app.tasks.get(task_id).session_id
            tale.app.store.post(session, "use tabs", "trn_1", steers=True)
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            assert (await ended(wire, task_id))["status"] == "completed"
        assert str(model.requests[-1]["messages"]).count("use tabs") == 1


async def test_snapshots_that_nobody_needs_go(workspace: Path, home: Path) -> None:
    shadow, trees = Shadow(home / "shadow.git"), []
    for n in range(4):
        (workspace / "file").write_bytes(random.Random(n).randbytes(300_000))
        trees.append(await shadow.take(workspace))
    old = 1_000_000_000
    for path in (home / "shadow.git/objects").rglob("*"):
        os.utime(path, (old, old))
    size = await shadow.clean([trees[3], trees[1], trees[2], "0" * 40], 10_000_000)
    assert 900_000 < size < 1_000_000
    with pytest.raises(Exception, match="no longer kept"):
        await shadow.diff(trees[0], trees[3])
    assert await shadow.diff(trees[1], trees[3])
    for path in (home / "shadow.git/objects").rglob("*"):
        os.utime(path, (old, old))
    assert await shadow.clean([trees[3], trees[2], trees[1]], 400_000) < 400_000
    assert len(await shadow.entries(trees[3], trees[3])) == 0
    with pytest.raises(Exception, match="no longer kept"):
        await shadow.diff(trees[1], trees[3])


async def test_the_store_knows_which_snapshots_are_in_use(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="echo x > made"), DONE) as tale:
        task = await delegated(tale)
        assert task.result not in (None, task.base)
        assert {task.base, task.result} <= set(tale.app.store.snapshots(0))
        later = 2**60
        assert set(tale.app.store.snapshots(later)) == {task.base, task.result}
        await tale.app.tasks.delete(task.id)
        assert tale.app.store.snapshots(later) == []


KILLS = 50
TASKS = 3
LONG = {**OPTIONS, "config": {"confirm_bash": False, "limits": {"steps": 500}}}


def endless() -> Script:
    """Tasks of many steps; `{{step}}` is another number in each answer, also in one that was asked for again."""
    replies = []
    for n in range(TASKS):
        match = Match(first=f"task {n}")
        cmd = "echo {{step}} >> log; sleep 0.02"
        replies.append(
            Reply(match=match, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": cmd})], times=250)
        )
        replies.append(Reply(match=match, text="Done.", times=0))
    return Script(replies=replies)


async def killed(workspace: Path, url: str, seconds: float, *, tasks: int = 0) -> list[dict[str, Any]]:
    """Let a server work for a while and kill it; returns what it had announced.

    Two of three are killed some time after they first spoke, the others whenever it comes.
    """
    async with server(workspace, base_url=url) as wire:
        await wire.initialize(workspace, **LONG)
        for n in range(tasks):
            await wire.command("pygent.delegate", prompt=f"task {n}")
        if seconds > 0.3:
            with contextlib.suppress(asyncio.TimeoutError):  # of two servers one may have nothing to do
                await asyncio.wait_for(wire.event("toolFinished"), 2)
        await asyncio.sleep(seconds)
        os.kill(wire.process.pid, signal.SIGKILL)
        await wire.process.wait()
        await asyncio.wait([wire._reading])
        return wire.events()


@pytest.mark.e2e
@pytest.mark.timeout(900)
async def test_fifty_kills_lose_nothing_that_was_announced_and_do_nothing_twice(
    workspace: Path, state: Path
) -> None:
    dice = random.Random(2026)
    async with ReplayServer(endless()) as model:
        announced = await killed(workspace, model.base_url, 0.3, tasks=TASKS)
        for number in range(1, KILLS):
            both = 1 + (number % 5 == 0)
            for events in await asyncio.gather(
                *(killed(workspace, model.base_url, dice.uniform(0.1, 0.7)) for _ in range(both))
            ):
                announced += events
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **LONG)
            tasks = (await wire.command("pygent.tasks"))["tasks"]
            done = [await ended(wire, task["id"]) for task in tasks]
    assert [task["status"] for task in done] == ["completed"] * TASKS
    store = Store(state)
    stored: dict[tuple[str, int], Envelope] = {}
    for task in done:
        envelopes = store.events(task["sessionId"])
        stored |= {(envelope.session_id, envelope.seq): envelope for envelope in envelopes}
        kinds = [type(envelope.event).__name__ for envelope in envelopes]
        assert (kinds.count("TurnStarted"), kinds.count("TurnFinished")) == (1, 1)
        assert kinds.count("ToolStarted") <= kinds.count("ToolFinished")
        steps = (Path(task["workspace"]) / "log").read_text().split()
        assert len(steps) == len(set(steps))
        assert len(steps) > 100
    store.close()
    ephemeral = ("textDelta", "reasoningDelta", "toolOutput")
    lasting = [one for one in announced if one["event"]["type"] not in ephemeral]
    assert len(lasting) > 250
    for one in lasting:
        assert msgspec.to_builtins(stored[one["sessionId"], one["seq"]]) == one


async def test_an_old_task_keeps_its_work_without_its_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [call("bash", cmd="echo one > made"), DONE, call("bash", cmd="echo two >> made"), DONE]
    async with story(workspace, *replies) as tale:
        tasks = tale.app.tasks
        old, young = await delegated(tale), await tasks.delegate(DelegateRequest("other", tale.folder))
        await tasks.wait([young.id], 30)
        tale.app.store.save_task(msgspec.structs.replace(old, finished_at=1))
        monkeypatch.setattr(delegation, "CLEAN_AFTER", 0)
        await tasks.clean()
        assert not Path(old.workspace).parent.exists()
        assert Path(young.workspace).exists()
        assert [entry.path for entry in (await tasks.results.diff(old.id))[1]] == ["made"]
        assert tasks.send(old.id, "go on")
        (ended,) = await tasks.wait([old.id], 30)
        assert ended.status == "completed"
        assert (Path(old.workspace) / "made").read_text() == "one\ntwo\n"
        assert (await tasks.results.apply(old.id)).applied == ["made"]
    assert (workspace / "made").read_text() == "one\ntwo\n"
