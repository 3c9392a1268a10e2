"""The conversation documents that a client has open."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pygent.errors import PygentError
from pygent.events import Envelope
from pygent.lsp.base import Declined
from pygent.lsp.buffers import Buffer, units
from pygent.lsp.conversations.following import Insertion
from pygent.lsp.conversations.page import Page
from pygent.lsp.conversations.reopening import begins, catch_up
from pygent.lsp.conversations.writer import Writer
from pygent.paths import name_of, path_of
from pygent.records import Approval, Question

if TYPE_CHECKING:
    from pygent.folder import Folder
    from pygent.lsp.server import PygentServer
    from pygent.session import Session

SUFFIX = ".pygent.md"
PATIENCE = 30.0
"""Seconds for a client to apply an edit."""


def is_conversation(uri: str) -> bool:
    """Whether a document is a conversation, by its name; it need not be a file."""
    return name_of(uri).endswith(SUFFIX)


class Conversations:
    """The open conversation documents of one connection."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._pages: dict[str, Page] = {}
        self._left: dict[str, str] = {}
        self._parents: dict[str, str | None] = {}
        self._refreshing = False

    # -- documents -------------------------------------------------------------------------------

    def find(self, uri: str) -> Page | None:
        """The open conversation document of that name, if it is one."""
        return self._pages.get(unquote(uri)) if self._server.buffers.get(uri) is not None else None

    def page(self, uri: str) -> Page:
        """An open conversation document.  Raises PygentError `notFound`."""
        page = self.find(uri)
        if page is None:
            raise PygentError(
                "notFound",
                f"{uri} is not an open conversation.",
                f"Open a document whose name ends in {SUFFIX}.",
            )
        return page

    def opened(self, params: dict[str, Any]) -> None:
        """`textDocument/didOpen`: what was said since it was closed comes in."""
        uri = params["textDocument"]["uri"]
        buffer = self._server.buffers.get(uri)
        if buffer is None or not is_conversation(uri):
            return
        page = Page(uri, self._writer(buffer), self._refresh)
        try:
            session = self.session_of(page) or self._bind_again(page)
            if session is not None:
                catch_up(page, session, self._take_over(session.id, unquote(uri)))
        except PygentError as error:
            self._server.protocol.tell("window/showMessage", {"type": 2, "message": error.message})
        self._pages[unquote(uri)] = page

    def _bind_again(self, page: Page) -> Session | None:
        """The session that a document named when it was closed, if it was closed without being saved.

        One whose first line the person took away, or who now begins with something else, goes on alone.
        """
        left = self._left.pop(unquote(page.uri), None)
        if left is None or not begins(page, self._server.app.sessions.get(left)):
            return None
        page.bind(left)
        page.name_session()
        return self.session_of(page)

    def _take_over(self, session_id: str, uri: str) -> Page | None:
        """The closed document, perhaps of another name, that still follows a turn of the session."""
        for key, page in self._pages.items():
            if page.session_id == session_id and page.running and (key == uri or not self._is_open(page)):
                return self._pages.pop(key)
        return None

    def changed(self, params: dict[str, Any]) -> None:
        """`textDocument/didChange`."""
        uri = params["textDocument"]["uri"]
        page, buffer = self._pages.get(unquote(uri)), self._server.buffers.get(uri)
        if page is not None and buffer is not None:
            page.writer.seen(buffer.text)

    def closed(self, params: dict[str, Any]) -> None:
        """`textDocument/didClose`: a turn that runs goes on, and is kept for when it is opened again."""
        uri = unquote(params["textDocument"]["uri"])
        page = self._pages.get(uri)
        if page is not None:
            if (named := page.named()) is not None:
                self._left[uri] = named
            page.writer.close()
            if not page.running:
                del self._pages[uri]

    def _writer(self, buffer: Buffer) -> Writer:
        uri, client = buffer.uri, self._server.client

        async def apply(sent: Insertion) -> bool:
            return await self._insert(uri, sent)

        def stuck() -> None:
            name = name_of(uri)
            text = (
                f"The editor refuses the edits of {name}; the conversation goes on without being shown there."
            )
            self._server.protocol.tell("window/showMessage", {"type": 2, "message": text})

        return Writer(buffer.text, apply, versioned=client.document_changes, stuck=stuck)

    async def _insert(self, uri: str, sent: Insertion) -> bool:
        """Send an insertion; whether the client made it."""
        server, buffer = self._server, self._server.buffers.get(uri)
        if buffer is None or not server.client.apply_edit:
            return False
        place = _position(buffer, sent.line, sent.character)
        end = place if sent.end is None else _position(buffer, *sent.end)
        text = sent.text.replace("\n", "\r\n") if buffer.lines[0].endswith("\r\n") else sent.text
        edit: dict[str, Any] = {"range": {"start": place, "end": end}, "newText": text}
        changes: dict[str, Any] = {"changes": {buffer.uri: [edit]}}
        if server.client.document_changes:
            identity = {"uri": buffer.uri, "version": buffer.version}
            changes = {"documentChanges": [{"textDocument": identity, "edits": [edit]}]}
        params = {"label": "Pygent: conversation", "edit": changes}
        try:
            answer = await server.protocol.ask("workspace/applyEdit", params, PATIENCE)
        except Declined:
            return False
        return isinstance(answer, dict) and bool(answer.get("applied"))

    # -- sessions --------------------------------------------------------------------------------

    def session_of(self, page: Page) -> Session | None:
        """The session that a document names; None if it names none.  Raises PygentError."""
        page.session_id = named = page.named()
        if named is None:
            return None
        try:
            session = self._server.session(named)
        except PygentError as error:
            page.session_id = None
            fix = "Delete the first line to begin a new conversation."
            raise PygentError(
                error.code, f"The session {named} of the document is not there.", fix
            ) from error
        assert session is not None
        inside = self._inside(page.uri)
        if session.info.task_id is not None or (inside and inside.uri != session.folder.uri):
            page.session_id = None
            place = "a task" if session.info.task_id is not None else f"the folder {session.folder.uri}"
            fix = "Delete the first line to begin a new conversation here."
            raise PygentError("conflict", f"The session {named} of the document belongs to {place}.", fix)
        return session

    def folder_of(self, uri: str) -> Folder:
        """The workspace folder that a document lies in, else the first.  Raises PygentError."""
        return self._inside(uri) or self._server.folder()

    def _inside(self, uri: str) -> Folder | None:
        path = path_of(uri)
        if path is None:
            return None
        real = Path(os.path.realpath(path))
        holds = [folder for folder in self._server.folders() if folder.root in real.parents]
        return max(holds, key=lambda folder: len(folder.root.parts), default=None)

    def hear(self, envelope: Envelope) -> None:
        """Show an event in the documents of its session, or of the session that delegated its task."""
        if not self._pages:
            return
        session_id: str | None = envelope.session_id
        if envelope.task_id is not None:
            if envelope.task_id not in self._parents:
                task = self._server.app.tasks.get(envelope.task_id)
                self._parents[envelope.task_id] = task.parent_session_id
            session_id = self._parents[envelope.task_id]
        for key, page in list(self._pages.items()):
            if page.session_id == session_id:
                page.hear(envelope)
                if not page.running and not self._is_open(page):
                    del self._pages[key]

    async def shows(self, asked: Approval | Question) -> Buffer | None:
        """The open document in which what is asked stands, as soon as it does; None if there is none."""
        if not self._server.client.apply_edit:
            return None
        for page in list(self._pages.values()):
            if page.asks(asked.id) and await page.writer.written() and self._is_open(page):
                return self._server.buffers.get(page.uri)
        return None

    async def attended(self, asked: Approval | Question, patience: float) -> None:
        """Wait while a person may be answering in a document: until it is left alone so many seconds."""
        while (buffer := await self.shows(asked)) is not None:
            touched = buffer.touched
            await asyncio.sleep(patience)
            if buffer.touched == touched:
                return

    def _is_open(self, page: Page) -> bool:
        return self._server.buffers.get(page.uri) is not None

    def _refresh(self) -> None:
        """Have the client ask for the code lenses again, once for all that happens now."""
        if self._server.client.refreshes_lenses and not self._refreshing:
            self._refreshing = True
            self._server.later(self._ask_refresh())

    async def _ask_refresh(self) -> None:
        self._refreshing = False
        with contextlib.suppress(Declined):
            await self._server.protocol.ask("workspace/codeLens/refresh", None, PATIENCE)


def _position(buffer: Buffer, line: int, character: int) -> dict[str, int]:
    text = buffer.lines[line] if line < len(buffer.lines) else ""
    return {"line": line, "character": units(text[:character], buffer.encoding)}
