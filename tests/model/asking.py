"""What the tests of the model client share: a client, what its listener heard, and what is sent."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from pygent.config import Settings
from pygent.events import Notice
from pygent.model import Answer, Listener, Prompt
from pygent.model.client import EndpointModel, open_model
from pygent.model.retries import Policy
from pygent.replay import Fault, ReplayServer, Reply, Script, ScriptedCall

KEY = "sk-key-of-the-test"
TOOLS = b'[{"type":"function","function":{"name":"bash","parameters":{"type":"object","properties":{}}}}]'
SYSTEM = {"role": "system", "content": "s"}
HI = {"role": "user", "content": "hi"}
CALL = ScriptedCall(name="bash", arguments={"cmd": "ls 'ä'"}, id="abc")
CALLED = {"id": "abc", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
IMAGE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ],
}


class Heard:
    """What the listener was told."""

    def __init__(self) -> None:
        self.text, self.reasoning = "", ""
        self.notices: list[Notice] = []
        self.listener = Listener(self._text, self._reasoning, self.notices.append)

    def _text(self, text: str) -> None:
        self.text += text

    def _reasoning(self, text: str) -> None:
        self.reasoning += text

    def said(self, code: str) -> list[Notice]:
        return [notice for notice in self.notices if notice.code == code]


def prompt(*messages: dict[str, Any], tools: bytes | None = TOOLS) -> Prompt:
    return Prompt([msgspec.json.encode(message) for message in messages or (SYSTEM, HI)], tools, "replayed")


def after_call(**fields: Any) -> Prompt:
    """A conversation that goes on after a call."""
    asked = {"role": "assistant", "content": "", **fields, "tool_calls": [CALLED]}
    return prompt(SYSTEM, HI, asked, {"role": "tool", "tool_call_id": "abc", "content": "ok"})


@contextlib.asynccontextmanager
async def client(
    base_url: str,
    wire: str = "chat",
    *,
    state: Path | None = None,
    environ: dict[str, str] | None = None,
    key: str | None = KEY,
    pace: float = 0.0,
    **settings: Any,
) -> AsyncIterator[EndpointModel]:
    """The client that the settings make, but in a hurry between attempts."""
    made = open_model(Settings(base_url=base_url, api_key=key, api=wire, **settings), environ or {}, state)
    assert isinstance(made, EndpointModel)
    made._policy = Policy(first=pace)
    try:
        yield made
    finally:
        await made.close()


async def ask(
    script: Script | list[Reply],
    wire: str = "chat",
    *,
    heard: Heard | None = None,
    sent: Prompt | None = None,
    **settings: Any,
) -> Answer:
    """One answer of a scripted server."""
    script = script if isinstance(script, Script) else Script(replies=script)
    async with ReplayServer(script) as server, client(server.base_url, wire, **settings) as model:
        return await model.answer(sent or prompt(), (heard or Heard()).listener)


def exactly(*events: Any, done: bool = True, times: int = 1) -> Reply:
    """A reply of exactly these events."""
    return Reply(events=list(events), fault=None if done else Fault(no_done=True), times=times)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def piece(**fields: Any) -> dict[str, Any]:
    """A chunk with a piece of a tool call."""
    return delta(tool_calls=[fields])
