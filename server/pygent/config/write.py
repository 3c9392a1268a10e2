"""Values as they are written in `pygent.toml`."""

from __future__ import annotations

import json
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
            return "{" + ", ".join(f"{key} = {literal(inner)}" for key, inner in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case msgspec.Struct():
            return literal(msgspec.to_builtins(value))
    raise TypeError(type(value).__name__)
