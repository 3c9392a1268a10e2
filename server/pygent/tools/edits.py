"""Text changes: exact replacement, the nearest place of a miss, and diffs for people."""

from __future__ import annotations

from pygent.workspace import printable

MAX_DIFF_LINES = 4000
"""Above this many lines the difference is stated, not computed: difflib's time grows with the square."""


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
    """The unified diff of a file's change; `before` is None for a new file."""
    from difflib import unified_diff as lines_of_diff  # noqa: PLC0415 - ten milliseconds

    old, new = (before or "").splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) + len(new) > MAX_DIFF_LINES:
        return f"--- a/{name}\n+++ b/{name}\n@@ too long to show: {len(old)} lines became {len(new)} @@\n"
    source = "/dev/null" if before is None else f"a/{name}"
    parts = []
    for line in lines_of_diff(old, new, source, f"b/{name}"):
        parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return printable("".join(parts))
