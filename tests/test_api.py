"""The asynchronous API: turns as typed events, consent, tools and models of the program's own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.story import call

import pygent
from pygent.api import AsyncPygent, Pygent
from pygent.errors import PygentError
from pygent.events import Envelope, Message, TextDelta, ToolFinished, TurnFinished
from pygent.records import Approval, Decision, Question
from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYGENT_USE_DOCKER", "0")


def served(monkeypatch: pytest.MonkeyPatch, server: ReplayServer) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)


async def test_a_turn_is_read_event_by_event(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [call("bash", cmd="echo out"), Reply(text="All of it.")]
    async with ReplayServer(Script(replies=replies)) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace, confirm_bash=False) as agent:
            session = agent.session(title="Mine")
            turn = session.chat("go")
            shown, kinds = "", []
            async for event in turn:
                kinds.append(type(event))
                match event:
                    case TextDelta(text=text):
                        shown += text
                    case ToolFinished(output=output):
                        assert output == "out"
            assert shown == "All of it."
            assert kinds[-1] is TurnFinished and Message in kinds
            assert turn.result is not None and turn.result.reply == "All of it."
            assert [info.id for info in agent.sessions()] == [session.id]
            stored = session.events()
            assert [envelope.seq for envelope in stored] == list(range(1, len(stored) + 1))


async def test_consent_and_questions_may_be_async(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def approve(approval: Approval) -> Decision:
        await asyncio.sleep(0)
        asked.append(approval.detail)
        return Decision(decision="decline", feedback="not that one")

    async def ask(question: Question) -> str:
        return f"about {question.prompt}"

    replies = [call("bash", cmd="rm x"), call("ask_user", prompt="Which?"), Reply(text="Fine.")]
    async with ReplayServer(Script(replies=replies)) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace, approve=approve, ask=ask) as agent:
            assert (await agent.ask("go")).reply == "Fine."
        told = [message["content"] for message in server.requests[2]["messages"] if message["role"] == "tool"]
    assert asked == ["rm x"]
    assert "not that one" in told[0] and "about Which?" in told[1]


async def test_without_anybody_to_ask_it_is_declined(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ReplayServer(Script(replies=[call("bash", cmd="touch x"), Reply(text="No.")])) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace) as agent:
            await agent.ask("go")
    assert not (workspace / "x").exists()


async def test_leaving_early_cancels(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ReplayServer(Script(replies=[Reply(tokens=5000, delay=0.01), Reply(text="On.")])) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace) as agent:
            session = agent.session()
            events = session.chat("talk").__aiter__()
            while not isinstance(await events.__anext__(), TextDelta):
                pass
            await events.aclose()
            (end,) = [one.event for one in session.events() if isinstance(one.event, TurnFinished)]
            assert end.status == "cancelled"
            assert (await session.chat("and on")).reply == "On."


async def test_a_turn_that_can_t_begin_says_so(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ReplayServer(Script(replies=[Reply(tokens=5000, delay=0.01)])) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace) as agent:
            session = agent.session()
            first = asyncio.ensure_future(session.chat("talk")._run())
            await asyncio.sleep(0)
            with pytest.raises(PygentError, match="A turn is running"):
                async for _ in session.chat("me too"):
                    pass
            assert await session.cancel()
            assert (await first).status == "cancelled"


async def test_tools_model_and_system_of_the_program(workspace: Path) -> None:
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    class Counting:
        def __init__(self) -> None:
            self.seen: list[list[dict[str, Any]]] = []

        def chat(self, messages: list[dict[str, Any]], model: str, tools: Any) -> dict[str, Any]:
            self.seen.append(messages)
            if messages[-1]["role"] == "tool":
                return {"role": "assistant", "content": f"It is {messages[-1]['content']}."}
            function = {"name": "double", "arguments": '{"number": 21}'}
            return {"role": "assistant", "tool_calls": [{"id": "a", "function": function}]}

    model = Counting()
    system = "{} And be brief.".format
    async with AsyncPygent(workspace, tools=[double], model=model, system=system) as agent:
        assert (await agent.ask("double it")).reply == "It is 42."
    assert model.seen[0][0]["content"].endswith("And be brief.")


async def test_delegated_work_comes_back(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [call("write_file", path="new.txt", content="new\n"), Reply(text="Made.")]
    async with ReplayServer(Script(replies=replies)) as server:
        served(monkeypatch, server)
        async with AsyncPygent(workspace) as agent:
            task = await agent.delegate("make it")
            (task,) = await agent.wait(task.id, timeout=60)
            assert (task.status, agent.reply(task.id)) == ("completed", "Made.")
            assert "+new" in await agent.diff(task.id)
            assert not (workspace / "new.txt").exists()
            assert (await agent.apply(task.id)).applied == ["new.txt"]
    assert (workspace / "new.txt").read_text() == "new\n"


async def test_the_blocking_api(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Match(first="apart")
    replies = [
        call("bash", cmd="touch asked"),
        Reply(text="First."),
        Reply(text="Second."),
        Reply(
            match=child, tool_calls=[ScriptedCall(name="write_file", arguments={"path": "x", "content": "x"})]
        ),
        Reply(match=child, text="Apart."),
    ]
    heard: list[Envelope] = []

    def use(base_url: str) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        with Pygent(workspace, use_docker="0", on_event=heard.append, approve=lambda _: True) as agent:
            first = agent.ask("go")
            assert first.reply == "First."
            assert agent.ask("on", session_id=first.session_id).reply == "Second."
            task = agent.delegate("work apart", timeout=30)
            (task,) = agent.wait(task.id)
            assert (task.status, agent.reply(task.id)) == ("completed", "Apart.")
            assert agent.collect(task.id, "x") == ["x"]

    # The task's conversation is known by its first message, so its replies stand first.
    ordered = replies[3:] + replies[:3]
    async with ReplayServer(Script(replies=ordered)) as server:
        await asyncio.to_thread(use, server.base_url)
    assert (workspace / "asked").exists()
    assert any(isinstance(envelope.event, ToolFinished) for envelope in heard)


def test_everything_public_is_there_and_loads_when_it_is_used() -> None:
    for name in pygent._PLACES:
        assert getattr(pygent, name) is not None, name
    assert pygent.Pygent is Pygent
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pygent.nothing  # type: ignore[attr-defined]


def test_the_blocking_api_closes_twice(workspace: Path) -> None:
    agent = Pygent(workspace)
    assert agent.personas()[0].name == "Pygent"
    agent.close()
    agent.close()
