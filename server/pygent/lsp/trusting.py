"""The person's word for a folder's settings: what they save in the editor, and one question for the rest.

Where the editor trusts a folder, a settings file that the person saves in it stays trusted.  That holds only
for text that came to us as typing: not for what the editor read from a file that somebody else had changed,
nor for edits of the agent's.  Whatever else changes waits for an answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp.base import Declined
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.folder import Folder
    from pygent.lsp.buffers import Buffer
    from pygent.lsp.server import PygentServer

EMPTY = hashlib.sha256(b"").hexdigest()
TRUST, LATER = "Trust", "Not now"
MOST = 12
"""Settings that the question lists; of more, their number, and the way to all of them."""


class Trusting:
    """What one client's person trusts."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._foreign: set[str] = set()
        self._saved: dict[Path, dict[str, str | None]] = {}
        self._asked: set[tuple[Path, frozenset[tuple[str, str]]]] = set()

    # -- the person's own text ---------------------------------------------------------------------

    def opened(self, params: dict[str, Any]) -> None:
        """`textDocument/didOpen`: a text from a file that nobody trusted is not the person's."""
        buffer, folder = self._of(params)
        if buffer is not None and folder is not None:
            self.looked(folder, folder.refresh())
            if not self._is_accepted(folder, buffer):
                self._foreign.add(buffer.uri)

    def changed(self, params: dict[str, Any]) -> None:
        """`textDocument/didChange`: a text that equals the file was read from it, and not typed."""
        buffer, folder = self._of(params)
        if buffer is not None and folder is not None:
            self.looked(folder, folder.refresh())
            if self._is_on_disk(folder, buffer) and not self._is_accepted(folder, buffer):
                self._foreign.add(buffer.uri)

    def edited(self, buffer: Buffer) -> None:
        """The agent edits a document: what is saved of it is no longer the person's word."""
        if self._folder(buffer.path) is not None:
            self._foreign.add(buffer.uri)

    def looked(self, folder: Folder, names: list[str]) -> None:
        """Files have changed on disk: what the editor reads from them from now on is not the person's."""
        for name in names:
            buffer = self._server.buffers.at(folder.root / name)
            if buffer is not None and not self._is_on_disk(folder, buffer):
                self._foreign.add(buffer.uri)
        if names:
            asyncio.get_running_loop().call_soon(self.consider)

    def saved(self, params: dict[str, Any]) -> None:
        """`textDocument/didSave`: the person's own text stays trusted where the editor trusts the folder."""
        buffer, folder = self._of(params)
        if buffer is None or buffer.path is None or folder is None:
            return
        self.looked(folder, folder.refresh())
        if buffer.uri in self._foreign or not self._is_on_disk(folder, buffer):
            return
        saved = self._saved.setdefault(folder.root, {})
        saved[folder.look.name(buffer.path)] = folder.look.marks.get(folder.look.name(buffer.path))
        changed = folder.changed
        if self._server.roots.trusts(folder.root) and all(
            name in saved and folder.look.marks.get(name) == saved[name] for name in changed
        ):
            folder.accept(folder.look, keep=False)

    def _of(self, params: dict[str, Any]) -> tuple[Buffer | None, Folder | None]:
        buffer = self._server.buffers.get(params["textDocument"]["uri"])
        return buffer, None if buffer is None else self._folder(buffer.path)

    def _folder(self, path: Path | None) -> Folder | None:
        """The open folder whose settings, or whose files that they name, a path is of."""
        if path is None:
            return None
        return next((one for one in self._server.roots.opened() if one.look.watches(path)), None)

    def _is_accepted(self, folder: Folder, buffer: Buffer) -> bool:
        """Whether a file is as the person trusted it, or not there, or empty, as editors make new ones."""
        name = "" if buffer.path is None else folder.look.name(buffer.path)
        return name not in folder.changed or folder.look.marks.get(name) in (None, EMPTY)

    def _is_on_disk(self, folder: Folder, buffer: Buffer) -> bool:
        return buffer.path is not None and folder.look.says(buffer.path, buffer.text)

    # -- the question ------------------------------------------------------------------------------

    def consider(self) -> None:
        """Ask about each folder whose files want what only trusted ones get, once for what they are."""
        try:
            folders = self._server.folders()
        except PygentError:
            return
        for folder in folders:
            state = (folder.root, frozenset(folder.look.marks.items()))
            if folder.held() and state not in self._asked:
                self._asked.add(state)
                self._server.later(self._ask(folder))

    async def _ask(self, folder: Folder) -> None:
        look = folder.look
        message = self.question(folder)
        params = {"type": 2, "message": message, "actions": [{"title": TRUST}, {"title": LATER}]}
        try:
            answer = await self._server.protocol.ask("window/showMessageRequest", params)
        except Declined:
            self._server.protocol.tell("window/showMessage", {"type": 2, "message": message})
            return
        if isinstance(answer, dict) and answer.get("title") == TRUST:
            folder.accept(look)
            self.accepted(folder)

    def question(self, folder: Folder) -> str:
        """What would change, in a message."""
        listed = folder.config.would_change()
        told = folder.told or f"The settings files of {folder.root.name} are not trusted. {folder.held()}"
        if not listed:
            return told
        wanted = "; ".join(f"{one['key']} = {_brief(one['value'])}" for one in listed[:MOST])
        more = "" if len(listed) <= MOST else f"; and {len(listed) - MOST} more (pygent.config.show has all)"
        files = ", ".join(sorted({name for one in listed for name in one.get("files", ())})[:MOST])
        named = f" These files would be trusted, too: {files}." if files else ""
        return f"{told} They would set: {wanted}{more}.{named}"

    def accepted(self, folder: Folder) -> None:
        """The person has accepted what lies in the folder, so that open texts of it are theirs again."""
        self._foreign = {uri for uri in self._foreign if self._folder(path_of(uri)) is not folder}
        self._server.publish()


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
