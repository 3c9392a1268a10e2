"""Consent and answers: each is resolved exactly once, by whoever speaks first, in this process or another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from pygent.errors import PygentError
from pygent.events import Client
from pygent.records import Approval, Decision, Question
from pygent.store import Store

log = logging.getLogger("pygent.approvals")
Asked = TypeVar("Asked", Approval, Question)
POLL = 0.25
"""Seconds between looks for what other processes answered, while something waits here."""


class Approvals:
    """What waits for somebody, of every process that shares the store, which says whose answer was first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, asyncio.Event] = {}
        self._watch: asyncio.Task[None] | None = None

    def pending(self) -> list[Approval]:
        """The approvals that still wait, the oldest first."""
        return self._store.pending_approvals()

    def respond(self, approval_id: str, decision: Decision, by: str) -> bool:
        """Answer an approval; False if it no longer waits."""
        return self._reply(approval_id, decision, by)

    def answer(self, session_id: str, text: str, by: str) -> bool:
        """Answer the question of a session; False if none waits."""
        question_id = self._store.pending_question(session_id)
        return question_id is not None and self._reply(question_id, text, by)

    async def request(
        self, approval: Approval, clients: Sequence[Client], timeout: float
    ) -> tuple[Decision, str]:
        """Ask every client; the first answer counts, also one that comes by `respond`.

        Without one after `timeout` seconds it is declined.  Returns the decision and who made it.
        """
        asking = [self._ask(approval, client.approve, client.name) for client in clients]
        reply = await self._wait(approval, asking, timeout, patient=True)
        if reply is None:
            said = Decision(decision="decline", feedback=f"Nobody answered within {timeout:g} s.")
            return said, "timeout"
        return msgspec.json.decode(reply[0], type=Decision), reply[1]

    async def ask(self, question: Question, clients: Sequence[Client], timeout: float) -> str | None:
        """Ask every client; the first answer counts.

        None if no client can answer, or nobody does within `timeout` seconds.
        """
        asking = [self._ask(question, client.ask, client.name) for client in clients]
        reply = await self._wait(question, asking, timeout, patient=False)
        return None if reply is None else msgspec.json.decode(reply[0], type=str)

    async def _wait(
        self, asked: Approval | Question, asking: list[Any], timeout: float, *, patient: bool
    ) -> tuple[bytes, str] | None:
        """The first answer; without patience no longer than some client may have one."""
        self._store.post_asked(asked)
        answered = self._waiting[asked.id] = asyncio.Event()
        jobs = [asyncio.ensure_future(one) for one in asking]
        ends: set[asyncio.Future[Any]] = {asyncio.ensure_future(answered.wait())}
        stops = [*jobs, *ends]
        if not patient:
            ends.add(asyncio.gather(*jobs, return_exceptions=True))
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_replies())
        reply = None
        try:
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[asked.id]
            reply = self._store.take_reply(asked.id)
            for one in stops:  # tells the clients that were not the first
                one.cancel()
            await asyncio.wait(stops)  # they ask no longer when it is announced
        return reply

    async def _ask(self, asked: Asked, ask: Callable[[Asked], Awaitable[object]], name: str) -> None:
        """Take a client's answer, if it has one; a client that breaks has none."""
        try:
            reply = await ask(asked)
        except Exception:
            log.exception("a client failed to answer")
            return
        if reply is not None:
            self._reply(asked.id, reply, name)

    def _reply(self, asked_id: str, reply: object, by: str) -> bool:
        resolved = self._store.reply(asked_id, reply, by)
        self._wake()
        return resolved

    def _wake(self) -> None:
        for asked_id in self._store.replied():
            if asked_id in self._waiting:
                self._waiting[asked_id].set()

    async def _watch_replies(self) -> None:
        readable = True
        try:
            while self._waiting:
                readable = self._looked(readable)
                await asyncio.sleep(POLL)
        finally:
            self._watch = None  # whatever ended it, what is asked next is watched again

    def _looked(self, before: bool) -> bool:
        """Look once; False while the store can't be read, which may pass: what waits goes on waiting."""
        try:
            self._wake()
        except PygentError as error:
            if before:
                log.warning("answers of other processes can't be read for now: %s", error.message)
            return False
        return True
