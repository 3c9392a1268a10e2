"""Tool calls that a server left in the text, because nobody told it how its model writes them.

The model did ask; only its server did not understand (lmstudio-ai/lmstudio-bug-tracker#2115).  A text is
taken for calls only if it ends with them, every one names a tool that was offered, and nothing is open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from pygent.model import AskedCall
from pygent.model.calls import minted

_MARKS = ("<tool_call>", "<function=", "[TOOL_CALLS]", "<|python_tag|>", "<|tool_call|>")
_BLOCK = re.compile(
    r"<tool_call>\s*(?P<tagged>\{.*?\})\s*</tool_call>"
    r"|<function=(?P<name>[\w.-]+)>\s*(?P<arguments>\{.*?\})\s*</function>"
    r"|\[TOOL_CALLS\]\s*(?P<listed>\[.*\])"
    r"|<\|(?:python_tag|tool_call)\|>\s*(?P<plain>\{.*?\})(?=\s*(?:<\||$))",
    re.S,
)


def written(text: str) -> bool:
    """Whether the text has the marks of a call."""
    return any(mark in text for mark in _MARKS)


def tool_names(tools: bytes | None) -> frozenset[str]:
    """The names of the tools that a prompt offers."""
    listed = [] if tools is None else msgspec.json.decode(tools)
    return frozenset(tool["function"]["name"] for tool in listed)


def found(text: str, names: frozenset[str]) -> tuple[str, list[AskedCall]] | None:
    """The words before the calls, and the calls; None if the text is not clearly meant as calls."""
    blocks = list(_BLOCK.finditer(text))
    if not blocks or text[blocks[-1].end() :].strip() or _words_between(text, blocks):
        return None
    try:
        calls = [call for block in blocks for call in _calls(block)]
    except (ValueError, RecursionError):
        return None
    if not calls or any(call.name not in names for call in calls):
        return None
    return text[: blocks[0].start()].rstrip(), calls


def _words_between(text: str, blocks: Sequence[re.Match[str]]) -> bool:
    return any(text[one.end() : other.start()].strip() for one, other in pairwise(blocks))


def _calls(block: re.Match[str]) -> Iterator[AskedCall]:
    if block["name"]:
        yield _call({"name": block["name"], "arguments": json.loads(block["arguments"], strict=False)})
        return
    value = json.loads(block["tagged"] or block["listed"] or block["plain"], strict=False)
    for item in value if isinstance(value, list) else [value]:
        yield _call(item)


def _call(item: Any) -> AskedCall:
    """A call as a model writes it.  Raises ValueError."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError
    arguments = item.get("arguments", item.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json.loads(arguments, strict=False)
    if not isinstance(arguments, dict):
        raise ValueError
    return AskedCall(minted(), item["name"], json.dumps(arguments, ensure_ascii=False))
