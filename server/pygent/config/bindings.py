"""A `.env` file as bindings with their places, parsed as python-dotenv does."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pygent.config.places import Path, Place, Range, Text

_NAME = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'([^'\n]*)|([^=#\s]*))")
_VALUE = re.compile(r"'[^']*'?|\"(?:\\.|[^\"\\])*\"?|[^\r\n]*?(?=\s+#|\s*$)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Binding:
    """`NAME=VALUE`; `error`: the line is not one.  `place.value` is empty where there is none."""

    name: str
    value: str | None
    place: Place
    error: bool


class Bindings(Text):
    """The bindings of a `.env` file; their paths are their names with their number."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.bindings = tuple(_bindings(text))

    @functools.cached_property
    def places(self) -> dict[Path, Place]:
        """Every binding's place."""
        return {(one.name, number): one.place for number, one in enumerate(self.bindings)}


def _bindings(text: str) -> Iterator[Binding]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - the rest of dotenv is not needed

    offset = 0
    for found in parse_stream(io.StringIO(text)):
        raw = found.original.string
        if found.error or found.key:
            yield Binding(found.key or "", found.value, _place(raw, offset, found.error), found.error)
        offset += len(raw)


def _place(raw: str, offset: int, error: bool) -> Place:
    if error:
        start = offset + len(raw) - len(raw.lstrip())
        whole = Range(start, max(start, offset + len(raw.rstrip())))
        return Place(whole, whole)
    name = _NAME.match(raw)
    start, end = name.span(name.lastindex) if name is not None and name.lastindex else (0, 0)
    equals = raw.find("=", end)
    if equals < 0:
        return Place(Range(offset + start, offset + end), Range(offset + end, offset + end))
    begin = equals + 1 + len(raw[equals + 1 :]) - len(raw[equals + 1 :].lstrip(" \t"))
    value = _VALUE.match(raw, begin)
    stop = begin if value is None else value.end()
    return Place(Range(offset + start, offset + end), Range(offset + begin, offset + stop))
