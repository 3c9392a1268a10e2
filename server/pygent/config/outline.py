"""A TOML text as statements with their places, also while it is half typed and no parser takes it.

Meaning comes from tomli; this tells where things stand.  A statement ends with its line unless a bracket or a
string of several lines is open, and in an open bracket where the next statement plainly begins.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import tomli

from pygent.config.places import Path, Place, Range, Text

DEEPEST = 64
"""Levels of nesting below which no places are told."""

_TOKENS = re.compile(
    r"""
    (?P<string> \"{3}(?:\\.|[^\\]|\\\Z)*?(?:\"{3,5}|\Z) | '{3}.*?(?:'{3,5}|\Z)
              | \"(?:\\[^\r\n]|[^"\\\r\n])*"? | '[^'\r\n]*'?)
  | (?P<comment>\#[^\n]*?(?=\r?(?:\n|\Z)))
  | (?P<newline>\r?\n)
  | (?P<space>[ \t]+)
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,.\#"']+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_HEADER = re.compile(
    r"\[{1,2}[^\S\n]*(?!(?:true|false|inf|nan)\b)[A-Za-z_][\w.\"' -]*\]{1,2}[^\S\n]*(?:#.*)?\r?$", re.M
)
_PAIR = re.compile(r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')(?:[^\S\n]*\.[^\S\n]*[\w\"'-]+)*[^\S\n]*=")


class Token(NamedTuple):
    """The smallest piece of a text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """`[table]`, `[[array]]`, or `key = value`; `other` is what is none of them.

    `table` is the path of the table in which it stands, `path` its own.  Offsets leave out the space and the
    comment around it; without a value `value` is empty and lies at the end.
    """

    kind: Literal["pair", "table", "array", "other"]
    table: Path
    path: Path
    start: int
    end: int
    key: Range
    value: Range
    tokens: tuple[Token, ...]


class Outline(Text):
    """The statements of a text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.statements = tuple(_statements(text))

    @functools.cached_property
    def places(self) -> dict[Path, Place]:
        """Every key's place by its path, where it first stands; those within arrays and inline tables too."""
        found: dict[Path, Place] = {}
        for statement in self.statements:
            place = Place(statement.key, statement.value)
            if statement.kind == "pair":
                value = (token for token in statement.tokens if token.start >= statement.value.start)
                if statement.path in found:
                    continue
                found[statement.path] = place
                _Inside(self.text, value, found).value(statement.path)
            for size in range(len(statement.table) + 1, len(statement.path) + 1):
                found.setdefault(statement.path[:size], place)
        return found


def tokens(text: str) -> Iterator[Token]:
    """All of a text, piece by piece; every character is in one."""
    for match in _TOKENS.finditer(text):
        yield Token(str(match.lastgroup), match.start(), match.end())


def _statements(text: str) -> Iterator[Statement]:
    counts: dict[Path, int] = {}
    table: Path = ()
    for group in _groups(text):
        made = _statement(text, group, table, counts)
        if made.kind in ("table", "array"):
            table = made.path
        yield made


def _groups(text: str) -> Iterator[list[Token]]:
    """The tokens of each statement, without space and comments at its ends."""
    group: list[Token] = []
    opened: list[str] = []
    fresh = False
    for token in tokens(text):
        mark = text[token.start] if token.kind == "mark" else ""
        if fresh and token.kind not in ("space", "newline", "comment"):
            if opened[-1] == "[" and _begins(text, token.start):
                yield from _trimmed(group)
                group, opened = [], []
            fresh = False
        if token.kind == "newline" and not opened:
            yield from _trimmed(group)
            group = []
            continue
        fresh = fresh or token.kind == "newline"
        group.append(token)
        if mark in ("[", "{"):
            opened.append(mark)
        elif mark in ("]", "}") and opened:
            opened.pop()
    yield from _trimmed(group)


def _begins(text: str, offset: int) -> bool:
    return bool(_PAIR.match(text, offset) or _HEADER.match(text, offset))


def _trimmed(group: list[Token]) -> Iterator[list[Token]]:
    blank = ("space", "newline", "comment")
    solid = [number for number, token in enumerate(group) if token.kind not in blank]
    if solid:
        yield group[solid[0] : solid[-1] + 1]


def _statement(text: str, group: list[Token], table: Path, counts: dict[Path, int]) -> Statement:
    start, end = group[0].start, group[-1].end
    marks = [text[token.start] if token.kind == "mark" else "" for token in group]
    if marks[0] == "[":
        array = marks[1:2] == ["["] and group[1].start == start + 1
        names = _names(group)
        key = Range(names[0].start, names[-1].end) if names else Range(end, end)
        path = _header(tuple(_name(text, token) for token in names), array, counts)
        return Statement(
            "array" if array else "table", (), path, start, end, key, Range(end, end), tuple(group)
        )
    equals = marks.index("=") if "=" in marks else len(group)
    names = _names(group[:equals])
    key = Range(names[0].start, names[-1].end) if names else Range(start, start)
    path = (*table, *(_name(text, token) for token in names))
    after = [token for token in group[equals + 1 :] if token.kind != "space"]
    value = Range(after[0].start, end) if after else Range(end, end)
    kind: Literal["pair", "other"] = "pair" if names and equals < len(group) else "other"
    return Statement(kind, table, path, start, end, key, value, tuple(group))


def _names(group: Iterable[Token]) -> list[Token]:
    """The parts of a key; those of an absurdly long one are left out."""
    return [token for token in group if token.kind in ("bare", "string")][:DEEPEST]


def _header(names: tuple[str, ...], array: bool, counts: dict[Path, int]) -> Path:
    """The path of a header: names that are arrays stand for their last element."""
    path: Path = ()
    for number, name in enumerate(names):
        path = (*path, name)
        if array and number == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _name(text: str, token: Token) -> str:
    """A key without its quotes."""
    written = text[token.start : token.end]
    if token.kind == "bare":
        return written
    try:
        return next(iter(tomli.loads(f"{written} = 1")))
    except tomli.TOMLDecodeError:
        return written.strip("\"'")


class _Inside:
    """Finds the places within a value: the elements of arrays, the keys of inline tables."""

    def __init__(self, text: str, value: Iterable[Token], found: dict[Path, Place]) -> None:
        self._text = text
        self._left = [token for token in value if token.kind not in ("space", "newline", "comment")][::-1]
        self._found = found

    def value(self, path: Path, key: Range | None = None) -> int:
        """Take one value and return where it ends; `key` is the place of its key if it has one."""
        if not self._left or (mark := self._mark()) in (",", "]", "}"):
            return 0
        start = self._left[-1].start
        inside = mark in ("[", "{") and len(path) < DEEPEST
        end = self._members(path, mark) if inside else self._plain()
        value = Range(start, end)
        self._found.setdefault(path, Place(key or value, value))
        return end

    def _members(self, path: Path, opened: str) -> int:
        end, index = self._left.pop().end, 0
        while self._left:
            mark = self._mark()
            if mark in ("]", "}"):
                return self._left.pop().end
            if mark == ",":
                end, index = self._left.pop().end, index + 1
            else:
                end = self.value((*path, index)) if opened == "[" else self._pair(path)
        return end

    def _pair(self, path: Path) -> int:
        group, end = [], self._left[-1].start
        while self._left and self._mark() not in ("=", ",", "]", "}"):
            group.append(self._left.pop())
            end = group[-1].end
        names = _names(group)
        if self._mark() != "=":
            return end
        end = self._left.pop().end
        if not names:
            return max(end, self.value(path))
        path = (*path, *(_name(self._text, token) for token in names))
        key = Range(names[0].start, names[-1].end)
        after = self.value(path, key)
        self._found.setdefault(path, Place(key, Range(end, end)))
        return max(end, after)

    def _plain(self) -> int:
        end = self._left.pop().end
        while self._left and self._mark() not in (",", "]", "}"):
            end = self._left.pop().end
        return end

    def _mark(self) -> str:
        token = self._left[-1] if self._left else None
        return self._text[token.start] if token is not None and token.kind == "mark" else ""
