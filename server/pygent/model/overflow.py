"""Recognising that a prompt is too long for a model, in the words of the servers that people use.

The texts are those of OpenAI, vLLM, llama.cpp, SGLang, Together, OpenRouter, Anthropic, Kimi, DashScope,
Zhipu, LiteLLM and Groq.  What only says that too much was asked for in too short a time is no overflow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_THROTTLED = re.compile(r"please wait|too many (requests|tokens, please)|slow down|overloaded", re.I)
_TOO_LARGE_FOR_RATE = re.compile(r"request too large for model.*tokens per minute", re.I | re.S)
_TEXTS = re.compile(
    r"context_length_exceeded|exceed_context_size|ContextWindowExceeded|maximum context length"
    r"|(exceeds?|longer than|larger than) (the |its |this )?(available |model'?s? |maximum |allowed )*context"
    r"|maximum allowed input length|prompt is too long|exceed context limit|exceeded model token limit"
    r"|range of input length should be|input length \(?\d+\)? exceeds|prompt 超长"
    r"|context window (is )?(full|exceeded)|input is too long for requested model"
    r"|reduce the length of the (messages|prompt)",
    re.I,
)
_NUMBERS = tuple(
    re.compile(pattern, re.I | re.S)
    for pattern in (
        # Groups `limit` and `asked`; the first pattern that matches counts.
        r"maximum context length (?:is|of) (?P<limit>[\d,]+)"
        r"(?:.*?(?:requested|resulted in|contains?(?: at least)?) (?P<asked>[\d,]+))?",
        r"request \((?P<asked>[\d,]+) tokens?\).*?context size \((?P<limit>[\d,]+)",
        r"input \((?P<asked>[\d,]+) tokens?\).*?context length \((?P<limit>[\d,]+)",
        r"input length \(?(?P<asked>[\d,]+)\)? exceeds.*?(?:length \(|length of )(?P<limit>[\d,]+)",
        r"(?P<asked>[\d,]+) \+ [\d,]+ > (?P<limit>[\d,]+)",
        r"(?P<asked>[\d,]+) tokens > (?P<limit>[\d,]+) maximum",
        r"token limit: (?P<limit>[\d,]+) \(requested: (?P<asked>[\d,]+)",
        r"input length should be \[\d+, ?(?P<limit>[\d,]+)\]",
        r"limit (?P<limit>[\d,]+), requested (?P<asked>[\d,]+)",
    )
)


@dataclass(frozen=True, slots=True)
class Overflow:
    """The numbers of an overflow in tokens, as far as the server named them."""

    limit: int | None = None
    requested: int | None = None


def recognised(status: int, words: str, body: Any = None) -> Overflow | None:
    """The overflow that an error's words tell of, or fields of its body; None for any other error."""
    large_for_rate = status in (413, 429) and _TOO_LARGE_FOR_RATE.search(words)
    if not large_for_rate and (_THROTTLED.search(words) or not _TEXTS.search(words)):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("n_ctx"), int):  # llama.cpp
        return Overflow(limit=error["n_ctx"], requested=error.get("n_prompt_tokens"))
    found = next(filter(None, (pattern.search(words) for pattern in _NUMBERS)), None)
    numbers = {} if found is None else found.groupdict()
    return Overflow(limit=_number(numbers.get("limit")), requested=_number(numbers.get("asked")))


def _number(text: str | None) -> int | None:
    return int(text.replace(",", "")) if text and text.strip(",") else None
