"""Quick fixes for the problems of settings files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import tomli

from pygent.config import TABLE, VARIABLES, Diagnostic, Setting
from pygent.config.mend import mended, native
from pygent.config.outline import Statement
from pygent.config.places import Place, Range
from pygent.config.write import binding, literal
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.edits import Edit, Fix, moved, removed
from pygent.lsp.settings.values import dotted, placeholder

MOST = 3
"""Values that are offered for a wrong one."""
CLOSERS = ('"', "'", "]", "]]", '"""', "'''", "}", '"]', '"]]')


def fixes(document: Document, problem: Diagnostic) -> list[Fix]:
    """The ways to mend a problem, the likeliest first."""
    if problem.line is None or problem.column is None:
        return []
    if problem.code == "notTrusted":
        return list(_trust(document))
    if document.file.dotenv:
        return list(_of_binding(document, problem))
    offset = document.file.outline.offset(problem.line, problem.column)
    found = [one for one in document.file.outline.statements if one.start <= offset <= one.end]
    make = _FIXES.get(problem.code)
    return list(make(document, problem, found[-1])) if found and make is not None else []


def _trust(document: Document) -> Iterator[Fix]:
    if document.folder is not None:
        arguments = {"folderUri": document.folder.uri, "trusted": True}
        yield Fix("Trust the settings of this folder", command=("pygent.workspace.trust", arguments))


# -- keys ----------------------------------------------------------------------------------------


def _rename(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """The nearest name, in its own table; else away with it."""
    near, name = problem.near, problem.key or ""
    if near is not None and statement.kind == "pair":
        yield from _nearest(document, problem, statement, near)
    yield from _remove(document, problem, statement, name)


def _nearest(document: Document, problem: Diagnostic, statement: Statement, near: str) -> Iterator[Fix]:
    file = document.file
    start = file.outline.offset(problem.line or 1, problem.column or 1)
    end = file.outline.offset(problem.end_line or 1, problem.end_column or 1)
    written = file.text[start:end]
    table, here = near.rpartition(".")[0], dotted(statement.table)
    title = f"Change `{written}` to `{near}`"
    tables = {dotted(one.path) for one in file.outline.statements if one.kind == "table"}
    if table and table != here and table in tables and not here:
        if (*table.split("."), near.rpartition(".")[2]) not in file.outline.places:
            edits = moved(file, statement, table, near.rpartition(".")[2])
            yield Fix(f"Move `{written}` into [{table}]", edits, preferred=True)
        return
    short = near.removeprefix(f"{here}.") if here and "." not in written else near
    if (*statement.table, *short.split(".")) not in file.outline.places:
        yield Fix(title, [Edit(Range(start, end), short)], preferred=True)


def _move(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """To the top level, where it was meant to stand."""
    name = dotted(statement.path[len(statement.table) :])
    if statement.kind == "pair" and (name.split(".")[0],) not in document.file.outline.places:
        yield Fix(f"Move `{name}` to the top level", moved(document.file, statement, ""), preferred=True)
    yield from _remove(document, problem, statement, name)


def _remove(
    document: Document, problem: Diagnostic, statement: Statement, name: str = "", *, preferred: bool = False
) -> Iterator[Fix]:
    if statement.kind in ("pair", "other"):
        name = name or dotted(statement.path[len(statement.table) :])
        edit = removed(document.file.text, statement.start, statement.end)
        yield Fix(f"Remove `{name}`", [edit], preferred=preferred)


def _second(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    yield from _remove(document, problem, statement, preferred=True)


def _join(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """The keys of a table that stands a second time go to the first."""
    file, name = document.file, dotted(statement.path)
    body = [one for one in file.outline.statements if one.kind == "pair" and one.start > statement.start]
    after = next(
        (
            one.start
            for one in file.outline.statements
            if one.kind in ("table", "array") and one.start > statement.end
        ),
        len(file.text) + 1,
    )
    edits = [edit for one in body if one.start < after for edit in moved(file, one, name)]
    ends = {edit.place.start for edit in edits if edit.text}
    if all(start <= statement.start for start in ends):
        yield Fix(
            f"Join it with the first [{name}]",
            [removed(file.text, statement.start, statement.end), *edits],
            preferred=True,
        )


# -- values --------------------------------------------------------------------------------------


def _convert(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """Values of the right type."""
    setting, place = _valued(document, statement)
    if setting is None or place is None:
        return
    raw = _raw(document, place)
    if problem.code == "asText":
        better = native(setting.kind, raw)
        yield Fix(f"Write `{literal(better)}`", [Edit(place, literal(better))], preferred=True)
        return
    found = mended(setting.kind, raw)[:MOST]
    for value in found:
        yield Fix(
            f"Change it to `{literal(value)}`", [Edit(place, literal(value))], preferred=len(found) == 1
        )
    yield from _remove(document, problem, statement)


def _valued(document: Document, statement: Statement) -> tuple[Setting | None, Range | None]:
    """The setting whose value a statement has; one under [[task_personas]] is that of the top level."""
    name = dotted(statement.path)
    setting = TABLE.get(name) or TABLE.get(name.removeprefix("task_personas."))
    value = statement.value
    return setting, (value if value.start < value.end else None)


def _raw(document: Document, place: Range) -> Any:
    try:
        return tomli.loads(f"x = {document.file.text[place.start : place.end]}")["x"]
    except (tomli.TOMLDecodeError, RecursionError):
        return None


def _close(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """A value where there is none, or the end of what does not end."""
    text = document.file.text[statement.start : statement.end]
    at = Range(statement.end, statement.end)
    if statement.kind == "pair" and statement.value.start == statement.value.end:
        setting, _ = _valued(document, statement)
        if setting is not None:
            value = placeholder(setting)
            yield Fix(f"Set it to `{value}`", [Edit(at, f" {value}")], preferred=True)
    for closer in CLOSERS:
        if _whole(text + closer) and not _whole(text):
            yield Fix(f"End it with `{closer}`", [Edit(at, closer)], preferred=True)
            break
    yield from _remove(document, problem, statement)


def _whole(text: str) -> bool:
    try:
        return bool(tomli.loads(text))
    except (tomli.TOMLDecodeError, RecursionError):
        return False


def _missing(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """Without the file that is not there; the whole setting if it is the only one."""
    offset = document.file.outline.offset(problem.line or 1, problem.column or 1)
    items = [
        place
        for path, place in document.file.outline.places.items()
        if path[:-1] == statement.path and isinstance(path[-1], int)
    ]
    index = next((n for n, one in enumerate(items) if one.value.start == offset), None)
    if index is None or len(items) == 1:
        yield from _remove(document, problem, statement, preferred=True)
        return
    written = document.file.text[items[index].value.start : items[index].value.end]
    yield Fix(f"Take out {written}", [Edit(_item(items, index), "")], preferred=True)


def _item(items: list[Place], index: int) -> Range:
    """An item of a list with the comma and the space that belong to it."""
    if index + 1 < len(items):
        return Range(items[index].value.start, items[index + 1].value.start)
    return Range(items[index - 1].value.end, items[index].value.end)


# -- secrets -------------------------------------------------------------------------------------


def _secret(document: Document, problem: Diagnostic, statement: Statement) -> Iterator[Fix]:
    """Into the `.env`, under the variable's name; no title ever shows it."""
    raw = _raw(document, statement.value)
    name = statement.path[-1]
    if isinstance(raw, str) and raw and isinstance(name, str) and _movable(name):
        variable = _variable(name)
        edit = removed(document.file.text, statement.start, statement.end)
        title = f"Move the secret to .env as {variable}"
        yield Fix(title, [edit], preferred=True, binding=binding(variable, raw))
    yield from _remove(document, problem, statement)


def _movable(name: str) -> bool:
    return name not in TABLE or TABLE[name].secret


def _variable(name: str) -> str:
    plain = re.sub(r"\W+", "_", name).upper()
    return "OPENAI_API_KEY" if plain in ("API_KEY", "APIKEY", "OPENAI_API_KEY", "OPENAI_KEY") else plain


# -- .env ----------------------------------------------------------------------------------------


def _of_binding(document: Document, problem: Diagnostic) -> Iterator[Fix]:
    bindings, text = document.file.bindings, document.file.text
    offset = bindings.offset(problem.line or 1, problem.column or 1)
    found = [
        one
        for one in bindings.bindings
        if one.place.key.start <= offset <= max(one.place.key.end, one.place.value.end)
    ]
    if not found:
        return
    said = found[-1]
    if problem.near is not None:
        edit = Edit(said.place.key, problem.near)
        yield Fix(f"Change `{said.name}` to `{problem.near}`", [edit], preferred=True)
    if problem.code == "badValue" and said.name in VARIABLES:
        offered = mended(VARIABLES[said.name].kind, said.value)
        values = [value for value in offered if not isinstance(value, list)][:MOST]
        for value in values:
            written = str(int(value)) if isinstance(value, bool) else binding("", str(value))[1:]
            edit = Edit(said.place.value, written)
            yield Fix(f"Change it to `{written}`", [edit], preferred=len(values) == 1)
    edit = removed(text, said.place.key.start, max(said.place.key.end, said.place.value.end))
    name = f"`{said.name}`" if said.name else "the line"
    yield Fix(f"Remove {name}", [edit], preferred=problem.code == "duplicateKey")


_FIXES: dict[str, Callable[[Document, Diagnostic, Statement], Iterator[Fix]]] = {
    "unknownKey": _rename,
    "wrongTable": _move,
    "duplicateKey": _second,
    "duplicateTable": _join,
    "badValue": _convert,
    "asText": _convert,
    "syntax": _close,
    "missingFile": _missing,
    "secretInFile": _secret,
    "shadowed": _remove,
}
