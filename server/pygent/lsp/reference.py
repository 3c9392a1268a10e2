"""`python -m pygent.lsp.reference`: docs/protocol.md, from the types that the server itself uses."""

from __future__ import annotations

import sys
from typing import Any, get_args

import msgspec

from pygent import errors, events, records
from pygent.lsp import actions, chat, completion, inspect, tasks, views
from pygent.lsp.commands import Command, listed
from pygent.lsp.conversations import sending
from pygent.lsp.options import Options

HEAD = """\
# Protocol

Made by `python -m pygent.lsp.reference` from the types of the server; do not edit.

`pygent-server --stdio` (default), `--tcp HOST:PORT` or `--ws HOST:PORT` speaks JSON-RPC 2.0: in LSP framing,
over WebSocket one message a frame without headers. Several clients may attach to a socket; they share
sessions and buffers, and each has its own folders, settings and encoding. To a client that does not read,
pieces of text, progress and log lines are left out first, then stored events; when it has read up, a `notice`
with the code `leftOut` names the `seq` up to which `pygent.session.events` has them.

A server on a socket lets nobody in without its token, which is new at each start. It is in
`server-PORT.token` in the state folder (or in the file of `--token-file`), for its owner only; standard error
names the file. Over WebSocket send it in the handshake as `Authorization: Bearer TOKEN`, or where headers
can't be set as `?token=TOKEN`; without it the handshake is answered with 401. Over TCP send it in the header
of the first message, `Authorization: Bearer TOKEN` beside `Content-Length`, or in `initialize` as
`initializationOptions.pygent.token`; without it the first message is answered with -32803 (`denied`) and the
connection is closed.

Commands are called with `workspace/executeCommand`, `arguments` being an array of one object; where a field
is marked `*`, plain strings are joined with spaces into it. A wrong argument answers -32602 with `data
{field, expected}`, any other refusal -32803 with `data {code, fix?}`, a cancelled request -32800. Keys are
camelCase, times are milliseconds since the epoch, timeouts seconds. Ids begin with `ses_`, `trn_`, `itm_`,
`tsk_`, `apr_` or `chk_` and sort by creation.
"""

_MODULES = (chat, completion, tasks, inspect, sending, actions, views)


def protocol() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Options\n\n`initialize.initializationOptions.pygent`, all optional:\n",
        _fields(Options),
    ]
    parts.append("## Commands\n")
    parts += [_command(found) for found in listed()]
    parts.append("## Events\n\n`pygent/event` carries an `Envelope`:\n")
    parts.append(_fields(events.Envelope))
    parts += [_event(kind) for kind in get_args(events.AnyEvent)]
    parts.append(
        "## Requests to the client\n\n`pygent/approve` carries an `Approval`, its answer is a `Decision`."
    )
    parts.append("`pygent/ask` carries a `Question`, its answer is `{answer}`.\n\n## Records\n")
    kinds = (
        *(records.TurnResult, records.Task, records.SessionInfo, records.Approval, records.Decision),
        *(records.Question, records.Usage, records.Failure, records.Change),
        completion.Completion,
    )
    parts += [_record(kind) for kind in kinds]
    parts.append("## Error codes\n\n" + ", ".join(f"`{code}`" for code in get_args(errors.Code)) + ".\n")
    return "\n".join(parts)


def _command(found: Command) -> str:
    fields = _fields(found.arguments, found.main)
    return f"### `{found.name}`\n\n{_doc(found.run)} Answers {found.result}.\n\n{fields}"


def _event(kind: Any) -> str:
    return f"### `{kind.__struct_config__.tag}`\n\n{_doc(kind)}\n\n{_fields(kind)}"


def _record(kind: Any) -> str:
    return f"### `{kind.__name__}`\n\n{_doc(kind)}\n\n{_fields(kind)}"


def _doc(kind: Any) -> str:
    return " ".join((kind.__doc__ or "").split())


def _fields(kind: Any, main: str | None = None) -> str:
    info = msgspec.inspect.type_info(kind)
    rows = [
        f"| `{field.encode_name}`{'*' if field.encode_name == main else ''} | {_type(field.type)} "
        f"| {'yes' if field.required else ''} |"
        for field in info.fields  # type: ignore[attr-defined]
    ]
    return "\n".join(["| field | type | required |", "| --- | --- | --- |", *rows, ""]) if rows else ""


_PLAIN: dict[str, str] = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "BoolType": "true or false",
    "NoneType": "null",
    "AnyType": "anything",
}


def _type(kind: Any) -> str:
    """A type in words."""
    name = type(kind).__name__
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "LiteralType":
        return ", ".join(f"`{value}`" for value in kind.values)
    if name == "UnionType":
        options = [_type(one) for one in kind.types if type(one).__name__ != "NoneType"]
        return "an event" if len(options) > 5 else " or ".join(options)
    if name in ("ListType", "VarTupleType"):
        return f"list of {_type(kind.item_type)}"
    return f"`{kind.cls.__name__}`" if name == "StructType" else "object"


if __name__ == "__main__":
    sys.stdout.write(protocol())
