"""Models of one's own: any object with a `chat` method answers in place of the endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from pygent.classic.messages import Message, ToolCall, chat, parse_message
from pygent.errors import ModelError
from pygent.model import Answer, AskedCall, Listener, Prompt


class ChatModel(Protocol):
    """What answers: called with the messages so far, the model's name and the tools' schemas."""

    def chat(self, messages: list[Any], model: str, tools: Any) -> Any:
        """The assistant's message: a `Message`, or a dict or object of the wire."""


class OpenAIModel:
    """The endpoint of the settings; what an agent uses if it is given no model."""

    def chat(self, messages: list[Any], model: str, tools: Any) -> Message:
        """One answer, waited for.  Raises ModelError."""
        return chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message


_custom: list[ChatModel] = []


def set_custom_model(model: ChatModel | None) -> None:
    """Let every agent from now on use this model; None goes back to the endpoint."""
    _custom[:] = [] if model is None else [model]


def custom_model() -> ChatModel | None:
    """What `set_custom_model` set."""
    return _custom[0] if _custom else None


class Adapter:
    """A chat model as the core's `Model`.

    `messages` gives the conversation as a script knows it; without it the model gets what a server would.
    """

    def __init__(self, model: ChatModel, messages: Callable[[], list[Any]] | None = None) -> None:
        self._model = model
        self._messages = messages

    async def answer(self, prompt: Prompt, listener: Listener) -> Answer:
        """Ask on a thread of its own.  Raises ModelError with whatever went wrong there."""
        tools = [] if prompt.tools is None else msgspec.json.decode(prompt.tools)
        given = self._messages or (lambda: [msgspec.json.decode(message) for message in prompt.messages])
        try:
            said = await asyncio.to_thread(self._model.chat, given(), prompt.model, tools)
            message = parse_message(said)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"The model failed: {type(error).__name__}: {error}.") from error
        if message.content:
            listener.text(message.content)
        return Answer(message.content or "", _asked(message.tool_calls or ()), None)

    async def window(self, model: str) -> int | None:
        """A model of one's own does not tell."""
        return None

    def adaptations(self, model: str) -> list[str]:
        """Nothing is adapted to it."""
        return []

    async def models(self) -> list[str]:
        """A model of one's own has no list."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


def _asked(calls: Sequence[ToolCall]) -> list[AskedCall]:
    return [_checked(call, number) for number, call in enumerate(calls, 1)]


def _checked(call: ToolCall, number: int) -> AskedCall:
    """The call with arguments that are a JSON object, or `{}` and what was wrong with them."""
    name, given = call.function.name, call.function.arguments or "{}"
    call_id = call.id or f"call{number}"
    try:
        arguments = msgspec.json.encode(msgspec.json.decode(given, type=dict[str, Any]))
        return AskedCall(call_id, name, arguments.decode())
    except (msgspec.DecodeError, TypeError) as error:
        return AskedCall(call_id, name, "{}", f"The arguments are no JSON object: {error}.")
