"""Forks: copies of a conversation that go their own way and share nothing that changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lsp.wire import server
from tests.story import Story, call, story

from pygent.errors import PygentError
from pygent.events import Forked, TurnStarted
from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall
from pygent.transcript import FORKED, Transcript

ANY = Reply(text="Answer {{step}}.", times=0)


def projected(tale: Story, session_id: str) -> list[dict]:
    transcript = Transcript(lambda _: None)
    for envelope in tale.app.store.events(session_id):
        transcript.apply(envelope.event)
    return [json.loads(message) for message in transcript.messages]


async def test_an_earlier_message_is_edited_in_a_fork(workspace: Path) -> None:
    async with story(workspace, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        turns = [(await session.chat(text)).turn_id for text in ("one", "two", "three")]
        before = session.events()
        fork = tale.app.sessions.fork(session.id, turns[1])
        await fork.chat("two, otherwise")
        assert [m["content"] for m in tale.server.requests[-1]["messages"][1:]] == [
            "one", "Answer 1.", "two, otherwise",
        ]  # fmt: skip
        assert session.events() == before
        await session.chat("four")
        assert [m["content"] for m in tale.server.requests[-1]["messages"][1::2]] == [
            "one", "two", "three", "four",
        ]  # fmt: skip
        assert fork.info.title == "one (fork)"
        assert [e.seq for e in fork.events()] == list(range(1, fork.last_seq + 1))
        (event,) = [e.event for e in fork.events() if isinstance(e.event, Forked)]
        assert event == Forked(session_id=session.id, turn_id=turns[1])


async def test_a_fork_without_a_turn_is_the_whole_conversation(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="echo hi"), ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        session.tools.switch("grep", False)
        fork = tale.app.sessions.fork(session.id)
        assert projected(tale, fork.id) == projected(tale, session.id)
        assert fork.tools.off == {"grep"}
        fork.tools.switch("glob", False)
        assert session.tools.off == {"grep"}
        assert await tale.app.sessions.delete(session.id)
        assert (await fork.chat("and now?")).status == "completed"


async def test_a_fork_has_used_nothing_of_its_own(workspace: Path, state: Path) -> None:
    async with story(workspace, ANY, state=state) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("one")
        fork = tale.app.sessions.fork(session.id)
        assert fork.info.usage is None
        await fork.chat("two")
        assert fork.info.usage is not None
        assert fork.info.usage.prompt_tokens == 100
    async with story(workspace, ANY, state=state) as tale:
        again = tale.app.sessions.get(fork.id)
        await again.chat("three")
        assert again.info.usage is not None
        assert again.info.usage.prompt_tokens == 200


async def test_a_fork_of_what_was_made_shorter_is_as_short(workspace: Path) -> None:
    summarise = Reply(match=Match(system="memory of a coding agent"), text="It went well.", times=0)
    async with story(
        workspace, summarise, call("bash", cmd="seq 900"), ANY, script={"together": True}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("count")
        await session.compact()
        late = await session.chat("and then?")
        fork = tale.app.sessions.fork(session.id, late.turn_id)
        await fork.chat("and otherwise?")
        sent = [one["messages"][1]["content"] for one in tale.server.requests[-2:]]
        assert sent[0].replace("and then?", "") == sent[1].replace("and otherwise?", "")
        assert "It went well." in sent[1]


async def test_a_fork_before_the_first_turn_is_a_fresh_conversation(workspace: Path) -> None:
    async with story(workspace, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        first = await session.chat("one")
        fork = tale.app.sessions.fork(session.id, first.turn_id)
        await fork.chat("another beginning")
        assert fork.info.title == "another beginning"
        assert len(tale.server.requests[-1]["messages"]) == 2


async def test_a_fork_of_a_running_session_leaves_it_before_the_running_turn(workspace: Path) -> None:
    slow = Reply(
        match=Match(last="slow"), tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "sleep 60"})]
    )
    async with story(workspace, slow, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("one")
        session.start("slow")
        fork = tale.app.sessions.fork(session.id)
        texts = [e.event.text for e in fork.events() if isinstance(e.event, TurnStarted)]
        assert texts == ["one"]
        assert (await fork.chat("two")).status == "completed"
        assert session.turn_id is not None


async def test_the_model_is_told_that_files_stay_as_later_turns_left_them(workspace: Path) -> None:
    (workspace / "a.txt").write_text("one\n")
    edit = call("edit_file", path="a.txt", old="one", new="two")
    async with story(workspace, Reply(text="Hello."), edit, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("hi")
        turn = await session.chat("edit it")
        fork = tale.app.sessions.fork(session.id, turn.turn_id)
        await fork.chat("go")
        assert tale.server.requests[-1]["messages"][-1]["content"] == f"{FORKED}\n\ngo"
        assert (workspace / "a.txt").read_text() == "two\n"


async def test_an_inherited_turn_can_be_undone_and_the_original_keeps_its_own_record(workspace: Path) -> None:
    (workspace / "a.txt").write_text("one\n")
    edit = call("edit_file", path="a.txt", old="one", new="two")
    async with story(workspace, edit, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        turn = await session.chat("edit it")
        fork = tale.app.sessions.fork(session.id)
        done = await fork.undo(turn.turn_id)
        assert done.restored
        assert (workspace / "a.txt").read_text() == "one\n"
        assert (await fork.undo(turn.turn_id, redo=True)).restored
        assert (await session.undo()).restored


async def test_whole_outputs_are_the_forks_own(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="seq 20000"), ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("count")
        fork = tale.app.sessions.fork(session.id)
        told = json.dumps(projected(tale, fork.id))
        assert str(fork.outputs) in told
        assert session.id not in told
        await tale.app.sessions.delete(session.id)
        (kept,) = fork.outputs.iterdir()
        assert str(kept) in told and kept.read_text().endswith("20000\n")


async def test_what_can_not_be_forked_is_said(workspace: Path) -> None:
    async with story(workspace, ANY) as tale:
        session = tale.app.sessions.new(tale.folder)
        with pytest.raises(PygentError) as unknown:
            tale.app.sessions.fork(session.id, "trn_0")
        assert unknown.value.code == "notFound"
        with pytest.raises(PygentError) as nowhere:
            tale.app.sessions.fork("ses_0")
        assert nowhere.value.code == "notFound"
        assert tale.app.sessions.page(folder_uri=None)[0] == [session.info]


@pytest.mark.e2e
async def test_forks_over_the_wire(workspace: Path) -> None:
    async with (
        ReplayServer(Script(replies=[ANY])) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        await wire.initialize(workspace, events=True)
        first = await wire.command("pygent.chat", text="one")
        second = await wire.command("pygent.chat", text="two", sessionId=first["sessionId"])
        fork = await wire.command(
            "pygent.session.fork", sessionId=first["sessionId"], beforeTurnId=second["turnId"]
        )
        forked = fork["session"]["id"]
        await wire.command("pygent.chat", text="two again", sessionId=forked)
        got = await wire.command("pygent.session.get", sessionId=forked)
        assert [m["text"] for m in got["messages"]] == ["one", "Answer 1.", "two again", "Answer 3."]
        refused = await wire.refusal("pygent.session.fork", sessionId=forked, beforeTurnId="trn_x")
        assert refused["data"]["code"] == "notFound"
        listed = await wire.command("pygent.session.list")
        assert [one["id"] for one in listed["sessions"]] == [forked, first["sessionId"]]
