"""Messages to a running turn, over the wire: none that was taken is lost or heard twice, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, server

from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall

pytestmark = pytest.mark.e2e
OPTIONS: dict[str, Any] = {
    "events": True,
    "trusted": True,
    "config": {"confirm_bash": False, "limits": {"steps": 1000}},
}
STEP = ScriptedCall(name="bash", arguments={"cmd": "echo {{step}}; sleep 0.02"})
WORK = Reply(match=Match(first="work"), tool_calls=[STEP], times=120)
KILLS = 6


async def said(wire: Wire, session: str) -> list[str]:
    """Everything that the conversation has of the person, in order; a message that was merged by itself."""
    stored = await wire.command("pygent.session.events", sessionId=session)
    texts = []
    for envelope in stored["events"]:
        event = envelope["event"]
        if event["type"] == "turnStarted" or (event["type"] == "message" and event["role"] == "user"):
            texts.append(event["text"])
    return texts


@pytest.mark.timeout(240)
async def test_what_was_taken_survives_kills_at_random_moments(workspace: Path) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    taken: list[str] = []
    session = None
    async with ReplayServer(Script(replies=[WORK, Reply(text="Done.", times=0)], together=True)) as model:
        for number in range(KILLS):
            async with server(workspace, base_url=model.base_url) as wire:
                await wire.initialize(workspace, **OPTIONS)
                fields = {} if session is None else {"sessionId": session}
                begun = await wire.command("pygent.chat", text=f"work {number}", wait=False, **fields)
                session = begun["sessionId"]
                taken.append(f"work {number}")
                dying = asyncio.ensure_future(_killed(wire, dice.uniform(0.05, 1.2)))
                for message in range(200):
                    text = f"message {number}.{message}."
                    deliver = dice.choice(["steer", "queue"])
                    if not await _sent(wire, dying, text=text, sessionId=session, deliver=deliver):
                        break
                    taken.append(text)
                    await asyncio.sleep(dice.uniform(0, 0.05))
                await dying
        async with server(workspace, base_url=model.base_url) as wire:
            await wire.initialize(workspace, **OPTIONS)
            await wire.command("pygent.chat", text="the end", sessionId=session, wait=False)
            taken.append("the end")
            while set(taken) - set(texts := await said(wire, str(session))):
                await asyncio.sleep(0.2)
    counted = Counter(texts)
    assert {text: counted[text] for text in taken} == dict.fromkeys(taken, 1), f"seed {seed}"
    assert len(taken) > 2 * KILLS, "some messages were taken before the kills"


async def _sent(wire: Wire, dying: asyncio.Future[None], **fields: Any) -> bool:
    """Whether a message was taken; what was answered before the kill is read to its end."""
    params = {"command": "pygent.chat", "arguments": [{**fields, "wait": False}]}
    answer = wire.begin("workspace/executeCommand", params)[1]
    await asyncio.wait({answer, dying}, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        await wire.ended()
    return answer.done() and "result" in answer.result()


async def _killed(wire: Wire, after: float) -> None:
    await asyncio.sleep(after)
    os.kill(wire.process.pid, signal.SIGKILL)
    await wire.process.wait()


async def test_a_steer_is_heard_at_the_next_step_and_a_queued_message_is_the_next_turn(
    workspace: Path,
) -> None:
    replies = [
        Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "touch begun; while ! test -e go; do sleep 0.05; done"})]),
        Reply(match=Match(last="aside"), text="Heard."),
        Reply(match=Match(last="later"), text="The next turn."),
    ]  # fmt: skip
    async with (
        ReplayServer(Script(replies=replies, together=True)) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        await wire.initialize(workspace, **OPTIONS)
        begun = await wire.command("pygent.chat", text="work", wait=False)
        while not (workspace / "begun").exists():
            await asyncio.sleep(0.02)
        session = begun["sessionId"]
        queued = await wire.command(
            "pygent.chat", text="later", sessionId=session, deliver="queue", wait=False
        )
        steered = await wire.command(
            "pygent.chat", text="aside", sessionId=session, deliver="steer", wait=False
        )
        assert steered["turnId"] == begun["turnId"] != queued["turnId"]
        (workspace / "go").touch()
        await wire.until(lambda: len(wire.events("turnFinished")) == 2)
        ends = {one["turnId"]: one["event"]["reply"] for one in wire.events("turnFinished")}
        assert ends == {begun["turnId"]: "Heard.", queued["turnId"]: "The next turn."}
        assert await said(wire, session) == ["work", "aside", "later"]
