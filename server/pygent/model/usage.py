"""Token counts, in the shapes that servers report them."""

from __future__ import annotations

from typing import Any

from pygent.records import Usage

_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")


def reported(usage: dict[str, Any], before: Usage | None) -> Usage:
    """The usage of an answer: some servers report a growing one in each piece, or an empty one at last."""
    nested = (usage.get(name) for name in _DETAILS)
    details: dict[str, Any] = next((found for found in nested if isinstance(found, dict)), {})
    cached = _first(details, _CACHED) or _first(usage, _CACHED)
    prompt, completion = _first(usage, _PROMPT) or 0, _first(usage, _COMPLETION) or 0
    if before is not None:
        prompt = max(prompt, before.prompt_tokens)
        completion = max(completion, before.completion_tokens)
        cached = max(cached or 0, before.cached_tokens or 0) or None
    return Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)


def _first(source: dict[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of the fields that holds a count above 0."""
    for name in names:
        value = source.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
            return int(value)
    return None
