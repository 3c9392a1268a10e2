"""The editors' open documents, as the workspace sees them: the agent reads and edits the buffers."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent import files
from pygent.lsp.base import Declined
from pygent.lsp.buffers import Buffer
from pygent.lsp.changes import text_edits
from pygent.lsp.conversations.open import is_conversation
from pygent.lsp.surrogates import whole

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

PATIENCE = 30.0
"""Seconds for a client to apply an edit."""
SETTLE = 1.0
"""Seconds for the text that an edit made to come back as a `didChange`."""
ANNOTATION = "pygent"


class OpenDocuments:
    """The buffers of one client, and edits of them."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server

    def at(self, path: Path) -> Buffer | None:
        """The open document of a file."""
        return self._server.buffers.at(path)

    async def apply(self, buffer: Buffer, before: str, after: str, label: str) -> bool:
        """Send a versioned edit of what differs; False if that is refused, or the text is another now."""
        async with buffer.editing:
            if whole(buffer.text) != before or self._server.buffers.get(buffer.uri) is not buffer:
                return False
            if before == after:
                return True
            self._server.trusting.edited(buffer)
            edits = text_edits(before, after, buffer.encoding)
            if not await self._send(self._changes(buffer.uri, buffer.version, edits, label), label):
                return False
            await self._settled(buffer, after)
            return True

    async def create(self, path: Path, label: str) -> None:
        """Let the client create a file that is about to be written, so that it can be undone there, too."""
        if self._server.client.apply_edit and self._server.client.creates:
            operation = {"kind": "create", "uri": path.as_uri(), "options": {"ignoreIfExists": True}}
            await self._send(self._annotated({"documentChanges": [operation]}, [operation], label), label)

    async def delete(self, buffer: Buffer, before: str, label: str) -> bool:
        """Let the client delete an open document's file; False if it can't, or has another text by now."""
        client = self._server.client
        if not (client.apply_edit and client.deletes) or whole(buffer.text) != before:
            return False
        operation = {"kind": "delete", "uri": buffer.uri}
        return await self._send(self._annotated({"documentChanges": [operation]}, [operation], label), label)

    def _changes(
        self, uri: str, version: int | None, edits: list[dict[str, Any]], label: str
    ) -> dict[str, Any]:
        if not self._server.client.document_changes:
            return {"changes": {uri: edits}}
        change = {"textDocument": {"uri": uri, "version": version}, "edits": edits}
        return self._annotated({"documentChanges": [change]}, edits, label)

    def _annotated(self, changes: dict[str, Any], parts: list[dict[str, Any]], label: str) -> dict[str, Any]:
        """Name the edit where the client shows such names."""
        if self._server.client.labels:
            for part in parts:
                part["annotationId"] = ANNOTATION
            changes["changeAnnotations"] = {ANNOTATION: {"label": label, "needsConfirmation": False}}
        return changes

    async def _send(self, edit: dict[str, Any], label: str) -> bool:
        if not self._server.client.apply_edit:
            return False
        try:
            params = {"label": label, "edit": edit}
            answer = await self._server.protocol.ask("workspace/applyEdit", params, PATIENCE)
        except Declined:
            return False
        return isinstance(answer, dict) and answer.get("applied") is True

    async def _settled(self, buffer: Buffer, after: str) -> None:
        """Wait until the new text is back, so that nothing is read or edited in between on the old one."""
        deadline = asyncio.get_running_loop().time() + SETTLE
        while _plain(buffer.text) != _plain(after):
            buffer.news.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(buffer.news.wait(), left)
            except asyncio.TimeoutError:
                return


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


class SharedDocuments:
    """`workspace.Documents` over the buffers of every client; of several the one that was typed in last."""

    def __init__(self, connections: Sequence[PygentServer]) -> None:
        self._connections = connections

    def text(self, path: Path) -> str | None:
        """The text of an open document."""
        found = self._find(path)
        return None if found is None else whole(found[1].text)

    async def apply(self, path: Path, before: str, after: str, label: str) -> bool:
        """Edit an open document; False if that was refused or its text is no longer `before`."""
        found = self._find(path)
        return found is not None and await found[0].apply(found[1], before, after, label)

    async def create(self, path: Path, label: str) -> None:
        """Let the editors that do this create a file that is about to be written."""
        for connection in list(self._connections):
            await connection.documents.create(path, label)

    async def delete(self, path: Path, before: str, label: str) -> bool:
        """Let the editor delete the file of an open document; False if it does not."""
        found = self._find(path)
        return found is not None and await found[0].delete(found[1], before, label)

    def dirty(self) -> list[Path]:
        """Open documents whose text is not that of the file; what people say to us is no such work."""
        opened = {
            buffer.path: buffer
            for connection in self._connections
            for buffer in connection.buffers
            if buffer.path is not None and not is_conversation(buffer.uri)
        }
        return [path for path, buffer in opened.items() if _differs(path, buffer.text)]

    def _find(self, path: Path) -> tuple[OpenDocuments, Buffer] | None:
        found = [
            (connection.documents, buffer)
            for connection in self._connections
            if (buffer := connection.documents.at(path)) is not None
        ]
        return max(found, key=lambda pair: pair[1].touched, default=None)


def _differs(path: Path, text: str) -> bool:
    """Whether a file holds another text; a byte order mark, which editors hide, does not count."""
    encoded = whole(text).encode()
    try:
        # The editor names the file, and nothing of it gets further than this comparison.
        data = files.read_chosen(path, len(encoded) + len(codecs.BOM_UTF8))
    except OSError:
        return True
    return data not in (encoded, codecs.BOM_UTF8 + encoded)
