"""The smallest text edits between two texts, with positions in a client's units."""

from __future__ import annotations

from typing import Any

from pygent.lsp.buffers import Position, split, units

MAX_LINES = 3000
"""Changed lines above which one edit replaces them all: difflib's time grows with the square."""


def text_edits(before: str, after: str, encoding: str) -> list[dict[str, Any]]:
    """Edits that make the one text of the other, in order and apart from each other."""
    old, new = split(before), split(after)
    start, end = _common(old, new)
    changed = old[start : len(old) - end], new[start : len(new) - end]
    edits = []
    for first, last, begin, stop in _hunks(*changed):
        removed, added = "".join(changed[0][first:last]), "".join(changed[1][begin:stop])
        head, tail = _trim(removed, added)
        line = start + first
        edits.append(
            {
                "range": {
                    "start": _position(removed[:head], line, encoding),
                    "end": _position(removed[: len(removed) - tail], line, encoding),
                },
                "newText": added[head : len(added) - tail],
            }
        )
    return edits


def _hunks(old: list[str], new: list[str]) -> list[tuple[int, int, int, int]]:
    if len(old) + len(new) > MAX_LINES or not old or not new:
        return [(0, len(old), 0, len(new))]
    from difflib import SequenceMatcher  # noqa: PLC0415 - ten milliseconds, for the first edit only

    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [code[1:] for code in codes if code[0] != "equal"]


def _common(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines are the same at the start and, of the rest, at the end.

    The last line, which has no line end, is always of the rest: so every place has a line to stand in.
    """
    shortest = min(len(old), len(new)) - 1
    start = next((n for n in range(shortest) if old[n] != new[n]), shortest)
    rest = min(len(old), len(new)) - start
    end = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    return start, min(end, rest)


def _trim(old: str, new: str) -> tuple[int, int]:
    """How many characters are the same at both ends; no line end is cut in two."""
    shortest = min(len(old), len(new))
    head = next((n for n in range(shortest) if old[n] != new[n]), shortest)
    if 0 < head < len(old) and old[head - 1 : head + 1] == "\r\n":
        head -= 1
    rest = shortest - head
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    at = len(old) - tail
    if tail and at and old[at - 1 : at + 1] == "\r\n":
        tail -= 1
    return head, tail


def _position(text: str, line: int, encoding: str) -> Position:
    """Where a text ends that begins at the start of a line."""
    lines = split(text)
    return {"line": line + len(lines) - 1, "character": units(lines[-1], encoding)}
