"""What stands at a place of a settings file, also in the middle of a word that is being typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pygent.config.diagnostic import File
from pygent.config.outline import Statement
from pygent.config.places import Path, Range


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a TOML file.

    `path` is the key whose value stands here, or the table in which a `key` does, items of arrays left out.
    `word` is what is typed there: of a header all of it, with `quoted` what is between the quotes.  `bare`
    means that no value follows the key, `inline` that all this is on the right of an `=`.
    """

    kind: Literal["key", "header", "value"]
    path: Path
    word: Range
    bare: bool = True
    quoted: bool = False
    inline: bool = False


def spot(file: File, offset: int) -> Spot | None:
    """The spot at an offset; None in comments and where nothing can stand."""
    outline = file.outline
    before = [one for one in outline.statements if one.start <= offset]
    statement = before[-1] if before else None
    if statement is not None and _reaches(file.text, statement, offset):
        return _inside(file.text, statement, offset)
    line = file.text[file.text.rfind("\n", 0, offset) + 1 : offset]
    if line.strip():
        return None
    table = next((one.path for one in reversed(before) if one.kind in ("table", "array")), ())
    return Spot("key", table, Range(offset, offset))


def _reaches(text: str, statement: Statement, offset: int) -> bool:
    """Whether the offset is in the statement, or behind it on its line or in a bracket that is open."""
    between = text[statement.end : offset]
    if offset <= statement.end or not between.strip(" \t"):
        return True
    return _depth(text, statement, len(text)) > 0 and "#" not in between.rpartition("\n")[2]


def _depth(text: str, statement: Statement, offset: int) -> int:
    marks = [text[one.start] for one in statement.tokens if one.kind == "mark" and one.end <= offset]
    return sum((mark in "[{") - (mark in "]}") for mark in marks)


def _inside(text: str, statement: Statement, offset: int) -> Spot | None:
    if any(one.kind == "comment" and one.start < offset <= one.end for one in statement.tokens):
        return None
    if statement.kind in ("table", "array"):
        whole = Range(statement.start, statement.end)
        return Spot("header", statement.path, whole) if offset <= statement.end else None
    if statement.kind == "other" or offset <= statement.key.end:
        end = max(statement.key.end, offset)
        bare = statement.kind == "other"
        return Spot("key", statement.table, Range(min(statement.key.start, offset), end), bare=bare)
    equals = text.find("=", statement.key.end, offset)
    return _value(text, statement, offset) if equals >= 0 else None


def _value(text: str, statement: Statement, offset: int) -> Spot:
    """The spot in a value: of the statement's key, or of a key or its value in an inline table."""
    opened: list[tuple[str, str | int]] = []
    last = ""
    word, quoted = Range(offset, offset), False
    for token in statement.tokens:
        if token.start >= offset or token.start < statement.value.start:
            continue
        piece = text[token.start : token.end]
        if token.kind == "mark":
            _mark(opened, piece, last)
        elif token.kind in ("bare", "string"):
            last = piece.strip("\"'")
        if token.kind in ("bare", "string") and _touches(piece, token.end, offset, token.kind):
            quoted = token.kind == "string"
            word = _between(piece, token.start) if quoted else Range(token.start, token.end)
    inner = tuple(part for _, part in opened if part != "")
    is_key = bool(opened) and opened[-1] == ("{", "")
    return Spot("key" if is_key else "value", (*statement.path, *inner), word, quoted=quoted, inline=True)


def _mark(opened: list[tuple[str, str | int]], mark: str, last: str) -> None:
    """Take in a bracket, comma or `=`: each open bracket has the number or the key that it is at."""
    if mark in "[{":
        opened.append((mark, 0 if mark == "[" else ""))
    elif mark in "]}" and opened:
        opened.pop()
    elif mark == "=" and opened and opened[-1][0] == "{":
        opened[-1] = ("{", last)
    elif mark == "," and opened:
        kind, at = opened[-1]
        opened[-1] = (kind, at + 1 if isinstance(at, int) else "")


def _touches(piece: str, end: int, offset: int, kind: str) -> bool:
    closed = kind == "string" and len(piece) > 1 and piece[-1] == piece[0]
    return offset < end or (offset == end and not closed)


def _between(piece: str, start: int) -> Range:
    """The inside of a string, closed or not."""
    quote = 3 if piece[:3] in ('"""', "'" * 3) else 1
    closed = len(piece) >= 2 * quote and piece.endswith(piece[:quote])
    return Range(start + quote, start + len(piece) - (quote if closed else 0))
