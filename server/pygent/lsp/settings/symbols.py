"""The outline and the folds of settings files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygent.config import TABLE, VARIABLES
from pygent.config.outline import Statement
from pygent.config.places import Range
from pygent.config.sources import without_secrets
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.values import dotted

NAMESPACE, PROPERTY, ARRAY = 3, 7, 18
"""Kinds of symbols."""
LONGEST = 60


def symbols(document: Document, *, nested: bool) -> list[dict[str, Any]]:
    """Tables and keys; nested in each other, or for clients without that side by side."""
    found = list(_bindings(document) if document.file.dotenv else _tables(document))
    return found if nested else list(_flat(document.buffer.uri, found))


def _bindings(document: Document) -> Iterator[dict[str, Any]]:
    for one in document.file.bindings.bindings:
        if not one.error and one.place.key.start < one.place.key.end:
            whole = Range(one.place.key.start, max(one.place.key.end, one.place.value.end))
            detail = _detail(document, one.place.value) if _plain(VARIABLES.get(one.name)) else ""
            yield _symbol(document, one.name, PROPERTY, whole, one.place.key, detail=detail)


def _tables(document: Document) -> Iterator[dict[str, Any]]:
    """The keys at the top and the tables with their keys."""
    current: dict[str, Any] | None = None
    for statement in document.file.outline.statements:
        if statement.key.start == statement.key.end:
            continue
        if statement.kind in ("table", "array"):
            if current is not None:
                yield current
            kind = ARRAY if statement.kind == "array" else NAMESPACE
            name = document.file.text[statement.start : statement.end]
            current = _symbol(document, name, kind, Range(statement.start, statement.end), statement.key)
            current["children"] = []
        elif statement.kind == "pair":
            made = _pair(document, statement)
            if current is None:
                yield made
            else:
                _add(current, made)
    if current is not None:
        yield current


def _pair(document: Document, statement: Statement) -> dict[str, Any]:
    plain = _plain(TABLE.get(dotted(statement.path))) or statement.path[:1] == ("task_personas",)
    detail = _detail(document, statement.value) if plain else ""
    name = document.file.text[statement.key.start : statement.key.end]
    return _symbol(
        document, name, PROPERTY, Range(statement.start, statement.end), statement.key, detail=detail
    )


def _add(table: dict[str, Any], key: dict[str, Any]) -> None:
    """Put a key into its table, which then reaches to its end; a persona's table shows its name."""
    table["children"].append(key)
    table["range"]["end"] = key["range"]["end"]
    if key["name"] == "name" and table["kind"] == ARRAY:
        table["detail"] = key.get("detail", "").strip("\"'")


def _plain(setting: Any) -> bool:
    """Whether a value may be shown: only that of a known setting, and no secret."""
    return setting is not None and not setting.secret


def _detail(document: Document, value: Range) -> str:
    """A value on one line; none where it holds a secret by mistake."""
    raw = document.file.text[value.start : value.end]
    text = " ".join(raw.split())
    return "" if without_secrets(raw) != raw else text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _symbol(
    document: Document, name: str, kind: int, whole: Range, key: Range, *, detail: str = ""
) -> dict[str, Any]:
    symbol = {"name": name, "kind": kind, "range": document.range(whole)}
    symbol["selectionRange"] = document.range(key)
    return symbol | ({"detail": detail} if detail else {})


def _flat(uri: str, nested: list[dict[str, Any]], container: str = "") -> Iterator[dict[str, Any]]:
    for one in nested:
        place = {"uri": uri, "range": one["range"]}
        about = {"containerName": container} if container else {}
        yield {"name": one["name"], "kind": one["kind"], "location": place, **about}
        yield from _flat(uri, one.get("children", []), one["name"])


def folds(document: Document) -> list[dict[str, Any]]:
    """Tables, values of several lines, and blocks of comments."""
    found = list(_comments(document.buffer.lines))
    statements = () if document.file.dotenv else document.file.outline.statements
    last: dict[str, int] | None = None
    for statement in statements:
        place = document.range(Range(statement.start, statement.end))
        start, end = place["start"]["line"], place["end"]["line"]
        if statement.kind in ("table", "array"):
            last = {"startLine": start, "endLine": end}
            found.append(last)
        else:
            found.append({"startLine": start, "endLine": end})
            if last is not None:
                last["endLine"] = end
    return [one for one in found if one["endLine"] > one["startLine"]]


def _comments(lines: list[str]) -> Iterator[dict[str, Any]]:
    first: int | None = None
    for number, line in enumerate([*lines, ""]):
        if line.lstrip().startswith("#"):
            first = number if first is None else first
        elif first is not None:
            yield {"startLine": first, "endLine": number - 1, "kind": "comment"}
            first = None
