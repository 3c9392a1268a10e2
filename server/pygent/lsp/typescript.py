"""`python -m pygent.lsp.typescript`: editor-client/src/protocol.ts, from the types of the server.

Events, records and arguments come from their structs; results from the words with which each command
describes its answer: `{task}` is a Task, `{tasks}` a list of them, a name without a type is a text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from pygent import events, records
from pygent.lsp import actions, chat, completion, inspect, tasks, views  # noqa: F401 - they register
from pygent.lsp.commands import Command, listed
from pygent.lsp.conversations import sending  # noqa: F401 - it registers its commands

HEAD = """\
// Made by `python -m pygent.lsp.typescript` from the types of the server; do not edit.

"""
_PLAIN = {
    "StrType": "string",
    "IntType": "number",
    "FloatType": "number",
    "BoolType": "boolean",
    "NoneType": "null",
    "AnyType": "unknown",
    "DictType": "Record<string, unknown>",
}
_WORDS = {
    "bool": "boolean",
    "number": "number",
    "anything": "unknown",
    "text": "string",
    "path": "string",
    "ChangeKind": 'Change["kind"]',
}
_RECORDS = {
    "task": "Task",
    "session": "SessionInfo",
    "persona": "Persona",
    "approval": "Approval",
}


def protocol() -> str:
    """The whole file."""
    shown = listed()
    kinds: dict[str, Any] = {}
    for root in (
        events.Envelope,
        records.TurnResult,
        records.SessionInfo,
        records.Decision,
        completion.Completion,
    ):
        _collect(msgspec.inspect.type_info(root), kinds)
    parts = [_interface(name, kind) for name, kind in sorted(kinds.items())]
    union = " | ".join(kind.__name__ for kind in get_args(events.AnyEvent))
    parts.append(f"export type Event = {union};\n")
    parts.append("/** What each command takes and answers. */\nexport interface Commands {\n")
    parts[-1] += "".join(_command(found) for found in shown) + "}\n"
    return HEAD + "\n".join(parts)


def _collect(kind: Any, found: dict[str, Any]) -> None:
    """Every struct that a type mentions, by its name."""
    if isinstance(kind, msgspec.inspect.StructType) and kind.cls.__name__ not in found:
        found[kind.cls.__name__] = kind
        for field in kind.fields:
            _collect(field.type, found)
    for name in ("types", "item_types"):
        for one in getattr(kind, name, ()):
            _collect(one, found)
    if hasattr(kind, "item_type"):
        _collect(kind.item_type, found)


def _interface(name: str, kind: Any) -> str:
    doc = " ".join((kind.cls.__doc__ or "").split())
    tag = f'  {kind.tag_field}: "{kind.tag}";\n' if kind.tag is not None else ""
    return f"/** {doc} */\nexport interface {name} {{\n{tag}{_fields(kind, '  ')}}}\n"


def _fields(kind: Any, indent: str) -> str:
    return "".join(
        f"{indent}{field.encode_name}{'' if field.required else '?'}: {_type(field.type)};\n"
        for field in kind.fields
    )


def _command(found: Command) -> str:
    fields = _fields(msgspec.inspect.type_info(found.arguments), "      ")
    arguments = "{\n" + fields + "    }" if fields else "Record<string, never>"
    lines = [
        f'  "{found.name}": {{',
        f"    arguments: {arguments};",
        f"    result: {_result(found)};",
        "  };\n",
    ]
    return "\n".join(lines)


def _type(kind: Any) -> str:
    name = type(kind).__name__
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "LiteralType":
        return " | ".join(f'"{value}"' for value in kind.values)
    if name == "UnionType":
        options = [_type(one) for one in kind.types if type(one).__name__ != "NoneType"]
        return "Event" if len(options) > 5 else " | ".join(options)
    if name in ("ListType", "VarTupleType"):
        inner = _type(kind.item_type)
        return f"({inner})[]" if " " in inner else f"{inner}[]"
    assert name == "StructType", name
    return str(kind.cls.__name__)


def _result(found: Command) -> str:
    """The type of an answer, out of its description: the first piece of code in it."""
    words = re.search(r"`([^`]*)`", found.result)
    assert words is not None, found.name
    if words[1].startswith("pygent."):
        return f'Commands["{words[1]}"]["result"]'
    tokens = iter(re.findall(r"\w+|[^\w\s]", words[1]))
    return _described(next(tokens), tokens)


def _described(token: str, rest: Iterator[str]) -> str:
    if token == "[":
        inner = _described(next(rest), rest)
        assert next(rest) == "]"
        return f"{inner}[]"
    return _object(rest) if token == "{" else _WORDS.get(token, token)


def _object(rest: Iterator[str]) -> str:
    """The fields up to the closing brace; a field `key` that holds an object stands for any."""
    fields, token = [], next(rest)
    while token != "}":
        name, token = token, next(rest)
        optional, token = ("?", next(rest)) if token == "?" else ("", token)
        kind = _named(name)
        if token == ":":
            kind, token = _described(next(rest), rest), next(rest)
        fields.append(
            f"[key: string]: {kind}" if name == "key" and kind[0] == "{" else f"{name}{optional}: {kind}"
        )
        token = next(rest) if token == "," else token
    return "{ " + "; ".join(fields) + " }"


def _named(name: str) -> str:
    return _RECORDS.get(name) or (f"{one}[]" if (one := _RECORDS.get(name.removesuffix("s"))) else "string")


if __name__ == "__main__":
    sys.stdout.write(protocol())
