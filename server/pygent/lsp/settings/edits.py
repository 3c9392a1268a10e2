"""Changes of settings files: pieces of text by their offsets, and the workspace edits made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pygent import files
from pygent.config.diagnostic import File
from pygent.config.look import MAX_FILE
from pygent.config.outline import Statement
from pygent.config.places import Range
from pygent.lsp.buffers import Buffer
from pygent.lsp.settings.documents import Document

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer


class Edit(NamedTuple):
    """A piece of a text and what stands there instead."""

    place: Range
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to mend a problem: edits of the document, a line for the `.env`, or a command."""

    title: str
    edits: list[Edit] = field(default_factory=list)
    preferred: bool = False
    binding: str | None = None
    command: tuple[str, dict[str, Any]] | None = None


def lines(text: str, start: int, end: int) -> Range:
    """The whole lines that a piece of text lies in."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    return Range(begin, len(text) if stop < 0 else stop + 1)


def removed(text: str, start: int, end: int) -> Edit:
    """Take out the lines of a piece of text."""
    return Edit(lines(text, start, end), "")


def moved(file: File, statement: Statement, table: str, key: str | None = None) -> list[Edit]:
    """Move a statement with its comment to the end of a table, or to the top level for an empty name."""
    text = file.text
    place = lines(text, statement.start, statement.end)
    piece = text[place.start : place.end]
    if key is not None:
        at = statement.key.start - place.start
        piece = piece[:at] + key + piece[at + statement.key.end - statement.key.start :]
    newline = "\r\n" if "\r\n" in text else "\n"
    where, before = _end(file, table)
    first = where == 0 or text[where - 1 : where] == "\n"
    piece = ("" if first else newline) + piece.rstrip("\r\n").lstrip(" \t") + newline + before * newline
    return [Edit(Range(where, where), piece), Edit(place, "")]


def _end(file: File, table: str) -> tuple[int, bool]:
    """Where a table ends, and whether there is only the beginning of the file before a header."""
    current, last = "", 0
    for statement in file.outline.statements:
        if statement.kind in ("table", "array"):
            if current == table:
                break
            current = ".".join(map(str, statement.path))
        if current == table:
            last = lines(file.text, statement.start, statement.end).end
    header = next((one for one in file.outline.statements if one.kind in ("table", "array")), None)
    if last == 0 and header is not None:
        return _above(file.text, header.start), True
    return last, False


def _above(text: str, offset: int) -> int:
    """The beginning of the comments right above a line."""
    start = text.rfind("\n", 0, offset) + 1
    found = re.search(r"(?:^[ \t]*#[^\n]*\n)+\Z", text[:start], re.MULTILINE)
    return start if found is None else found.start()


def workspace_edit(server: PygentServer, document: Document, fix: Fix) -> dict[str, Any]:
    """A fix as the client takes it: with versions if it can, the `.env` made if it is not there."""
    edits = [{"range": document.range(one.place), "newText": one.text} for one in fix.edits]
    changes = [(document.buffer.uri, document.buffer.version, edits)]
    create: list[dict[str, Any]] = []
    if fix.binding is not None:
        target = dotenv(server, document)
        newline = "" if not target.text or target.text.endswith("\n") else "\n"
        at = target.range(len(target.text), len(target.text))
        changes.append((target.uri, target.version, [{"range": at, "newText": f"{newline}{fix.binding}\n"}]))
        if target.path is not None and not target.path.exists() and server.buffers.get(target.uri) is None:
            create = [{"kind": "create", "uri": target.uri, "options": {"ignoreIfExists": True}}]
    if not server.client.document_changes:
        return {"changes": {uri: made for uri, _, made in changes}}
    named = [
        {"textDocument": {"uri": uri, "version": version}, "edits": made} for uri, version, made in changes
    ]
    return {"documentChanges": [*create, *named]}


def dotenv(server: PygentServer, document: Document) -> Buffer:
    """The `.env` that belongs to a settings file, as it is open or on disk; empty if there is none."""
    folder = document.path.parent if document.folder is None else document.folder.root
    path = folder / ".env"
    opened = server.buffers.at(path)
    return opened or on_disk(path, server.encoding())


def on_disk(path: Path, encoding: str) -> Buffer:
    """A file as if it was open."""
    try:
        text = files.read_chosen(path, MAX_FILE).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        text = ""
    return Buffer(path.as_uri(), text, encoding=encoding)
