"""Two changed texts and what both come from, merged like `git merge-file`."""

from __future__ import annotations

from typing import NamedTuple

from pygent.trees.difference import is_hard
from pygent.trees.objects import library


class _Hunk(NamedTuple):
    """Lines of the base, from `start` to before `end`, that one side has others for."""

    start: int
    end: int
    lines: list[bytes]


def merged(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The text with the changes of both sides; None where they touch and differ, where it is no
    text, and where it would take too long.
    """
    if any(b"\0" in text[:8192] for text in (base, ours, theirs)):
        return None
    if is_hard(base, ours) or is_hard(base, theirs):
        return None
    lines = _lines(base)
    sides = _hunks(base, ours), _hunks(base, theirs)
    made: list[bytes] = []
    done = 0
    while any(sides):
        groups = _next(*sides)
        start = min(hunk.start for group in groups for hunk in group)
        end = max(hunk.end for group in groups for hunk in group)
        texts = [_applied(lines, start, end, group) for group in groups if group]
        if any(one != texts[0] for one in texts):
            return None
        made += lines[done:start] + texts[0]
        done = end
    return b"".join(made + lines[done:])


def _next(ours: list[_Hunk], theirs: list[_Hunk]) -> tuple[list[_Hunk], list[_Hunk]]:
    """Take the first changes, with all that touch them, from both sides."""
    sides = (ours, theirs)
    end = min(side[0].start for side in sides if side)
    taken: tuple[list[_Hunk], list[_Hunk]] = ([], [])
    grew = True
    while grew:
        grew = False
        for side, group in zip(sides, taken, strict=True):
            while side and side[0].start <= end:
                end = max(end, side[0].end)
                group.append(side.pop(0))
                grew = True
    return taken


def _applied(base: list[bytes], start: int, end: int, hunks: list[_Hunk]) -> list[bytes]:
    made: list[bytes] = []
    for hunk in hunks:
        made += base[start : hunk.start] + hunk.lines
        start = hunk.end
    return made + base[start:end]


def _hunks(base: bytes, side: bytes) -> list[_Hunk]:
    pygit2 = library()
    flag = pygit2.enums.DiffOption.FORCE_TEXT
    patch = pygit2.Patch.create_from(base, side, flag=flag, context_lines=0)
    lines = _lines(side)
    return [
        _Hunk(
            _first(hunk.old_start, hunk.old_lines),
            _first(hunk.old_start, hunk.old_lines) + hunk.old_lines,
            lines[(new := _first(hunk.new_start, hunk.new_lines)) : new + hunk.new_lines],
        )
        for hunk in patch.hunks
    ]


def _first(start: int, count: int) -> int:
    """The first line of a hunk, from 0; without lines a diff names the one before."""
    return start - 1 if count else start


def _lines(text: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one."""
    found = text.split(b"\n")
    return [line + b"\n" for line in found[:-1]] + ([found[-1]] if found[-1] else [])
