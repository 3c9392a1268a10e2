"""A scripted reply as a chat completion, streamed or whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from pygent.replay.script import Reply

PATH = "/chat/completions"


def messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation that a request holds."""
    found: list[dict[str, Any]] = request["messages"]
    return found


def events(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    """The reply as server-sent events."""
    model, size = request["model"], max(1, reply.fragment)
    yield _event(model, {"role": "assistant", "content": ""})
    for at in range(0, len(reply.reasoning), size):
        yield _event(model, {"reasoning_content": reply.reasoning[at : at + size]})
    if reply.tokens:
        token = _event(model, {"content": "token "})
        for first in range(0, reply.tokens, 50):
            yield token * min(50, reply.tokens - first)
    for at in range(0, len(reply.text), size):
        yield _event(model, {"content": reply.text[at : at + size]})
    for index, call in enumerate(_calls(reply)):
        yield from _call_events(model, index, call, size)
    if reply.fault is not None and reply.fault.no_done:
        return
    yield _event(model, {}, reply.finish or ("tool_calls" if reply.tool_calls else "stop"))
    if (request.get("stream_options") or {}).get("include_usage"):
        yield data({**_base(model), "choices": [], "usage": usage(reply)})
    yield b"data: [DONE]\n\n"


def _call_events(model: str, index: int, call: dict[str, Any], size: int) -> Iterator[bytes]:
    text = call["function"].pop("arguments")
    yield _event(model, {"tool_calls": [{"index": index, **call}]})
    for at in range(0, len(text), size):
        piece = {"index": index, "function": {"arguments": text[at : at + size]}}
        yield _event(model, {"tool_calls": [piece]})


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return data({**_base(model), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _base(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-replay", "object": "chat.completion.chunk", "created": 1, "model": model}


def data(value: Any) -> bytes:
    """A value as the data of an event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def usage(reply: Reply) -> dict[str, Any]:
    """What the reply says that it used, or a guess."""
    spoken = max(1, reply.tokens + len(reply.text) // 4)
    if reply.usage is not None:
        return reply.usage
    return {"prompt_tokens": 100, "completion_tokens": spoken, "total_tokens": 100 + spoken}


def arguments(given: dict[str, Any] | str) -> str:
    """A scripted call's arguments as they travel."""
    return given if isinstance(given, str) else json.dumps(given)


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": arguments(call.arguments)},
        }
        for number, call in enumerate(reply.tool_calls)
    ]


def whole(reply: Reply, request: dict[str, Any]) -> dict[str, Any]:
    """The reply as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    finish = reply.finish or ("tool_calls" if reply.tool_calls else "stop")
    choice = {"index": 0, "message": message, "finish_reason": finish}
    head = {**_base(request["model"]), "object": "chat.completion"}
    return {**head, "choices": [choice], "usage": usage(reply)}
