"""The wire of the Responses API, for endpoints that prefer it.

Nothing is stored at the server (`store` false): the conversation is ours, and the model's reasoning goes
back to it encrypted, as items in the places where they came.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pygent.model import Listener, Prompt
from pygent.model.adapt import LEFT_OUT
from pygent.model.fold import WIRE
from pygent.model.items import ResponsesFold
from pygent.model.shapes import NO_IMAGE
from pygent.model.wires import Options

_encode = msgspec.json.Encoder().encode
_LARGE = 64 * 1024


class ResponsesWire:
    """`POST /responses`."""

    path = "/responses"

    def __init__(self, options: Options) -> None:
        self._options = options

    def body(self, prompt: Prompt, learnt: Mapping[str, str]) -> bytes:
        """The request; each stored message becomes its items once."""
        sees = learnt.get("images") != LEFT_OUT
        thinks = learnt.get("reasoning") != LEFT_OUT
        first, *rest = prompt.messages
        fields = self._fields(prompt, learnt)
        if (instructions := _instructions(first)) is not None:
            fields["instructions"] = instructions
        else:
            rest = [first, *rest]
        items = [
            _items(message, sees, thinks) if len(message) < _LARGE else _made(message, sees, thinks)
            for message in rest
        ]
        parts = [_encode(fields)[:-1]]
        if prompt.tools is not None:
            parts += [b',"tools":', _tools(prompt.tools)]
        return b"".join([*parts, b',"input":[', b",".join(filter(None, items)), b"]}"])

    def _fields(self, prompt: Prompt, learnt: Mapping[str, str]) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": prompt.model, "stream": learnt.get("stream") != "off"}
        if learnt.get("store") != LEFT_OUT:
            fields["store"] = False
        if learnt.get("include") != LEFT_OUT:
            fields["include"] = ["reasoning.encrypted_content"]
        if self._options.max_tokens is not None and learnt.get("max_tokens") != LEFT_OUT:
            fields["max_output_tokens"] = self._options.max_tokens
        if self._options.reasoning_effort is not None and learnt.get("reasoning_effort") != LEFT_OUT:
            fields["reasoning"] = {"effort": self._options.reasoning_effort}
            if learnt.get("summary") != LEFT_OUT:
                fields["reasoning"]["summary"] = "auto"
        return fields

    def fold(self, listener: Listener) -> ResponsesFold:
        """A reader for the answer."""
        return ResponsesFold(listener)


def _instructions(message: bytes) -> str | None:
    """The text of a system message; None for any other."""
    decoded = msgspec.json.decode(message)
    return str(decoded["content"]) if decoded["role"] == "system" else None


@functools.lru_cache(maxsize=32)
def _tools(tools: bytes) -> bytes:
    """The tools in this wire's form."""
    listed = msgspec.json.decode(tools)
    return _encode([{"type": "function", "strict": False, **tool["function"]} for tool in listed])


def _made(message: bytes, sees: bool, thinks: bool) -> bytes:
    """A stored chat message as the items of this wire, with commas between them."""
    decoded = msgspec.json.decode(message)
    match decoded["role"]:
        case "assistant":
            found = list(_assistant(decoded, thinks))
        case "tool":
            found = [
                {
                    "type": "function_call_output",
                    "call_id": decoded["tool_call_id"],
                    "output": decoded["content"],
                }
            ]
        case _:
            found = [{"role": "user", "content": _parts(decoded["content"], sees)}]
    return b",".join(map(_encode, found))


_items = functools.lru_cache(maxsize=8192)(_made)


def _parts(content: Any, sees: bool) -> Any:
    if not isinstance(content, list):
        return content
    parts = []
    for part in content:
        if part["type"] == "text":
            parts.append({"type": "input_text", "text": part["text"]})
        elif sees:
            parts.append({"type": "input_image", "image_url": part["image_url"]["url"]})
        else:
            parts.append({"type": "input_text", "text": NO_IMAGE})
    return parts


def _assistant(message: dict[str, Any], thinks: bool) -> Iterator[dict[str, Any]]:
    """The items of an answer; reasoning goes back in its place, the rest is what is stored."""
    calls = {call["id"]: _call(call) for call in message.get("tool_calls") or ()}
    said = message.get("content") or ""
    kept = (message.get(WIRE) or {}).get("items") or [] if thinks else []
    for item in kept:
        if item["type"] == "message" and said:
            yield _said(said)
            said = ""
        elif item["type"] == "function_call" and item["call_id"] in calls:
            yield calls.pop(item["call_id"])
        elif item["type"] == "reasoning":
            yield item
    if said:
        yield _said(said)
    yield from calls.values()


def _said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "output_text", "text": text}]}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call["id"], **call["function"]}
