"""A stored message in the form that one server takes: what was learnt of it, applied."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pygent.model.adapt import LEFT_OUT
from pygent.model.fold import WIRE
from pygent.model.reasoning import NAMES

NO_IMAGE = "[An image was here; this model takes none.]"
_OURS = f'"{WIRE}":'.encode()
_LARGE = 64 * 1024
"""Bytes above which a changed message is not kept for the next request."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Shape:
    """How an endpoint wants its messages."""

    reasoning: str | None = None
    content: str | None = None
    images: str | None = None
    ids: str | None = None
    extra_content: str | None = None

    @classmethod
    def of(cls, learnt: Mapping[str, str]) -> Shape:
        """The shape that follows from what was learnt."""
        return cls(**{name: learnt.get(name) for name in cls.__dataclass_fields__})


_PLAIN = Shape()


def shaped(messages: Sequence[bytes], learnt: Mapping[str, str]) -> Sequence[bytes]:
    """The messages as the endpoint takes them; those that need no change are the very same bytes."""
    shape = Shape.of(learnt)
    if shape == _PLAIN:
        found = [message if _OURS not in message else _changed(message, shape) for message in messages]
    else:
        found = [_changed(message, shape) for message in messages]
    return _joined(found) if learnt.get("system") == "joined" else found


def _joined(messages: list[bytes]) -> list[bytes]:
    """The system message as the beginning of the first user message."""
    first, *rest = messages
    system = msgspec.json.decode(first)
    at = next((at for at, message in enumerate(rest) if message.startswith(b'{"role":"user"')), None)
    if system["role"] != "system" or at is None:
        return messages
    user = msgspec.json.decode(rest[at])
    if isinstance(user["content"], str):
        user["content"] = f"{system['content']}\n\n{user['content']}"
    else:
        user["content"] = [{"type": "text", "text": system["content"]}, *user["content"]]
    rest[at] = _encode(user)
    return rest


def _changed(message: bytes, shape: Shape) -> bytes:
    return _change(message, shape) if len(message) > _LARGE else _kept(message, shape)


def _change(message: bytes, shape: Shape) -> bytes:
    decoded: dict[str, Any] = msgspec.json.decode(message)
    before = dict(decoded)
    match decoded["role"]:
        case "assistant":
            _assistant(decoded, shape)
        case "user" if shape.images == LEFT_OUT:
            decoded["content"] = without_images(decoded["content"])
        case "tool" if shape.ids == "short":
            decoded["tool_call_id"] = short_id(decoded["tool_call_id"])
        case _:
            return message
    return message if decoded == before else _encode(decoded)


_kept = functools.lru_cache(maxsize=8192)(_change)


def _assistant(message: dict[str, Any], shape: Shape) -> None:
    extras = (message.pop(WIRE, None) or {}).get("calls", {})
    calls = message.get("tool_calls")
    if shape.reasoning == LEFT_OUT:
        for name in NAMES:
            message.pop(name, None)
    elif shape.reasoning == "demanded" and calls:
        message.setdefault("reasoning_content", "")
    if calls:
        if message.get("content") == "" and shape.content == "null":
            message["content"] = None
        message["tool_calls"] = [_call(call, extras, shape) for call in calls]


def _call(call: dict[str, Any], extras: dict[str, Any], shape: Shape) -> dict[str, Any]:
    extra = {} if shape.extra_content == LEFT_OUT else extras.get(call["id"], {})
    call_id = short_id(call["id"]) if shape.ids == "short" else call["id"]
    return {**call, "id": call_id, **extra}


def without_images(content: Any) -> Any:
    """A message's content with a word in the place of each image."""
    if not isinstance(content, list):
        return content
    texts = [str(part.get("text", "")) if part.get("type") == "text" else NO_IMAGE for part in content]
    return "\n".join(texts)


def short_id(call_id: str) -> str:
    """Nine letters and digits that always stand for the same id; one that is so already stays."""
    if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
        return call_id
    digest = base64.b32encode(hashlib.sha256(call_id.encode()).digest()).decode()
    return digest[:9]
