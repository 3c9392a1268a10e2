"""Places in a text: offsets, and the lines and columns that people and messages count."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys from the top, the elements of arrays numbered from 0."""


class Span(NamedTuple):
    """A piece of a file: lines and columns from 1, in code points; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Range(NamedTuple):
    """A piece of a text by its offsets; the end is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands and where its value; elements of arrays have only a value, headers only a key."""

    key: Range
    value: Range


class Text:
    """A text by lines; they end at line feeds, so that a carriage return before one is part of the line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def point(self, offset: int) -> tuple[int, int]:
        """The line and column of an offset, from 1."""
        line = bisect.bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def span(self, place: Range) -> Span:
        """Offsets as lines and columns."""
        return Span(*self.point(place.start), *self.point(place.end))

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, within the text."""
        if line > len(self._lines):
            return len(self.text)
        return min(self._lines[line - 1] + column - 1, len(self.text))
