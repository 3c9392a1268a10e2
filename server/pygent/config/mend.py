"""Values that a person probably meant in the place of one that is wrong, or written in another form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygent.config.settings import Kind
from pygent.config.values import parse
from pygent.config.write import literal

CHOICES: dict[str, tuple[Any, ...]] = {
    "switch": (True, False),
    "docker": ("auto", "0", "1"),
    "api": ("auto", "chat", "responses"),
}
"""The values of kinds that have only a few."""
_LISTS = ("paths", "texts", "commands", "personas")
_NUMBERS = ("whole", "number", "seconds")


def native(kind: Kind, raw: Any) -> Any:
    """A text in the form of an environment variable as TOML has it (`"3"` as 3); the value itself else."""
    if not isinstance(raw, str) or not _parses(kind, raw):
        return raw
    if kind in _LISTS and kind != "commands":
        return [item for item in raw.split(os.pathsep) if item.strip()]
    if kind not in ("switch", *_NUMBERS):
        return raw
    value = parse(kind, raw, Path("/"), None)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def mended(kind: Kind, raw: Any) -> list[Any]:
    """Values that the kind takes in place of one that it does not, the likeliest first."""
    found: list[Any] = []
    for value in _guesses(kind, raw):
        if _parses(kind, value) and value not in found:
            found.append(value)
    return found


def _guesses(kind: Kind, raw: Any) -> Iterator[Any]:
    if kind in CHOICES:
        yield from CHOICES[kind]
    elif kind == "url" and isinstance(raw, str):
        local = raw.startswith(("localhost", "127.", "[::1]"))
        yield f"{'http' if local else 'https'}://{raw.strip()}"
    elif kind in _NUMBERS and isinstance(raw, float | int | str):
        yield from _numbers(raw)
    elif kind == "size" and isinstance(raw, str | int | float):
        yield from (f"{raw}{unit}".replace(" ", "") for unit in ("m", "g"))
    elif kind in _LISTS:
        items = raw if isinstance(raw, list) else [raw]
        yield [item if isinstance(item, str | dict) else literal(item) for item in items if _writable(item)]
    elif _writable(raw) and not isinstance(raw, str | list | dict):
        yield literal(raw)


def _numbers(raw: float | int | str) -> Iterator[Any]:
    digits = str(raw).strip().split(" ")[0]
    try:
        number = abs(float(digits))
    except ValueError:
        return
    if number < 1e15:
        yield round(number) if number.is_integer() else number
        yield max(1, round(number))


def _writable(item: Any) -> bool:
    try:
        return bool(literal(item))
    except TypeError:
        return False


def _parses(kind: Kind, value: Any) -> bool:
    try:
        parse(kind, value, Path("/"), None)
    except (ValueError, OverflowError):
        return False
    return True
