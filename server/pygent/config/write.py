"""Values as they are written in `pygent.toml` and `.env`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec


def literal(value: Any) -> str:
    """A value of a setting, or of a TOML document, as TOML.  Raises TypeError for what TOML does not have."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {literal(inner)}" for key, inner in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case msgspec.Struct():
            return literal(msgspec.to_builtins(value))
    raise TypeError(type(value).__name__)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else literal(name)


def binding(name: str, value: str) -> str:
    """A line of a `.env` file, which python-dotenv reads as it was meant."""
    if not re.fullmatch(r"[\w./:@%+=-]+", value, re.ASCII):
        value = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"{name}={value}"
