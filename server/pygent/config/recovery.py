"""What can be read of a broken TOML file, and everything that is wrong with its syntax."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import tomli

from pygent.config.diagnostic import Diagnostic, File
from pygent.config.outline import Statement
from pygent.config.places import Path, Range, Span

MOST = 50
"""Syntax errors after which the rest of a file is left alone."""


def recover(file: File) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The document without the statements that no parser takes, and what is wrong with those."""
    problems: list[Diagnostic] = []
    gone: list[Range] = []
    for statement in file.outline.statements:
        if len(problems) == MOST:
            return {}, problems
        if (problem := _own_problem(file, statement)) is not None:
            problems.append(problem)
            gone.append(Range(statement.start, statement.end))
    _duplicates(file, gone, problems)
    return _rest(file, gone, problems), sorted(problems, key=lambda one: (one.line or 0, one.column or 0))


def _own_problem(file: File, statement: Statement) -> Diagnostic | None:
    """What is wrong with a statement by itself."""
    try:
        tomli.loads(file.text[statement.start : statement.end])
    except tomli.TOMLDecodeError as error:
        return _syntax(file, error, statement)
    except RecursionError:
        return file.problem("error", "syntax", "This is nested too deeply.", file.outline.span(statement.key))
    return None


def _syntax(file: File, error: tomli.TOMLDecodeError, statement: Statement) -> Diagnostic:
    at = statement.start + error.pos
    token = next((one for one in statement.tokens if one.start <= at < one.end), None)
    whole = token is not None and token.start == at and "\n" not in file.text[at : token.end]
    end = token.end if token is not None and whole else at + 1
    message = error.msg
    if statement.kind == "pair" and statement.value.start == statement.value.end:
        message, at, end = f"`{_name(statement)}` has no value", statement.end - 1, statement.end
    elif statement.kind == "other":
        message = "This is neither `key = value` nor a `[table]`"
        at, end = statement.start, statement.end
    elif at >= statement.end:
        last = statement.tokens[-1]
        at, end = (last.end - 1 if "\n" in file.text[last.start : last.end] else last.start), last.end
        message = f"{message}: `{_name(statement)}` does not end"
    return file.problem("error", "syntax", f"{message}.", file.outline.span(Range(at, max(end, at + 1))))


def _duplicates(file: File, gone: list[Range], problems: list[Diagnostic]) -> None:
    """Take out what stands twice: the later key, and the later table with everything in it."""
    first: dict[Path, Statement] = {}
    broken = set(gone)
    skipping = False
    for statement in file.outline.statements:
        where = Range(statement.start, statement.end)
        if where in broken or statement.kind == "other":
            continue
        earlier = first.setdefault(statement.path, statement)
        twice = earlier is not statement and statement.kind == earlier.kind
        if statement.kind != "pair":
            skipping = twice
        if twice and (statement.kind != "pair" or not skipping) and len(problems) < MOST:
            problems.append(_twice(file, statement, earlier))
        if skipping or twice:
            gone.append(where)


def _twice(file: File, statement: Statement, earlier: Statement) -> Diagnostic:
    line, _ = file.outline.point(earlier.start)
    table = statement.kind != "pair"
    name = f"[{_name(statement)}]" if table else f"`{_name(statement)}`"
    return file.problem(
        "error",
        "duplicateTable" if table else "duplicateKey",
        f"{name} stands in this file already, in line {line}.",
        file.outline.span(statement.key),
        fix="Keep one of the two." if not table else "Join the two tables.",
        key=_name(statement),
        related=(file.related("the first one", earlier.key),),
    )


def _rest(file: File, gone: list[Range], problems: list[Diagnostic]) -> dict[str, Any]:
    """The document of what is left; what conflicts across statements is told and taken out as well."""
    for _ in range(10):
        try:
            return tomli.loads(_without(file.text, gone))
        except tomli.TOMLDecodeError as error:
            span, where = _conflict(file, error.pos)
            problems.append(file.problem("error", "syntax", f"{error.msg}.", span))
            gone += where
        except RecursionError:
            break
    return {}


def _conflict(file: File, pos: int) -> tuple[Span, list[Range]]:
    """Where a statement stands that fits not to others, and what goes with it: a header's whole table."""
    outline, text = file.outline, file.text
    index = next((n for n, one in enumerate(outline.statements) if one.start < pos <= one.end + 1), None)
    if index is None:
        line_end = text.find("\n", pos)
        line = Range(pos, len(text) if line_end < 0 else line_end)
        return outline.span(Range(pos, pos + 1)), [line]
    statement, rest = outline.statements[index], outline.statements[index + 1 :]
    table = itertools.takewhile(lambda one: statement.kind != "pair" and one.kind in ("pair", "other"), rest)
    return outline.span(statement.key), [Range(one.start, one.end) for one in (statement, *table)]


def _without(text: str, gone: Iterable[Range]) -> str:
    """The text with blanks in place of what is taken out, so that all else keeps its place."""
    pieces, at = [], 0
    for start, end in sorted(gone):
        if start < at:
            continue
        pieces += [text[at:start], "".join(char if char in "\r\n" else " " for char in text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])


def _name(statement: Statement) -> str:
    return ".".join(name for name in statement.path if isinstance(name, str))
