"""The JSON Schema of `pygent.toml`, for editors and checkers that know nothing else of Pygent."""

from __future__ import annotations

from typing import Any

from pygent.config.settings import TABLE, Kind, Setting

_TEXT: dict[str, Any] = {"type": "string", "pattern": r"\S"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_PRICE: dict[str, Any] = {"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000}
_KINDS: dict[Kind, dict[str, Any]] = {
    "text": _TEXT,
    "url": {"type": "string", "pattern": r"^https?://[A-Za-z0-9]"},
    "whole": {"type": "integer", "minimum": 1},
    "number": {"type": "number", "exclusiveMinimum": 0},
    "seconds": {"type": "number", "exclusiveMinimum": 0},
    "size": {
        "anyOf": [
            {"type": "integer", "minimum": 1 << 20},
            {"type": "string", "pattern": r"^[1-9]\d*(\.\d+)? *[mMgGtT](i?[bB])?$"},
        ]
    },
    "switch": {"anyOf": [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}]},
    "docker": {
        "anyOf": [
            {"type": "string", "enum": ["auto", "0", "1"]},
            {"type": "boolean"},
            {"type": "integer", "enum": [0, 1]},
        ]
    },
    "api": {"type": "string", "enum": ["auto", "chat", "responses"]},
    "path": _TEXT,
    "paths": _TEXTS,
    "texts": _TEXTS,
    "commands": {"anyOf": [_TEXT, _TEXTS]},
    "personas": {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string", "pattern": r"^(?! - )\s*\S"},
                {
                    "type": "object",
                    "properties": {"name": _TEXT, "description": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            ]
        },
    },
    "tools": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"module": _TEXT, "confirm": {"type": "boolean"}},
            "required": ["module"],
            "additionalProperties": False,
        },
    },
    "prices": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"input": _PRICE, "output": _PRICE, "cached": _PRICE},
            "required": ["input", "output"],
            "additionalProperties": False,
        },
    },
    "servers": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "command": _TEXT,
                "args": {"type": "array", "items": {"type": "string"}},
                "env": _TEXTS,
                "url": {"type": "string", "pattern": r"^https?://[A-Za-z0-9]"},
                "token_variable": _TEXT,
                "tools": _TEXTS,
                "confirm": {"type": "boolean"},
                "timeout": {"type": "number", "exclusiveMinimum": 0},
            },
            "oneOf": [{"required": ["command"]}, {"required": ["url"]}],
            "additionalProperties": False,
        },
    },
}


def json_schema() -> dict[str, Any]:
    """The schema; every key with its meaning and default.  A key of the API is none of them."""
    properties: dict[str, Any] = {}
    for setting in TABLE.values():
        table, dot, name = setting.key.partition(".")
        if setting.secret:
            continue
        if dot:
            empty = {"type": "object", "properties": {}, "additionalProperties": False}
            properties.setdefault(table, empty)["properties"][name] = _property(setting)
        else:
            properties[table] = _property(setting)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pygent.toml",
        "description": "Settings of Pygent Language Server.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _property(setting: Setting) -> dict[str, Any]:
    variable = "" if setting.variable is None else f" (variable {setting.variable})"
    default = {} if setting.default in (None, (), {}) else {"default": setting.default}
    return {"description": f"{setting.meaning}{variable}", **_KINDS[setting.kind], **default}
