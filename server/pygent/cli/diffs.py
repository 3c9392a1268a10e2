"""Unified diffs on a terminal: coloured by where a line stands, not by what its text begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator

STYLES = {"+": "green", "-": "red"}
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def styled(diff: str) -> Iterator[tuple[str, str]]:
    """Each line of a unified diff with its style.

    A hunk says how many lines it has: within them `--- x` is the line `-- x` that goes, not a header.
    """
    before = after = 0
    for line in diff.removesuffix("\n").split("\n"):
        mark = line[:1]
        if before > 0 or after > 0:
            before -= mark not in ("+", "\\")
            after -= mark not in ("-", "\\")
            yield line, STYLES.get(mark, "dim")
        elif (hunk := _HUNK.match(line)) is not None:
            before, after = (int(count or 1) for count in hunk.groups())
            yield line, "cyan"
        else:
            yield line, "dim"
