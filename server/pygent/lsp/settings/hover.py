"""Hover in settings files: what a setting means, what it is and who says so."""

from __future__ import annotations

from typing import Any

import msgspec

from pygent.config import TABLE, VARIABLES, Config, Setting, Value, wire
from pygent.config.check import LAYERS
from pygent.config.places import Range
from pygent.config.values import EXPECTED, size_text
from pygent.lsp.settings.completion import INNER, TABLES
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.values import dotted

LONGEST = 200
"""Characters of a value that are shown."""


def hover(document: Document, offset: int, *, markdown: bool) -> dict[str, Any] | None:
    """The hover of a key, a table or a variable at an offset; None elsewhere."""
    found = _binding(document, offset) if document.file.dotenv else _key(document, offset)
    if found is None:
        return None
    name, place = found
    setting = VARIABLES.get(name) if document.file.dotenv else TABLE.get(name)
    lines = _setting(name, setting, document.config) if setting is not None else _other(name)
    if not lines:
        return None
    text = "\n\n".join(lines) if markdown else "\n".join(lines).replace("**", "").replace("`", "")
    kind = "markdown" if markdown else "plaintext"
    return {"contents": {"kind": kind, "value": text}, "range": document.range(place)}


def _binding(document: Document, offset: int) -> tuple[str, Range] | None:
    for one in document.file.bindings.bindings:
        if one.place.key.start <= offset <= one.place.key.end:
            return one.name, one.place.key
    return None


def _key(document: Document, offset: int) -> tuple[str, Range] | None:
    """The setting at an offset: that of a misplaced key is the top-level one that it is taken for."""
    found = [
        (path, place.key)
        for path, place in document.file.outline.places.items()
        if place.key.start <= offset <= place.key.end and place.key.start < place.key.end
    ]
    if not found:
        return None
    path, key = min(found, key=lambda one: (one[1].end - one[1].start, -len(one[0])))
    name = dotted(path)
    last = str(path[-1])
    return (last if name not in TABLE and name.startswith("task_personas.") and last in TABLE else name), key


def _setting(name: str, setting: Setting, config: Config) -> list[str]:
    value = config.values[setting.key]
    variable = f" · variable `{setting.variable}`" if setting.variable else ""
    key = "" if setting.secret or name == setting.key else f" · `pygent.toml` key `{setting.key}`"
    lines = [
        f"**{name}**: {setting.meaning}",
        f"{EXPECTED[setting.kind]} · default {_default(setting)}{variable}{key}",
        f"In force: {_shown(setting, value)} from {place_of(value)}",
    ]
    if value.shadowed:
        weaker = "; ".join(f"{_shown(setting, one)} from {place_of(one)}" for one in value.shadowed)
        lines.append(f"Not used, because that is stronger: {weaker}")
    for one in config.withheld:
        if one.key == setting.key:
            lines.append(f"Not taken, because the folder is not trusted: {_shown(setting, one)}")
    return lines


def _other(name: str) -> list[str]:
    """Tables, and the keys of a persona."""
    if name in TABLES:
        inside = [one for one in TABLE.values() if one.key.startswith(f"{name}.")]
        return [f"**[{name}]**", *(f"`{one.key.partition('.')[2]}`: {one.meaning}" for one in inside)]
    key = name.rpartition(".")[2]
    meaning, _ = INNER.get(name.partition(".")[0], {}).get(key, ("", ""))
    return [f"**{key}**: {meaning}"] if meaning else []


def place_of(value: Value) -> str:
    """Who set a value, in words, with file and line."""
    origin = value.origin
    if origin.layer == "default":
        return "the default"
    span = origin.span
    if origin.file is not None:
        return f"{origin.file.path.name}:{span.line}" if span is not None else origin.file.path.name
    return f"`{origin.name}` in the environment" if origin.layer == "environment" else LAYERS[origin.layer]


def _default(setting: Setting) -> str:
    return "none" if setting.default in (None, (), {}) else f"`{_text(setting, setting.default)}`"


def _shown(setting: Setting, value: Value) -> str:
    if value.value in (None, (), {}) and not setting.secret:
        return "nothing"
    return f"`{_text(setting, wire(value))}`"


def _text(setting: Setting, value: Any) -> str:
    if setting.kind == "size" and isinstance(value, int):
        return size_text(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = " ".join(text.replace("`", "'").split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
