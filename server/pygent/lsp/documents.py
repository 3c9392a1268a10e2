"""The editor's open documents, as the workspace sees them: the agent reads and edits the buffers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.lsp.base import Declined

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

PATIENCE = 30.0
"""Seconds for a client to apply an edit."""


class OpenDocuments:
    """`workspace.Documents` over a client's buffers."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server

    def text(self, path: Path) -> str | None:
        """The text of an open document."""
        document = self._server.buffers.at(path)
        return None if document is None else document.text

    def dirty(self) -> list[Path]:
        """Open documents whose text is not that of the file."""
        found = []
        for document in self._server.buffers:
            path = document.path
            if path is not None and _differs(path, document.text):
                found.append(path)
        return found

    async def apply(self, path: Path, before: str, after: str, label: str) -> bool:
        """Send a versioned edit of the lines that change; False if the client refuses it."""
        document = self._server.buffers.at(path)
        if document is None or document.text != before or not self._server.client.apply_edit:
            return False
        edit = {"range": _range(before, after), "newText": _middle(before, after)}
        identity = {"uri": document.uri, "version": document.version}
        if self._server.client.document_changes:
            changes: dict[str, Any] = {"documentChanges": [{"textDocument": identity, "edits": [edit]}]}
            if self._server.client.labels:
                edit["annotationId"] = "pygent"
                changes["changeAnnotations"] = {"pygent": {"label": label}}
        else:
            changes = {"changes": {document.uri: [edit]}}
        try:
            params = {"label": f"Pygent: {label}", "edit": changes}
            answer = await self._server.protocol.ask("workspace/applyEdit", params, PATIENCE)
        except Declined:
            return False
        return isinstance(answer, dict) and bool(answer.get("applied"))


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode("utf-8", "surrogateescape")
    except OSError:
        return True


def _split(text: str) -> list[str]:
    """Lines as the specification counts them: ended by a line feed, both, or a carriage return alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _common(before: list[str], after: list[str]) -> tuple[int, int]:
    """How many lines are the same at the start and, of the rest, at the end."""
    shortest = min(len(before), len(after))
    start = next((n for n in range(shortest) if before[n] != after[n]), shortest)
    rest = shortest - start
    end = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    return start, end


def _range(before: str, after: str) -> dict[str, Any]:
    """Whole lines, so that no encoding of columns matters."""
    old, new = _split(before), _split(after)
    start, end = _common(old[:-1], new[:-1]) if old[-1] == new[-1] else (_common(old, new)[0], 0)
    start = min(start, len(old) - 1)
    stop = len(old) - 1 - end
    last = {"line": stop, "character": 0}
    if old[-1] != new[-1]:
        last = {"line": len(old) - 1, "character": 2**31 - 1}
    return {"start": {"line": start, "character": 0}, "end": last}


def _middle(before: str, after: str) -> str:
    """What stands in the place of that range."""
    old, new = _split(before), _split(after)
    newline = "\r\n" if "\r\n" in after else "\n"
    if old[-1] != new[-1]:
        start = min(_common(old, new)[0], len(old) - 1)
        return newline.join(new[start:])
    start, end = _common(old[:-1], new[:-1])
    start = min(start, len(old) - 1)
    return "".join(line + newline for line in new[start : len(new) - 1 - end])
