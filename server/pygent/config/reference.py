"""`python -m pygent.config.reference`: the table of settings for docs/configuration.md."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from pygent.config.settings import PERSONAS_JSON, TABLE, Setting, Taken
from pygent.config.values import size_text

_TAKEN: dict[Taken, str] = {
    "yes": "yes",
    "words": "yes, as the folder's words",
    "lower": "only lower",
    "on": "only `true`",
    "more": "only further ones",
    "alone": "only for the default address",
    "never": "no",
}

_PERSONAS_JSON = (
    f"| `{PERSONAS_JSON}` | `task_personas` | JSON array of objects with `name` and `description`; overrides "
    "the former | none | yes, as the folder's words |"
)


def table() -> str:
    """Every setting as a row of Markdown."""
    rows = [
        "| variable | `pygent.toml` | meaning | default | from a folder you don't trust |",
        "| --- | --- | --- | --- | --- |",
    ]
    for setting in TABLE.values():
        rows.append(_row(setting))
        if setting.key == "task_personas":
            rows.append(_PERSONAS_JSON)
    return "\n".join(rows) + "\n"


def _row(setting: Setting) -> str:
    variable = "" if setting.variable is None else f"`{setting.variable}`"
    key = "none: an error there" if setting.secret else f"`{setting.key}`"
    taken = _TAKEN[setting.untrusted]
    return f"| {variable} | {key} | {setting.meaning} | {_default(setting)} | {taken} |"


def _default(setting: Setting) -> str:
    value: Any = setting.default
    if setting.kind == "size":
        value = size_text(value)
    if value in (None, (), {}):
        return "none"
    return f"`{value}`" if isinstance(value, str) else f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    sys.stdout.write(table())
