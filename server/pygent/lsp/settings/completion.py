"""Completion in settings files: keys, tables, values, paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygent.config import TABLE, VARIABLES, Setting
from pygent.config.places import Range
from pygent.config.write import literal
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.known import Known
from pygent.lsp.settings.spot import Spot, spot
from pygent.lsp.settings.values import choices, dotted, paths, placeholder

PROPERTY, MODULE, VALUE, FILE, FOLDER = 10, 9, 12, 17, 19
"""Kinds of completion items."""
TABLES = sorted({key.partition(".")[0] for key in TABLE if "." in key})
INNER: dict[str, dict[str, tuple[str, str]]] = {
    "task_personas": {
        "name": ("what the persona is called", '""'),
        "description": ("what the persona is, for its instructions", '""'),
    },
    "tools": {
        "module": ("the Python module with the tools", '""'),
        "confirm": ("whether each call is asked for", "true"),
    },
    "mcp_servers": {
        "command": ("the program that is the server", '""'),
        "args": ("what the program is given", "[]"),
        "env": ("variables that the program gets, by name", "[]"),
        "url": ("the address of the server, in place of a program", '""'),
        "token_variable": ("the variable whose value is sent to the address as a token", '""'),
        "tools": ("the tools that are offered; without it all", "[]"),
        "confirm": ("whether each call is asked for", "true"),
        "timeout": ("seconds that a call may take", "60"),
    },
    "prices": {
        "input": ("price of a million tokens sent", "1"),
        "output": ("price of a million tokens received", "1"),
        "cached": ("price of a million tokens that the server had in its cache", "1"),
    },
}
BY_NAME = ("prices", "mcp_servers")
"""The settings whose tables have names of the person's own."""
"""The keys of the tables within settings: meaning, and a value to begin with."""


async def completion(known: Known, document: Document, offset: int, *, snippets: bool) -> dict[str, Any]:
    """The completion list at an offset; incomplete while models or images are still being asked for."""
    items: list[dict[str, Any]] = []
    more = False
    found = None if document.file.dotenv else spot(document.file, offset)
    if document.file.dotenv:
        items, more = _bindings(known, document, offset)
    elif found is not None and found.kind == "header":
        items = list(_headers(document, found.word, snippets))
    elif found is not None and found.kind == "key":
        items = list(_keys(document, found, snippets))
    elif found is not None and (setting := TABLE.get(dotted(found.path))) is not None:
        if setting.kind in ("path", "paths"):
            items = await _paths(document, found.word, quoted=found.quoted)
        else:
            items, more = _values(known, document, found, setting)
    return {"isIncomplete": more, "items": items}


def _keys(document: Document, found: Spot, snippets: bool) -> Iterator[dict[str, Any]]:
    """The keys of the table that are not there yet, and the tables."""
    place, used = document.range(found.word), document.file.outline.places
    written = document.file.text[found.word.start : found.word.end]
    for name, (meaning, value) in _members(dotted(found.path)).items():
        if name == written or (*found.path, name) not in used:
            text, snippet = _pair(name, value, snippets) if found.bare else (name, False)
            yield _item(place, name, PROPERTY, meaning, text, snippet=snippet)
    if found.bare and not found.inline:
        yield from _headers(document, found.word, snippets)


def _members(table: str) -> dict[str, tuple[str, str]]:
    """The keys of a table: meaning and a value to begin with."""
    if (setting := table.partition(".")[0]) in INNER:
        return {} if setting in BY_NAME and table == setting else INNER[setting]
    prefix = f"{table}." if table else ""
    inside = {key.removeprefix(prefix): one for key, one in TABLE.items() if key.startswith(prefix)}
    return {
        name: (one.meaning, placeholder(one))
        for name, one in inside.items()
        if "." not in name and not one.secret
    }


def _pair(name: str, value: str, snippets: bool) -> tuple[str, bool]:
    """What is inserted for a key, and whether it is a snippet whose value can be typed over."""
    if not snippets:
        return f"{name} = ", False
    quotes = min(len(value) - len(value.lstrip('["')), len(value) // 2)
    head, inner, tail = value[:quotes], value[quotes : len(value) - quotes], value[len(value) - quotes :]
    for special in "\\$}":
        inner = inner.replace(special, f"\\{special}")
    return f"{name} = {head}${{1:{inner}}}{tail}", True


def _headers(document: Document, word: Range, snippets: bool) -> Iterator[dict[str, Any]]:
    place = document.range(word)
    there = {one.path for one in document.file.outline.statements if one.kind == "table"}
    for name in TABLES:
        if (name,) not in there or document.file.text[word.start : word.end] == f"[{name}]":
            keys = ", ".join(key.partition(".")[2] for key in TABLE if key.startswith(f"{name}."))
            yield _item(place, f"[{name}]", MODULE, keys, f"[{name}]")
    text = "[[task_personas]]"
    if snippets:
        text += '\nname = "${1:tester}"\ndescription = "${2:runs tests}"'
    meaning = TABLE["task_personas"].meaning
    yield _item(place, "[[task_personas]]", MODULE, meaning, text, snippet=snippets)


def _values(
    known: Known, document: Document, found: Spot, setting: Setting
) -> tuple[list[dict[str, Any]], bool]:
    values, more = choices(known, document, setting)
    items = []
    for value in values:
        text = literal(value)
        if isinstance(value, str):
            items.append(_value(document, found.word, value, text[1:-1] if found.quoted else text, setting))
        elif not found.quoted:
            items.append(_value(document, found.word, text, text, setting))
    return items, more


async def _paths(document: Document, word: Range, *, quoted: bool) -> list[dict[str, Any]]:
    return [
        _item(document.range(place), name, FOLDER if folder else FILE, "", text)
        for name, folder, place, text in await paths(document, word, quoted=quoted)
    ]


def _bindings(known: Known, document: Document, offset: int) -> tuple[list[dict[str, Any]], bool]:
    """What may stand in a line of a `.env` file."""
    text = document.file.text
    line = text[text.rfind("\n", 0, offset) + 1 : offset].lstrip()
    name, equals, value = line.removeprefix("export ").partition("=")
    if "#" in line:
        return [], False
    if not equals:
        return list(_names(document, Range(offset - len(name), offset))), False
    setting = VARIABLES.get(name.strip())
    if setting is None or setting.secret:
        return [], False
    values, more = choices(known, document, setting)
    word = Range(offset - len(value.lstrip(" \t\"'")), offset)
    written = [str(int(one)) if isinstance(one, bool) else literal(one).strip('"') for one in values]
    return [_value(document, word, one, one, setting) for one in written], more


def _names(document: Document, word: Range) -> Iterator[dict[str, Any]]:
    bindings, text = document.file.bindings.bindings, document.file.text
    used = {one.name for one in bindings if one.place.key.start != word.start}
    after = "" if text[word.end : word.end + 1] == "=" else "="
    for variable, setting in VARIABLES.items():
        if variable not in used:
            yield _item(document.range(word), variable, PROPERTY, setting.meaning, f"{variable}{after}")


def _value(document: Document, word: Range, label: str, text: str, setting: Setting) -> dict[str, Any]:
    return _item(document.range(word), label, VALUE, setting.meaning, text)


def _item(
    place: dict[str, Any], label: str, kind: int, detail: str, text: str, *, snippet: bool = False
) -> dict[str, Any]:
    item: dict[str, Any] = {"label": label, "kind": kind, "textEdit": {"range": place, "newText": text}}
    return item | ({"detail": detail} if detail else {}) | ({"insertTextFormat": 2} if snippet else {})
