"""What turns and sessions use, what it costs, and where they pause."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.story import Person, call, story

from pygent.budget import Clock, priced, total, worded
from pygent.config import Config, Price, load
from pygent.events import Compacted, ToolFinished, ToolOutput, TurnFinished, UsageReported
from pygent.records import NO_USAGE, Decision, Usage
from pygent.replay import Match, Reply, ScriptedCall

PRICES = {"gpt-4.1-mini": {"input": 0.4, "cached": 0.1, "output": 1.6}}
COUNTED = {
    "prompt_tokens": 10_000,
    "completion_tokens": 500,
    "prompt_tokens_details": {"cached_tokens": 8000},
}
COST = (2000 * 0.4 + 8000 * 0.1 + 500 * 1.6) / 1e6


def step(**more: Any) -> Reply:
    calls = [ScriptedCall(name="bash", arguments={"cmd": "echo {{step}}"})]
    return Reply(tool_calls=calls, usage=COUNTED, times=0, **more)


async def test_a_turn_tells_its_tokens_and_cost(workspace: Path) -> None:
    replies = [step(match=Match(last="go")), Reply(text="Done.", usage=COUNTED, times=0)]
    async with story(workspace, *replies, prices=PRICES) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (20_000, 1000)
        assert result.usage.cached_tokens == 16_000
        assert result.usage.cost == pytest.approx(2 * COST)
        assert [event.cost for event in tale.person.of(UsageReported)] == pytest.approx([COST, 2 * COST])
        again = await session.chat("again")
        assert again.usage.cost == pytest.approx(COST), "a turn's own"
        assert session.info.usage is not None
        assert session.info.usage.cost == pytest.approx(3 * COST), "the session's"
        assert tale.app.sessions.page()[0][0].usage == session.info.usage


async def test_without_a_price_there_is_no_cost(workspace: Path) -> None:
    async with story(workspace, Reply(text="Hi."), prices={"another": PRICES["gpt-4.1-mini"]}) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).usage.cost is None


LIMITS = {
    "limits.steps": (3, "limit of 3 steps"),
    "limits.tokens": (30_000, "30,000 tokens (it used 31,500)"),
    "limits.cost": (0.005, "a cost of 0.005 (it cost 0.0072)"),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_a_limit_pauses_the_turn_and_the_next_message_goes_on(workspace: Path, name: str) -> None:
    value, words = LIMITS[name]
    async with story(workspace, step(), prices=PRICES, **{name: value}) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert result.status == "limit"
        assert result.error is not None
        assert words in result.error.message
        assert name in str(result.error.fix)
        assert f"pygent --resume {session.id} run" in str(result.error.fix)
        assert len(tale.server.requests) == 3
        again = await session.chat("go on")
        assert again.status == "limit"
        assert len(tale.server.requests) == 6, "the next turn has its own budget"
        assert tale.server.requests[-3]["messages"][-1]["content"].endswith(
            "A message from the person: go on"
        )


SESSION_LIMITS = {
    "limits.session_tokens": (40_000, "40,000 tokens (it used 42,000)"),
    "limits.session_cost": (0.009, "a cost of 0.009"),
}


@pytest.mark.parametrize("name", SESSION_LIMITS)
async def test_a_limit_of_the_session_holds_until_it_is_raised(
    workspace: Path, name: str, state: Path
) -> None:
    value, words = SESSION_LIMITS[name]
    async with story(
        workspace, step(), state=state, prices=PRICES, **{"limits.steps": 2, name: value}
    ) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("go")).error.message.startswith("The turn is paused")  # type: ignore[union-attr]
        result = await session.chat("on")
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.message.startswith("The session is paused")
        assert words in result.error.message
    async with story(workspace, Reply(text="Done."), state=state, prices=PRICES, **{name: value}) as tale:
        resumed = tale.app.sessions.get(session.id)
        assert (await resumed.chat("on")).status == "limit", "also after a restart"
        assert tale.server.requests == []
    async with story(
        workspace, Reply(text="Done."), state=state, prices=PRICES, **{name: 10 * value}
    ) as tale:
        assert (await tale.app.sessions.get(session.id).chat("on")).status == "completed"


async def test_a_limit_of_seconds_ends_the_command_and_says_so(workspace: Path) -> None:
    slow = call("bash", cmd="echo begun; sleep 600")
    async with story(workspace, slow, Reply(text="Done."), **{"limits.seconds": 1.5}) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert result.status == "limit"
        assert result.error is not None
        assert "1.5 seconds of work" in result.error.message
        (end,) = tale.person.of(ToolFinished)
        assert (end.status, "seconds are over" in end.output) == ("cancelled", True)
        assert tale.person.of(ToolOutput), "it had begun"
        assert (await session.chat("go on")).status == "completed"
        assert len(tale.person.of(TurnFinished)) == 2


async def test_waiting_for_a_person_takes_no_seconds(workspace: Path) -> None:
    waited = 1.5

    class Slow(Person):
        async def approve(self, approval: Any) -> Decision:
            await asyncio.sleep(waited)
            return Decision(decision="accept")

    replies = [call("bash", cmd="echo hi"), Reply(text="Done.")]
    limits = {"limits.seconds": 1.2, "confirm_bash": True}
    async with story(workspace, Reply(text="Warm."), *replies, person=Slow(), **limits) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("warm up")
        assert (await session.chat("go")).status == "completed"


async def test_the_clock_runs_only_while_nobody_is_waited_for() -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    clock = Clock(0.05, over.set)
    with clock.waiting():
        clock.start()
        with clock.waiting():
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
        assert not over.is_set()
    began = loop.time()
    await over.wait()
    assert loop.time() - began > 0.04
    never = Clock(None, over.clear)
    never.start()
    never.stop()


async def test_going_round_in_a_circle_of_two_is_told_and_then_paused(workspace: Path) -> None:
    circle = [call("bash", cmd=cmd) for _ in range(8) for cmd in ("echo install", "echo build")]
    async with story(workspace, *circle) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert result.status == "limit"
        assert result.error is not None
        assert "the same call 5 times" in result.error.message
        assert len(tale.server.requests) == 9
        told = [m["content"] for m in tale.server.requests[-1]["messages"] if m["role"] == "tool"]
        assert ["3 times" in text for text in told[4:6]] == [True, True]
        assert (await session.chat("another way")).error is not None, "and the next message goes on"
        assert len(tale.server.requests) > 10


async def test_the_same_test_after_each_edit_is_no_circle(workspace: Path) -> None:
    (workspace / "a.txt").write_text("0\n")
    work = [
        reply
        for n in range(7)
        for reply in (
            call("edit_file", path="a.txt", old=str(n), new=str(n + 1)),
            call("bash", cmd="echo failed"),
        )
    ]
    async with story(workspace, *work, Reply(text="Done.")) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).status == "completed"
        assert "times" not in json.dumps(tale.server.requests[-1]["messages"][1:])


async def test_edits_that_undo_each_other_are_a_circle(workspace: Path) -> None:
    (workspace / "a.txt").write_text("x\n")
    work = [
        call("edit_file", path="a.txt", old=a, new=b) for _ in range(8) for a, b in (("x", "y"), ("y", "x"))
    ]
    async with story(workspace, *work) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "limit"
        assert len(tale.server.requests) == 9


async def test_a_message_queued_behind_a_turn_that_pauses_is_the_next_turn(workspace: Path) -> None:
    first = Reply(
        match=Match(first="one"), tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "sleep 1"})]
    )
    async with story(workspace, first, Reply(text="Done.", times=0), **{"limits.steps": 1}) as tale:
        session = tale.app.sessions.new(tale.folder)
        running = asyncio.create_task(session.chat("one"))
        await asyncio.sleep(0)
        mail = session.post("two", steers=False)
        assert mail is not None
        assert (await running).status == "limit"
        outcome = await session.outcome(mail)
        assert outcome is not None
        assert (outcome.turn_id, outcome.status) == (mail.turn_id, "completed")


async def test_messages_queued_behind_a_turn_that_fails_are_not_lost(workspace: Path) -> None:
    down = Reply(match=Match(last="one"), status=401)
    async with story(workspace, down, Reply(text="Up again.", times=0), script={"together": True}) as tale:
        session = tale.app.sessions.new(tale.folder)
        running = asyncio.create_task(session.chat("one"))
        await asyncio.sleep(0)
        mail = session.post("two", steers=False)
        assert mail is not None
        assert (await running).status == "failed"
        outcome = await session.outcome(mail)
        assert outcome is not None and outcome.reply == "Up again."
        assert tale.server.requests[-1]["messages"][-1]["content"] == "one\n\ntwo"


# -- settings --------------------------------------------------------------------------------------


def read(workspace: Path, home: Path, toml: str, *, trusted: bool = True) -> Config:
    (workspace / "pygent.toml").write_text(toml)
    return load(workspace, environ={}, home=home, trusted=trusted)


def test_prices_are_a_table_for_each_model(workspace: Path, home: Path) -> None:
    toml = '[prices."gpt-4.1-mini"]\ninput = 0.4\noutput = 1.6\n[prices.local]\ninput = 0\noutput = 0\ncached = 0\n'
    config = read(workspace, home, toml)
    assert config.diagnostics == ()
    assert config.settings.prices == {
        "gpt-4.1-mini": Price(input=0.4, output=1.6, cached=0.4),
        "local": Price(input=0, output=0, cached=0),
    }
    assert config.show()["values"]["prices"]["value"]["local"]["input"] == 0


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("prices = 3", "a table for each model"),
        ("[prices]\nmini = 3", "(mini is none)"),
        ("[prices.mini]\noutput = 1", "(mini needs input)"),
        ("[prices.mini]\ninput = -1\noutput = 1", "(mini needs input)"),
        ('[prices.mini]\ninput = 1\noutput = "x"', "(mini needs output)"),
        ("[prices.mini]\ninput = 1\noutput = 1\nouput = 1", "(mini has 'ouput')"),
        ("[prices.mini]\ninput = nan\noutput = 1", "(mini needs input)"),
    ],
)
def test_wrong_prices_are_named(workspace: Path, home: Path, toml: str, words: str) -> None:
    config = read(workspace, home, toml)
    (problem,) = config.diagnostics
    assert (problem.severity, problem.code) == ("error", "badValue")
    assert words in problem.message
    assert "pygent.toml:1" in problem.message
    assert config.settings.prices == {}


@pytest.mark.parametrize("name", ["steps", "tokens", "cost", "seconds", "session_tokens", "session_cost"])
def test_limits_are_checked_and_a_strange_folder_only_lowers_them(
    workspace: Path, home: Path, name: str
) -> None:
    (problem,) = read(workspace, home, f"[limits]\n{name} = 0\n").diagnostics
    assert f"limits.{name}" in problem.message
    (home / ".pygent.toml").write_text(f"[limits]\n{name} = 10\n")
    higher = read(workspace, home, f"[limits]\n{name} = 11\n", trusted=False)
    assert getattr(higher.settings.limits, name) == 10
    assert [value.key for value in higher.withheld] == [f"limits.{name}"]
    lower = read(workspace, home, f"[limits]\n{name} = 9\n", trusted=False)
    assert getattr(lower.settings.limits, name) == 9


def test_a_strange_folder_sets_no_prices(workspace: Path, home: Path) -> None:
    config = read(workspace, home, "[prices.mini]\ninput = 0\noutput = 0\n", trusted=False)
    assert config.settings.prices == {}
    assert [value.key for value in config.withheld] == ["prices"]


# -- sums ------------------------------------------------------------------------------------------

USAGES = st.builds(
    Usage,
    prompt_tokens=st.integers(0, 10**6),
    completion_tokens=st.integers(0, 10**6),
    cached_tokens=st.none() | st.integers(1, 10**6),
    cost=st.none() | st.floats(0, 100),
    estimated=st.booleans(),
)


@given(USAGES, USAGES)
def test_sums_add_up(one: Usage, other: Usage) -> None:
    both = total(one, other)
    assert both.prompt_tokens == one.prompt_tokens + other.prompt_tokens
    assert both.estimated == (one.estimated or other.estimated)
    assert total(NO_USAGE, one) == one


@given(USAGES, st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1000))
def test_a_cost_is_between_all_cached_and_nothing_cached(usage: Usage, i: float, o: float, c: float) -> None:
    cost = priced(usage, "m", {"m": Price(input=i, output=o, cached=c)}).cost
    assert cost is not None
    spoken = usage.completion_tokens * o / 1e6
    low, high = (usage.prompt_tokens * rate / 1e6 + spoken for rate in sorted((i, c)))
    assert low - 1e-9 <= cost * (1 + 1e-9) and cost * (1 - 1e-9) <= high + 1e-9


def test_usage_in_words() -> None:
    usage = Usage(prompt_tokens=12_345, completion_tokens=67, cached_tokens=800, cost=0.01234)
    assert worded(usage) == "12,345 tokens in, 800 cached, 67 out · cost 0.01234"
    guess = Usage(
        prompt_tokens=10, completion_tokens=2, context_tokens=25, context_window=100, estimated=True
    )
    assert worded(guess) == "~10 tokens in, ~2 out · ~25% of the window"


async def test_a_summary_is_paid_for_by_the_turn_that_needs_it(workspace: Path) -> None:
    summarise = Reply(match=Match(system="memory of a coding agent"), text="S.", usage=COUNTED, times=0)
    big = ScriptedCall(name="bash", arguments={"cmd": "seq {{step}}000 {{step}}900"})
    steps = [Reply(tool_calls=[big], usage={"prompt_tokens": 1, "completion_tokens": 0}) for _ in range(12)]
    async with story(
        workspace, summarise, *steps, Reply(text="Done."), context_window=9000, prices=PRICES,
        script={"together": True},
    ) as tale:  # fmt: skip
        result = await tale.app.sessions.new(tale.folder).chat("go")
        summaries = [event for event in tale.person.of(Compacted) if event.form == "summary"]
        assert summaries
        assert result.usage.cost is not None
        assert result.usage.cost > len(summaries) * COST
