"""Settings files in good order: white space only, never a word, and never what they mean."""

from __future__ import annotations

from collections.abc import Iterator

import tomli

from pygent.config.outline import Outline, Statement, Token


def tidy(text: str) -> str:
    """A TOML text with even white space; comments stay, and so does a text that is broken.

    One space around `=` and before a comment behind a value, no space at the ends of lines, one empty line
    at most and one before each table, a line end at the end.  Doing it twice changes nothing more.
    """
    if (meaning := _meaning(text)) is None:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _spaced(_lines(text))
    made = "".join(line + newline for line in lines)
    return made if _meaning(made) == meaning else text


def _meaning(text: str) -> str | None:
    """What a text says, in a form in which `nan` equals itself."""
    try:
        return repr(tomli.loads(text))
    except (tomli.TOMLDecodeError, RecursionError):
        return None


def _lines(text: str) -> list[str]:
    """The lines as they should be; a string or a list of several lines stays whole in one of them."""
    made, at = [], 0
    for statement in Outline(text).statements:
        made += _between(text[at : statement.start])
        behind = text.find("\n", statement.end)
        end = len(text) if behind < 0 else behind
        comment = text[statement.end : end].strip()
        made.append(_statement(text, statement) + (f"  {comment}" if comment else ""))
        at = min(end + 1, len(text))
    return made + _between(text[at:])


def _between(text: str) -> list[str]:
    """What stands between statements: comments and empty lines."""
    *lines, rest = text.split("\n")
    return [line.strip() for line in lines] + ([rest.strip()] if rest.strip() else [])


def _statement(text: str, statement: Statement) -> str:
    if statement.kind != "pair":
        return "".join(text[one.start : one.end] for one in statement.tokens if one.kind != "space")
    parts = (one for one in statement.tokens if one.end <= statement.key.end and one.kind != "space")
    key = "".join(text[one.start : one.end] for one in parts)
    return f"{key} = {_value(text, statement)}"


def _value(text: str, statement: Statement) -> str:
    """The value as it is, but without space at the ends of its lines."""
    inside = [one for one in statement.tokens if one.start >= statement.value.start]
    return "".join(text[one.start : one.end] for one in _without_trailing(inside))


def _without_trailing(inside: list[Token]) -> Iterator[Token]:
    for token, after in zip(inside, [*inside[1:], None], strict=True):
        if token.kind == "space" and after is not None and after.kind == "newline":
            continue
        yield token


def _spaced(lines: list[str]) -> list[str]:
    """One empty line at most, one before each table and the comments above it, none at the ends."""
    made: list[str] = []
    for number, line in enumerate(lines):
        if not line and (not made or not made[-1]):
            continue
        if _opens_table(lines, number) and made and made[-1]:
            made.append("")
        made.append(line)
    while made and not made[-1]:
        made.pop()
    return made


def _opens_table(lines: list[str], number: int) -> bool:
    """Whether a table's header, or the first of the comments right above one, stands here."""
    if number and lines[number - 1].startswith("#"):
        return False
    while number < len(lines) and lines[number].startswith("#"):
        number += 1
    return number < len(lines) and lines[number].startswith("[")
