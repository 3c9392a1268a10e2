"""Work-done progress: what runs, how far it is, and a cancel that ends the real work.

A token is the client's own, out of a request's `workDoneToken`, or one that we made with
`window/workDoneProgress/create`; a client that takes neither is shown none.  Every progress that was begun is
ended, and its token forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pygent.lsp.base import Declined

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

PATIENCE = 30.0
"""Seconds for a client to take a token."""
Token = str | int


class Work:
    """Something that runs and is shown; `cancel` ends it."""

    def __init__(self, token: Token, title: str, message: str, cancel: Callable[[], object]) -> None:
        self.token = token
        self.title = title
        self.message = message
        self.cancel = cancel
        self.begun = False
        self.ended: str | None = None


class Progress:
    """The progress that one client is shown, by keys of our own."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._works: dict[str, Work] = {}
        self._creating: set[asyncio.Task[None]] = set()

    def begin(
        self,
        key: str,
        title: str,
        message: str,
        cancel: Callable[[], object],
        token: Token | None = None,
    ) -> None:
        """Show that something runs, under the client's token or a new one."""
        if key in self._works or (token is None and not self._server.client.progress):
            return
        work = self._works[key] = Work(key if token is None else token, title, message[:120], cancel)
        if token is not None:
            self._show(work)
            return
        task = asyncio.ensure_future(self._create(key, work))
        self._creating.add(task)
        task.add_done_callback(self._creating.discard)

    def adopt(self, key: str, of: str, message: str, cancel: Callable[[], object]) -> None:
        """Show something under the token of what began it, if that has one."""
        if (work := self._works.get(of)) is not None:
            work.cancel = cancel
            self._works[key] = work
            self.report(key, message)

    def report(self, key: str, message: str) -> None:
        """Say how far it is."""
        work = self._works.get(key)
        if work is not None:
            work.message = message[:120]
            if work.begun:
                self._tell(work, {"kind": "report", "message": work.message})

    def end(self, key: str, message: str = "") -> None:
        """Show that it has ended, and forget the token."""
        work = self._works.get(key)
        if work is None:
            return
        self._works = {other: one for other, one in self._works.items() if one is not work}
        work.ended = message
        if work.begun:
            self._tell(work, {"kind": "end", "message": message})

    def cancelled(self, params: dict[str, Any]) -> None:
        """`window/workDoneProgress/cancel`: end the real work; its end ends the progress."""
        token = params.get("token")
        work = next((one for one in self._works.values() if one.token == token), None)
        if work is not None:
            work.cancel()

    def tokens(self) -> list[Token]:
        """The tokens in use."""
        return [work.token for work in self._works.values()]

    async def _create(self, key: str, work: Work) -> None:
        try:
            await self._server.protocol.ask("window/workDoneProgress/create", {"token": work.token}, PATIENCE)
        except Declined:
            self._works.pop(key, None)
            return
        self._show(work)
        if work.ended is not None:  # it was quicker than the client
            self._tell(work, {"kind": "end", "message": work.ended})

    def _show(self, work: Work) -> None:
        work.begun = True
        begin = {"kind": "begin", "title": work.title, "message": work.message, "cancellable": True}
        self._tell(work, begin)

    def _tell(self, work: Work, value: dict[str, Any]) -> None:
        kind = "passing" if value["kind"] == "report" else "must"
        self._server.protocol.tell("$/progress", {"token": work.token, "value": value}, kind)  # type: ignore[arg-type]
