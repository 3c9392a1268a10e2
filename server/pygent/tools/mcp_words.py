"""What an MCP server says of its tools, as the model may read it: visible, and of a bounded length."""

from __future__ import annotations

from typing import Any

import msgspec

from pygent.visible import visible

LONGEST = 2000
"""Characters of a description, and of any other text in a schema."""
DEEPEST = 32
"""Levels of a schema; real ones have five."""
MOST = 64 * 1024
"""Bytes that the tools of one server may take in each request."""


TOLD = ("description", "title", "$comment")
"""The keys of a schema whose text is for reading."""


class Refused(Exception):
    """A tool that can't be offered; the message says why."""


def described(text: str) -> str:
    """A text of a server on one line, cut where it is too long."""
    shown = visible(" ".join(text.split()), keep="")
    if len(shown) <= LONGEST:
        return shown
    return f"{shown[:LONGEST]} [{len(shown) - LONGEST} more characters were cut]"


def _exact(value: str) -> str:
    """A value of a schema, which must stay as it is but for what can't be seen."""
    return visible(value, keep="\n\t\\")[:LONGEST]


def schema(offered: dict[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments.  Raises Refused."""
    return {"properties": {}, **_clean(offered, 0), "type": "object"}


def size(description: str, parameters: dict[str, Any]) -> int:
    """How many bytes a tool takes in each request."""
    return len(description.encode()) + len(msgspec.json.encode(parameters))


def _clean(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise Refused(f"its schema has more than {DEEPEST} levels")
    match value:
        case str():
            return _exact(value)
        case list():
            return [_clean(item, depth + 1) for item in value]
        case dict():
            return {
                _name(key): described(item)
                if key in TOLD and isinstance(item, str)
                else _clean(item, depth + 1)
                for key, item in value.items()
            }
        case _:
            return value


def _name(key: str) -> str:
    """The name of an argument, which must stay as it is.  Raises Refused."""
    if visible(key, keep="\\") != key or len(key) > LONGEST:
        raise Refused(f"the name {described(key)[:80]} can't be shown as it is")
    return key
