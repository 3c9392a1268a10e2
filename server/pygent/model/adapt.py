"""What a server's refusal teaches: a field to leave out, to rename or to send, learnt once and kept.

No choice suits all servers: what one demands another refuses (content null or '', reasoning back or not,
`max_tokens` or `max_completion_tokens`).  So requests begin with what most take, and a refusal that names a
part of the request changes that part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LEFT_OUT = "left out"
STATUSES = frozenset({400, 404, 415, 422, 500, 501})


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing learnt: a part of requests, and what to do with it from now on.

    `says` is for a person; `kept` false means only in this answer.
    """

    name: str
    value: str
    says: str
    kept: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    """A lesson, the words that teach it, and a part that the request must have had."""

    lesson: Lesson
    words: re.Pattern[str]
    needs: bytes


def _rule(name: str, value: str, says: str, needs: str, words: str, *, kept: bool = True) -> _Rule:
    return _Rule(Lesson(name, value, says, kept), re.compile(words, re.I | re.S), needs.encode())


def _dropped(name: str, field: str, words: str | None = None) -> _Rule:
    return _rule(
        name, LEFT_OUT, f"it does not take `{field}`, so it is left out", f'"{field}":', words or field
    )


_NO_IMAGES = (
    r"(image|vision|multi-?modal)[^.]{0,60}(not|n't|un) ?support|support image input"
    r"|(not|n't) support[^.]{0,40}(image|vision|multi-?modal)|unknown variant `image_url`"
    r"|not a (multi-?modal|vision) model|image_url is only supported"
)
_IMAGES_SAY = "it takes no images, so they are left out and the model is told"
_RULES = (
    _dropped("stream_options", "stream_options"),
    _rule(
        "max_tokens",
        "max_completion_tokens",
        "it wants `max_completion_tokens` in place of `max_tokens`",
        '"max_tokens":',
        "max_tokens",
    ),
    _dropped("max_tokens", "max_completion_tokens"),
    _dropped("max_tokens", "max_output_tokens"),
    _rule(
        "summary", LEFT_OUT, "it does not tell its reasoning", '"summary":"auto"', r"reasoning\.?.?summary"
    ),
    _dropped("reasoning_effort", "reasoning_effort"),
    _dropped(
        "reasoning_effort", "reasoning", r"reasoning.?effort|(unsupported|unknown) parameter: .reasoning"
    ),
    _dropped("include", "include", r"\binclude\b|encrypted"),
    _dropped("store", "store", r"\bstore\b"),
    _rule(
        "reasoning",
        "demanded",
        "it wants the reasoning back with every answer",
        '"tool_calls":',
        r"reasoning(_content)?\b.{0,80}(must be|missing|required|pass(ed)? back|sent back)"
        r"|missing.{0,40}reasoning_content",
    ),
    *(
        _rule("reasoning", LEFT_OUT, "it does not take its reasoning back", f'"{field}":', words)
        for field, words in (
            ("reasoning_content", "reasoning_content"),
            ("reasoning_details", "reasoning_details"),
            ("reasoning", r"\breasoning\b"),
            ("encrypted_content", "encrypted_content|reasoning item|type.{0,4}reasoning"),
        )
    ),
    _rule("extra_content", LEFT_OUT, "it does not take `extra_content`", '"extra_content":', "extra_content"),
    _rule("images", LEFT_OUT, _IMAGES_SAY, '"image_url":', _NO_IMAGES),
    _rule("images", LEFT_OUT, "it refused an image", '"image_url":', r"\bimages?\b|image_url", kept=False),
    _rule(
        "content",
        "null",
        "it wants no content instead of an empty one beside tool calls",
        '"content":""',
        r"content.{0,80}(empty|blank|non-?empty|at least 1|too short|minimum)|(empty|blank).{0,40}content",
    ),
    _rule(
        "content",
        "empty",
        "it wants an empty content instead of none beside tool calls",
        '"content":null',
        r"content.{0,40}(nil|null|none|required|missing|must be a string)|(null|missing).{0,30}content",
    ),
    _rule(
        "ids",
        "short",
        "it wants ids of nine letters and digits for tool calls",
        '"tool_call_id":',
        r"\b3280\b|tool.?call.?id.{0,80}(length|a-z)",
    ),
    _rule(
        "system",
        "joined",
        "it takes no system message, so that is the first user message's beginning",
        '"role":"system"',
        r"system (role|message)[^.]{0,30}not (be )?supported|does not support system",
    ),
    _rule(
        "stream",
        "off",
        "it does not stream answers with tools",
        '"stream":true',
        r"\bstream(ing)?\b[^.]{0,60}(not|n't|un) ?(be )?(support|allow)"
        r"|(not|n't) (support|use)[^.]{0,40}\bstream",
    ),
)
_SAYS = {(rule.lesson.name, rule.lesson.value): rule.lesson.says for rule in _RULES if rule.lesson.kept}
_SAYS["calls", "text"] = "its tool calls come as text: it was not told how its model writes them"


def lesson(status: int, words: str, request: bytes, learnt: Mapping[str, str]) -> Lesson | None:
    """What a refusal of a request teaches that is not learnt yet."""
    if status not in STATUSES:
        return None
    for rule in _RULES:
        new = learnt.get(rule.lesson.name) != rule.lesson.value
        if new and rule.needs in request and rule.words.search(words):
            return rule.lesson
    return None


def sentence(name: str, value: str) -> str:
    """What was learnt, for a person."""
    return _SAYS.get((name, value), f"{name}: {value}")
