"""The client's open documents: text, version, and positions as the specification counts them.

Lines end at a line feed, a carriage return, or both together, and nowhere else (LSP 3.17, Text Documents);
columns count units of the encoding that was negotiated.  Edits splice a list of lines, so that a key press in
a long document costs its own line.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pygent.lsp.surrogates import paired
from pygent.paths import path_of

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

Position = dict[str, int]
Range = dict[str, Position]


def split(text: str) -> list[str]:
    """The lines of a text with their ends; a text that ends with a line end has an empty last line."""
    lines = _LINE.findall(text)
    if not lines or lines[-1][-1] in "\r\n":
        lines.append("")
    return lines


def units(text: str, encoding: str) -> int:
    """How many units of a position encoding a text has."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(character > "\uffff" for character in text)


def characters(line: str, count: int, encoding: str) -> int:
    """How many characters of a line the first `count` units are.

    What lies beyond its end is the end, its line end not counted; the middle of a character is its start.
    """
    line = line.rstrip("\r\n")
    if encoding == "utf-32" or line.isascii():
        return max(min(count, len(line)), 0)
    seen = 0
    for index, character in enumerate(line):
        seen += units(character, encoding)
        if seen > count:
            return index
    return len(line)


_touches = itertools.count()


class Buffer:
    """An open document.

    `editing` is held by whoever edits it from here, `news` is set when it changes, and of two documents the
    one with the higher `touched` changed last.
    """

    def __init__(
        self, uri: str, text: str, version: int | None = None, language: str = "", encoding: str = "utf-16"
    ) -> None:
        self.uri = uri
        self.path = path_of(uri)
        self.version = version
        self.language = language
        self.encoding = encoding
        self.editing = asyncio.Lock()
        self.news = asyncio.Event()
        self.touched = next(_touches)
        self._lines = split(text)
        self._text: str | None = text

    @property
    def text(self) -> str:
        """The whole text."""
        if self._text is None:
            self._text = "".join(self._lines)
        return self._text

    @property
    def lines(self) -> list[str]:
        """The lines with their ends; the last one has none, and may be empty."""
        return self._lines

    def place(self, position: Position) -> tuple[int, int]:
        """A position as a line and a character of it, both from 0, within the text."""
        line, count = position["line"], position["character"]
        if line >= len(self._lines):
            return len(self._lines) - 1, len(self._lines[-1])
        return max(line, 0), characters(self._lines[max(line, 0)], count, self.encoding)

    def offset(self, position: Position) -> int:
        """A position as an index into the text."""
        line, character = self.place(position)
        return sum(map(len, self._lines[:line])) + character

    def position(self, offset: int) -> Position:
        """An index into the text as a position in the client's units."""
        for number, line in enumerate(self._lines):
            if offset < len(line) or number == len(self._lines) - 1:
                return {"line": number, "character": units(line[:offset], self.encoding)}
            offset -= len(line)
        raise AssertionError("a text has a line")

    def range(self, start: int, end: int) -> Range:
        """Two indices into the text as a range in the client's units."""
        return {"start": self.position(start), "end": self.position(end)}

    def change(self, changes: list[dict[str, Any]], version: int | None) -> None:
        """Take in the changes of a `didChange`, ranged ones and whole texts."""
        for one in changes:
            if one.get("range") is None:
                self._lines, self._text = split(one["text"]), one["text"]
            else:
                self._splice(one["range"], one["text"])
        self.version = version
        self.touched = next(_touches)
        self.news.set()

    def _splice(self, span: Range, text: str) -> None:
        first, start = self.place(span["start"])
        last, end = self.place(span["end"])
        if (last, end) < (first, start):
            first, start, last, end = last, end, first, start
        head, tail = self._lines[first][:start], self._lines[last][end:]
        # A carriage return that ends the line before can become one line end with what comes now.
        before = first - 1 if first and self._lines[first - 1].endswith("\r") else first
        lines = split(paired("".join(self._lines[before:first]) + head + text + tail))
        if last + 1 < len(self._lines):
            lines.pop()  # it ends with a line end: its empty last line is the one that follows
        self._lines[before : last + 1] = lines
        self._text = None


class Buffers:
    """The open documents of a connection, by URI."""

    def __init__(self, encoding: Callable[[], str]) -> None:
        self._encoding = encoding
        self._open: dict[str, Buffer] = {}

    def __iter__(self) -> Iterator[Buffer]:
        return iter(list(self._open.values()))

    def get(self, uri: str) -> Buffer | None:
        """An open document."""
        return self._open.get(unquote(uri))

    def at(self, path: Path) -> Buffer | None:
        """The open document of a file."""
        places = (path, Path(os.path.realpath(path)))  # a loop of links resolves to itself
        return next((one for one in self._open.values() if one.path in places), None)

    def opened(self, params: dict[str, Any]) -> None:
        """`textDocument/didOpen`."""
        given = params["textDocument"]
        self._open[unquote(given["uri"])] = Buffer(
            given["uri"], given["text"], given.get("version"), given.get("languageId", ""), self._encoding()
        )

    def changed(self, params: dict[str, Any]) -> None:
        """`textDocument/didChange`; of a document that is not open it is ignored."""
        given = params["textDocument"]
        if (buffer := self.get(given["uri"])) is not None:
            buffer.change(params["contentChanges"], given.get("version"))

    def closed(self, params: dict[str, Any]) -> None:
        """`textDocument/didClose`."""
        self._open.pop(unquote(params["textDocument"]["uri"]), None)
