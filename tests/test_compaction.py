"""Conversations that are longer than the model takes: real turns against a server that counts and refuses."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.lsp.wire import server
from tests.story import Story, call, story

from pygent.delegation import DelegateRequest
from pygent.events import Compacted, Envelope, Notice, ToolFinished, UsageReported
from pygent.replay import Fault, Match, ReplayServer, Reply, Script, ScriptedCall
from pygent.replay.server import tokens_of
from pygent.session import Session
from pygent.transcript import Transcript

SUMMARY = "Task: count. Decisions: forwards, because it is easier."
TOGETHER = {"together": True}
SUMMARISE = Reply(match=Match(system="memory of a coding agent"), text=SUMMARY, times=0)
ANY = Reply(text="Well.", times=0)


def counting(steps: int, size: int = 600) -> list[Reply]:
    """A turn of so many steps, each with an output of its own of about four bytes a number."""
    cmd = f"seq {{{{step}}}}0000 $(({{{{step}}}}0000 + {size}))"
    step = ScriptedCall(name="bash", arguments={"cmd": cmd}, id="call{{step}}")
    return [SUMMARISE, *[Reply(tool_calls=[step]) for _ in range(steps)], Reply(text="Counted.", times=0)]


def compacted(session: Session) -> list[Compacted]:
    return [e.event for e in session.events() if isinstance(e.event, Compacted)]


def projection(events: Sequence[Envelope]) -> list[dict[str, Any]]:
    transcript = Transcript(lambda _: None)
    for envelope in events:
        transcript.apply(envelope.event, envelope.seq)
    return [json.loads(message) for message in transcript.messages]


def steps_of(tale: Story) -> list[dict[str, Any]]:
    """The requests of the conversation itself, without those for summaries."""
    return [one for one in tale.server.requests if "tools" in one]


async def test_a_long_turn_never_comes_near_a_window_that_is_known(workspace: Path) -> None:
    async with story(
        workspace,
        *counting(40),
        script={"window": 9000, **TOGETHER},
        context_window=9000,
        **{"limits.steps": 100},
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("Count, and write to result.txt.")
        assert (result.status, result.reply) == ("completed", "Counted.")
        assert len(steps_of(tale)) >= 40
        assert max(map(tokens_of, tale.server.requests)) < 9000
        events = compacted(session)
        assert {event.form for event in events} == {"outputs", "summary"}
        assert all(event.tokens_after < event.tokens_before for event in events)
        assert not tale.person.of(Notice) or all(n.code != "retry" for n in tale.person.of(Notice))
        # Rare steps: in between the prompts only grow.
        assert len(events) < 20


async def test_the_summary_keeps_what_the_person_said_the_files_and_the_models_words(workspace: Path) -> None:
    (workspace / "plan.txt").write_text("the plan\n")
    early = [
        Reply(tool_calls=[ScriptedCall(name="read_file", arguments={"path": "plan.txt"})]),
        Reply(
            tool_calls=[ScriptedCall(name="write_file", arguments={"path": "new.txt", "content": "x" * 3000})]
        ),
    ]
    summarise, *rest = counting(30)
    async with story(
        workspace, summarise, *early, *rest, context_window=9000, script=TOGETHER, **{"limits.steps": 100}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("Count, and never use the word banana.")
        memory = steps_of(tale)[-1]["messages"][1]["content"]
        assert "never use the word banana" in memory
        assert "Files you changed: new.txt." in memory
        assert "Files you read: plan.txt." in memory
        assert SUMMARY in memory
        asked = next(one for one in tale.server.requests if "tools" not in one)["messages"]
        assert [message["role"] for message in asked] == ["system", "user"]
        assert "never use the word banana" in asked[1]["content"]


async def test_the_beginning_of_prompts_stays_byte_for_byte_but_where_room_is_made(workspace: Path) -> None:
    async with story(
        workspace, *counting(60), context_window=20_000, script=TOGETHER, **{"limits.steps": 100}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("Count.")
        await session.chat("And again?")
        bodies = [(one["messages"], one["tools"]) for one in steps_of(tale)]
        breaks = 0
        for (before, tools), (after, later_tools) in itertools.pairwise(bodies):
            assert tools == later_tools
            assert before[0] == after[0]
            breaks += after[: len(before)] != before
        assert 0 < breaks <= len(compacted(session))
        assert breaks < len(bodies) / 6


async def test_without_compaction_the_prefix_never_changes(workspace: Path) -> None:
    replies = [
        call("bash", cmd="echo one"),
        Reply(text="One."),
        call("bash", cmd="echo two"),
        Reply(text="Two."),
    ]
    async with story(workspace, *replies) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("first")
        await session.chat("second")
        sent = [one["messages"] for one in tale.server.requests]
        assert len(sent) == 4
        for before, after in itertools.pairwise(sent):
            assert after[: len(before)] == before


async def test_what_the_model_is_sent_is_a_projection_of_what_is_stored(workspace: Path, state: Path) -> None:
    async with story(
        workspace, *counting(30), state=state, context_window=9000, script=TOGETHER, **{"limits.steps": 100}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("Count.")
        assert compacted(session)
        last = steps_of(tale)[-1]["messages"]
        assert projection(session.events())[: len(last) - 1] == last[1:]
        # People still see everything.
        texts = [message["text"] for message in session.messages() if message["role"] == "tool"]
        assert len(texts) == 30
        assert all("left out to save room" not in text for text in texts)
    async with story(workspace, ANY, state=state, context_window=9000) as again:
        resumed = again.app.sessions.get(session.id)
        await resumed.chat("Go on.")
        sent = again.server.requests[0]["messages"]
        assert sent[: len(last)] == last
        assert sent[-1]["content"] == "Go on."


async def test_a_window_that_the_server_tells_is_never_run_into(workspace: Path) -> None:
    script = {"window": 9000, "tells": True, **TOGETHER}
    async with story(workspace, *counting(20), script=script) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("Count.")).status == "completed"
        assert max(map(tokens_of, tale.server.requests)) < 9000
        assert compacted(session)
        assert tale.person.of(UsageReported)[-1].context_window == 9000


@pytest.mark.parametrize(
    "words",
    [
        "request ({tokens} tokens) exceeds the available context size ({window} tokens), try increasing it",
        "This model's maximum context length is {window} tokens. However, you requested {tokens} tokens.",
        "litellm.ContextWindowExceededError: the prompt is too long",
    ],
)
async def test_a_refused_prompt_is_made_shorter_and_sent_again(workspace: Path, words: str) -> None:
    script = {"window": 9000, "overflow": words, **TOGETHER}
    async with story(workspace, *counting(30), script=script, **{"limits.steps": 100}) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("Count.")
        assert (result.status, result.reply) == ("completed", "Counted."), result.error
        refused = [one for one in tale.server.requests if tokens_of(one) > 9000]
        assert 0 < len(refused) <= 2, "once it is learnt, the window is kept"
        assert compacted(session)


async def test_a_summary_that_overflows_itself_is_made_of_less(workspace: Path) -> None:
    picky = Reply(
        match=Match(system="memory of a coding agent"), status=400, times=2,
        body={"error": {"message": "the prompt is too long: maximum context length is 500 tokens"}},
    )  # fmt: skip
    async with story(
        workspace, picky, *counting(12), context_window=9000, script=TOGETHER, **{"limits.steps": 100}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("Count.")).status == "completed"
        asked = [one["messages"][1]["content"] for one in tale.server.requests if "tools" not in one]
        assert len(asked[2]) < len(asked[1]) < len(asked[0])
        assert SUMMARY in steps_of(tale)[-1]["messages"][1]["content"]


async def test_a_summary_that_can_not_be_had_leaves_the_facts(workspace: Path) -> None:
    never = Reply(
        match=Match(system="memory of a coding agent"), status=400, times=0,
        body={"error": {"message": "prompt is too long"}},
    )  # fmt: skip
    async with story(workspace, never, *counting(12)[1:], context_window=9000, script=TOGETHER) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("Count to a million.")).status == "completed"
        memory = steps_of(tale)[-1]["messages"][1]["content"]
        assert "Count to a million." in memory
        assert "None could be made" in memory


async def test_a_window_that_nothing_fits_in_is_told_with_its_numbers(workspace: Path) -> None:
    async with story(workspace, SUMMARISE, ANY, script={"window": 1000}) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("hello")
        assert result.status == "failed"
        assert result.error is not None
        assert "takes 1,000" in result.error.message
        assert "instructions and tools" in result.error.message
        assert len(tale.server.requests) == 1, "what can't help is not tried again"


async def test_after_an_overflow_that_nothing_heals_another_model_goes_on(
    workspace: Path, state: Path
) -> None:
    async with story(workspace, SUMMARISE, ANY, state=state, script={"window": 1000}) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("hello")).status == "failed"
    async with story(workspace, ANY, state=state) as other:
        again = other.app.sessions.get(session.id)
        again.use_model("larger")
        assert (await again.chat("and now?")).status == "completed"
        assert other.server.requests[0]["messages"][-1]["content"] == "hello\n\nand now?"


async def test_a_model_that_fails_to_summarise_fails_the_turn_and_loses_nothing(workspace: Path) -> None:
    down = Reply(match=Match(system="memory of a coding agent"), status=401)
    async with story(workspace, down, *counting(20), context_window=9000, script=TOGETHER) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("Count.")
        assert (result.status, result.error and result.error.code) == ("failed", "modelError")
        assert not [event for event in compacted(session) if event.form == "summary"]
        assert (await session.chat("Go on.")).status == "completed"


async def test_a_summary_that_does_not_come_ends_the_step_of_a_task_in_time(workspace: Path) -> None:
    silent = msgspec.structs.replace(SUMMARISE, fault=Fault(no_done=True, stall=True))
    replies = [silent, *counting(40)[1:]]
    async with story(workspace, *replies, script=TOGETHER, context_window=9000) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("count", tale.folder, step_timeout=3.0))
        (ended,) = await tale.app.tasks.wait([task.id], 60)
        assert (ended.status, ended.error and ended.error.code) == ("timedOut", "stepTimeout")
        assert "tools" not in tale.server.requests[-1], "it was the summary that was waited for"


async def test_a_window_too_small_for_the_work_stops_the_summaries(workspace: Path) -> None:
    async with story(
        workspace, *counting(60, size=1500), context_window=4600, **{"limits.steps": 60}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("Count.")
        summaries = [one for one in tale.server.requests if "tools" not in one]
        if result.status == "failed":
            assert result.error is not None
            assert "takes 4,600" in result.error.message
            assert len(summaries) <= len(steps_of(tale))
        assert len(summaries) < len(tale.server.requests) / 2


async def test_a_huge_result_is_seen_as_far_as_there_is_room(workspace: Path) -> None:
    huge = call("bash", cmd="seq 100000")
    async with story(
        workspace, SUMMARISE, huge, ANY, script={"window": 9000, **TOGETHER}, context_window=9000
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("Count.")).status == "completed"
        (end,) = tale.person.of(ToolFinished)
        told = tale.last_result()
        assert 4000 < len(told) < len(end.output)
        assert told.startswith("1\n2\n3\n")


async def test_what_was_just_asked_for_is_seen_whole_when_room_is_made(workspace: Path) -> None:
    replies = [*counting(4)[:-1], call("bash", cmd="seq 10000 11900"), ANY]
    async with story(workspace, *replies, script=TOGETHER, context_window=9000) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("Count.")).status == "completed"
        assert compacted(session)
        assert tale.last_result() == tale.person.of(ToolFinished)[-1].output
        assert len(tale.last_result()) > 9000


async def test_the_steps_of_older_turns_go_before_a_summary_is_needed(workspace: Path) -> None:
    chatter = [
        reply
        for number in range(12)
        for reply in (
            Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": f"seq {number} 250"})] * 2),
            Reply(text=f"Answer {number}."),
        )
    ]
    async with story(workspace, SUMMARISE, *chatter, context_window=12000) as tale:
        session = tale.app.sessions.new(tale.folder)
        for number in range(12):
            assert (await session.chat(f"question {number}")).status == "completed"
        assert next(event.form for event in compacted(session)) in ("outputs", "turns")
        assert "turns" in {event.form for event in compacted(session)}
        assert not [event for event in compacted(session) if event.form == "summary"]
        said = [m["content"] for m in tale.server.requests[-1]["messages"] if m["role"] != "tool"]
        assert said[1:5] == ["question 0", "Answer 0.", "question 1", "Answer 1."]


async def test_counts_are_calibrated_by_the_server_and_guessed_without_it(workspace: Path) -> None:
    async with story(workspace, Reply(text="Hi."), script={"window": 100_000}) as tale:
        await tale.app.sessions.new(tale.folder).chat("hello")
        (usage,) = tale.person.of(UsageReported)
        assert not usage.estimated
        assert usage.context_tokens == usage.prompt_tokens + usage.completion_tokens
    silent = Reply(text="Hi.", usage={})
    async with story(workspace, silent, context_window=50_000) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("hello")
        assert result.usage.estimated
        assert result.usage.prompt_tokens == pytest.approx(tokens_of(tale.server.requests[0]), rel=0.3)
        assert result.usage.context_window == 50_000


async def test_a_person_compacts_between_turns(workspace: Path) -> None:
    async with story(workspace, *counting(5), script=TOGETHER) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("Count.")
        done = await session.compact()
        assert done.tokens < done.before
        assert (await session.compact()).before == done.tokens, "what is short already stays"
        assert len(compacted(session)) == 1
        assert compacted(session)[0].tokens_after == done.tokens
        assert (await session.chat("What was it?")).status == "completed"
        (memory,) = [m["content"] for m in tale.server.requests[-1]["messages"][1:]]
        assert SUMMARY in memory
        assert memory.endswith("What was it?")
        assert session.info.usage is not None
        assert session.info.usage.prompt_tokens >= 700, "the summary is paid for, too"


async def test_the_history_file_keeps_what_the_model_is_no_longer_sent(workspace: Path) -> None:
    path = workspace / "history.json"
    async with story(workspace, *counting(5), history_file=str(path), script=TOGETHER) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("Count.")
        before = json.loads(path.read_text())
        await session.compact()
        await session.chat("And?")
        after = json.loads(path.read_text())
        assert after[: len(before)] == before
        assert [message["content"] for message in after[len(before) :]] == ["And?", "Counted."]
        fork = tale.app.sessions.fork(session.id)
        await fork.chat("In the fork?")
        forked = json.loads(path.read_text())
        assert forked[: len(after)] == after


@pytest.mark.e2e
async def test_compaction_over_the_wire(workspace: Path) -> None:
    async with (
        ReplayServer(Script(replies=counting(4))) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        await wire.initialize(workspace, events=True, trusted=True, config={"confirm_bash": False})
        turn = await wire.command("pygent.chat", text="Count.")
        done = await wire.command("pygent.session.compact", sessionId=turn["sessionId"])
        assert done["tokensAfter"] < done["tokensBefore"]
        assert done["session"]["id"] == turn["sessionId"]
        event = (await wire.event("compacted"))["event"]
        assert (event["tokensBefore"], event["tokensAfter"]) == (done["tokensBefore"], done["tokensAfter"])
        stored = await wire.command("pygent.session.events", sessionId=turn["sessionId"])
        assert "compacted" in [envelope["event"]["type"] for envelope in stored["events"]]


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_kills_between_and_during_compactions_leave_a_conversation_that_goes_on(
    workspace: Path,
) -> None:
    dice = random.Random(seed := random.randrange(10**6))
    summarise = msgspec.structs.replace(SUMMARISE, text=SUMMARY * 20, delay=0.01)
    replies = [summarise, *counting(70)[1:]]
    options: dict[str, Any] = {
        "events": True,
        "trusted": True,
        "config": {"confirm_bash": False, "context_window": 9000, "limits": {"steps": 1000}},
    }
    session = None
    async with ReplayServer(Script(replies=replies, **TOGETHER)) as model:
        for number in range(6):
            async with server(workspace, base_url=model.base_url) as wire:
                await wire.initialize(workspace, **options)
                fields = {} if session is None else {"sessionId": session}
                begun = await wire.command("pygent.chat", text=f"Count {number}.", wait=False, **fields)
                session = begun["sessionId"]
                kind = dice.choice(["compacted", "toolStarted", "usage"])
                many = dice.randint(2, 6)
                await wire.until(
                    lambda kind=kind, many=many: len(wire.events(kind)) >= many or wire.events("turnFinished")
                )
                await asyncio.sleep(dice.uniform(0, 0.1))
                os.kill(wire.process.pid, signal.SIGKILL)
                await wire.process.wait()
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **options)
            ended = await wire.command("pygent.chat", text="The last.", sessionId=session)
            assert ended["status"] == "completed", f"seed {seed}: {ended}"
            async with server(workspace, base_url=model.base_url) as second:
                await second.initialize(workspace, **options)
                read = await second.command("pygent.session.events", sessionId=session)
        # The server refuses what is not valid, so that it is only left to see whether it is the same.
        last = [one for one in model.requests if "tools" in one][-1]["messages"]
    stored = msgspec.convert(read["events"], list[Envelope])
    assert projection(stored)[: len(last) - 1] == last[1:], f"seed {seed}"
    assert [one.event for one in stored if isinstance(one.event, Compacted) and one.event.form == "summary"]
    memory = last[1]["content"]
    assert "Count 0." in memory
    assert SUMMARY in memory
