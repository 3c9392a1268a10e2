"""The wildcards of `.gitignore` as regular expressions that never need exponential time.

As git's wildmatch.c reads them, byte by byte.  A hostile pattern such as `*a*a*a*a*b` would let a
regular expression try every division of a name: all stars of a name but its last are therefore fixed at
the first place that fits, by a lookahead and a reference back to it, which loses no match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_PATTERN = 1000
_LITERAL = re.compile(rb"\A[^*?\[\\]+")
_TOKEN = re.compile(
    rb"(?P<any>\*+)|(?P<one>\?)|(?P<escaped>\\.)|(?P<bad>\\\Z)"
    rb"|(?P<set>\[[!^]?\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*\])|(?P<open>\[)|(?P<plain>.)",
    re.DOTALL,
)
_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\f\v",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_MEMBER = re.compile(rb"\[:([a-z]+):\]|(\\.|[^\\])(?:-(\\.|[^\]\\]))?", re.DOTALL)


class Uncompilable(ValueError):
    """A pattern that fits nothing, or is too long to be one."""


def translate(pattern: bytes, label: str) -> bytes:
    """A pattern without its first and last slash as an expression for a whole path.

    `label` begins the names of groups, which differ between expressions that are joined into one.
    """
    if len(pattern) > MAX_PATTERN:
        raise Uncompilable
    # Git compares what comes before the first wildcard by itself, so that `**` begins a pattern in `a**/b`.
    literal = pattern[: len(pattern) - len(_LITERAL.sub(b"", pattern, count=1))]
    groups = (f"{label}{n}".encode() for n in range(MAX_PATTERN))
    blocks: list[list[bytes]] = [[]]
    for segment in _segments(pattern[len(literal) :]):
        if segment == b"**":
            blocks.append([])
        else:
            blocks[-1].append(_segment(segment, groups))
    return b"(?:" + re.escape(literal) + _joined(blocks, groups) + rb"\Z)"


def _segments(pattern: bytes) -> list[bytes]:
    """The parts between slashes; a slash in brackets separates nothing, but fits nothing either."""
    parts = [b""]
    for token in _TOKEN.finditer(pattern):
        if token.lastgroup in ("bad", "open"):
            raise Uncompilable  # git aborts at these: the pattern fits nothing
        if token.group() in (b"/", b"\\/"):
            parts.append(b"")
        else:
            parts[-1] += token.group()
    return [b"**" if part and not part.strip(b"*") and len(part) > 1 else part for part in parts]


def _joined(blocks: list[list[bytes]], groups: Iterator[bytes]) -> bytes:
    """Blocks of parts with any number of folders between one and the next.

    Each block but the last is fixed where it fits first: what follows may then take up any folders.
    """
    if len(blocks) == 1:
        return b"/".join(blocks[0])
    first, *middle = blocks[:-1]
    text = b"/".join(first) + b"/" if first else b""
    for block in middle:
        if block:
            text += _fixed(rb"(?:[^/]*/)*?" + b"/".join(block) + b"/", next(groups))
    last = b"/".join(blocks[-1])
    return text + (rb"(?:.*/)?" + last if blocks[-1] else b".*")


def _segment(segment: bytes, groups: Iterator[bytes]) -> bytes:
    """A part of a path: none of its wildcards fits a slash."""
    pieces = [b""]
    for token in _TOKEN.finditer(segment):
        if token.lastgroup == "any":
            pieces.append(b"")
        else:
            pieces[-1] += _token(token)
    first, *rest = pieces
    if not rest:
        return first
    fixed = (_fixed(b"[^/]*?" + piece, next(groups)) for piece in rest[:-1] if piece)
    return first + b"".join(fixed) + b"[^/]*" + rest[-1]


def _fixed(text: bytes, group: bytes) -> bytes:
    """An expression that is not tried again: Python has atomic groups from 3.11 on only."""
    return b"(?=(?P<%s>%s))(?P=%s)" % (group, text, group)


def _token(token: re.Match[bytes]) -> bytes:
    text = token.group()
    if token.lastgroup == "one":
        return b"[^/]"
    if token.lastgroup == "set":
        return _set(text)
    return re.escape(text[1:] if token.lastgroup == "escaped" else text)


def _set(text: bytes) -> bytes:
    """Characters in brackets; a range that runs backwards is its first character."""
    negated = text[1:2] in (b"!", b"^")
    inner = text[2 if negated else 1 : -1]
    members = b""
    for member in _MEMBER.finditer(inner):
        name, low, high = member.groups()
        if name is not None:
            if name not in _CLASSES:
                raise Uncompilable
            members += _CLASSES[name]
        elif high is None or low[-1] > high[-1]:
            members += _code(low)
        else:
            members += _code(low) + b"-" + _code(high)
    return b"(?!/)[%s%s]" % (b"^" if negated else b"", members)


def _code(character: bytes) -> bytes:
    return b"\\x%02x" % character[-1]
