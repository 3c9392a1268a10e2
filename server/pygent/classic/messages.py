"""Chat messages as Pygent 1.0's `openai_compat` has them, and a blocking chat completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pygent.classic import process
from pygent.events import Notice
from pygent.model import Answer, Listener, Prompt
from pygent.paths import state_folder


@dataclass
class ToolCallFunction:
    """What is called; `arguments` is the text of a JSON object."""

    name: str
    arguments: str


@dataclass
class ToolCall:
    """A call that an assistant's message asks for."""

    id: str
    type: str
    function: ToolCallFunction


@dataclass
class Message:
    """A chat message; it can be read like the dict of the wire, too (`message["content"]`)."""

    role: str
    content: str | None = None
    tool_calls: list[ToolCall] | None = None

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """A field by its name, as of a dict."""
        return getattr(self, name, default)


@dataclass
class Choice:
    """One answer of a completion."""

    message: Message


@dataclass
class ChatCompletion:
    """The answer of a chat completion."""

    choices: list[Choice] = field(default_factory=list)


def parse_message(raw: Any) -> Message:
    """A message out of a dict of the wire or an object of the openai SDK.  Raises TypeError for others."""
    if isinstance(raw, Message):
        return raw
    for convert in ("model_dump", "to_dict"):
        if hasattr(raw, convert):
            return parse_message(getattr(raw, convert)())
    if not isinstance(raw, dict):
        raise TypeError(f"Unsupported message type: {type(raw)!r}")
    calls = [_call(call) for call in raw.get("tool_calls") or []]
    return Message(role=raw.get("role") or "", content=raw.get("content"), tool_calls=calls or None)


def _call(raw: dict[str, Any]) -> ToolCall:
    function = raw.get("function") or {}
    named = ToolCallFunction(name=function.get("name") or "", arguments=function.get("arguments") or "")
    return ToolCall(id=raw.get("id") or "", type=raw.get("type") or "function", function=named)


def wire(message: Any) -> dict[str, Any]:
    """The dict that is sent for a message of a history."""
    if isinstance(message, dict):
        return message
    message = parse_message(message)
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = msgspec.to_builtins(message.tool_calls)
    return sent


class _Completions:
    def create(
        self, model: str, messages: Sequence[Any], tools: Any = None, tool_choice: str | None = "auto"
    ) -> ChatCompletion:
        """Ask the endpoint of the settings; waits for the whole answer.  Raises ModelError.

        `tool_choice` is not sent: what servers take there differs, and `auto` is what they all mean.
        """
        sent = [msgspec.json.encode(wire(message)) for message in messages]
        offered = msgspec.json.encode(tools) if tools else None
        answer = process.loop_thread().do(_ask(Prompt(sent, offered, model)))
        return ChatCompletion([Choice(message_of(answer))])


async def _ask(prompt: Prompt) -> Answer:
    from pygent.model.client import open_model  # noqa: PLC0415 - imports openai

    model = open_model(process.settings(), process.environ(), state_folder())
    try:
        return await model.answer(prompt, Listener(_ignore, _ignore, _ignore_notice))
    finally:
        await model.close()


def _ignore(text: str) -> None:
    pass


def _ignore_notice(notice: Notice) -> None:
    pass


def message_of(answer: Answer) -> Message:
    """An answer of the core as a message."""
    calls = [
        ToolCall(call.call_id, "function", ToolCallFunction(call.name, call.arguments))
        for call in answer.calls
    ]
    return Message("assistant", answer.text or None, calls or None)


class _Chat:
    completions = _Completions()


chat = _Chat()
"""`chat.completions.create(...)`, as of the openai package."""
