"""Text changes: exact replacement, the nearest place of a miss, and diffs for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from pygent.workspace import printable

MAX_DIFF_LINES = 4000
"""Above this many lines what differs is one hunk: difflib's time grows with the square."""
MAX_DIFF = 1024 * 1024
"""Characters of a change that are kept with the session; of more, only its size is told."""


def replace(content: str, old: str, new: str) -> tuple[str, int]:
    """The content with every `old` replaced, and the line (from 1) of the first."""
    line = content.count("\n", 0, content.index(old)) + 1
    return content.replace(old, new), line


def nearest(content: str, old: str) -> str:
    """A hint that shows the place most like a text that was not found."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - ten milliseconds, for a miss only

    lines, wanted = content.split("\n")[:MAX_DIFF_LINES], old.strip("\n").split("\n")
    anchor = max(wanted, key=lambda line: len(line.strip()))[:200]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(anchor.strip())
    best, place = 0.6, None
    for number, line in enumerate(lines):
        matcher.set_seq1(line.strip()[:200])
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and matcher.ratio() > best:
            best, place = matcher.ratio(), number
    if place is None:
        return "No line is like it; read the file again."
    start = max(place - wanted.index(max(wanted, key=lambda line: len(line.strip()))), 0)
    shown = "\n".join(lines[start : start + min(len(wanted), 20)])
    return f"The nearest lines, from line {start + 1}, are:\n{shown}"


def unified_diff(name: str, before: str | None, after: str) -> str:
    """The whole unified diff of a file's change; `before` is None for a new file."""
    from difflib import unified_diff as lines_of_diff  # noqa: PLC0415 - ten milliseconds

    old, new = _lines(before or ""), _lines(after)
    source = "/dev/null" if before is None else f"a/{name}"
    if len(old) + len(new) > MAX_DIFF_LINES:
        found = [f"--- {source}\n", f"+++ b/{name}\n", *_one_hunk(old, new)]
    else:
        found = list(lines_of_diff(old, new, source, f"b/{name}"))
    ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)
    return printable("".join(ended))


def kept(diff: str) -> str:
    """A diff as it is kept with the session."""
    if len(diff) <= MAX_DIFF:
        return diff
    names = "".join(diff.splitlines(keepends=True)[:2])
    return f"{names}@@ too long to keep: {len(diff)} characters @@\n"


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one, as in every diff."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _one_hunk(old: list[str], new: list[str]) -> Iterator[str]:
    """What lies between the lines that are the same at both ends, as going and coming."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    rest = zip(reversed(old[same:]), reversed(new[same:]), strict=False)
    tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    gone, come = old[same : len(old) - tail], new[same : len(new) - tail]
    starts = [same + bool(part) for part in (gone, come)]
    yield f"@@ -{starts[0]},{len(gone)} +{starts[1]},{len(come)} @@\n"
    yield from (f"-{line}" for line in gone)
    yield from (f"+{line}" for line in come)
