"""Consent and answers: each is resolved exactly once, by whichever client speaks first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pygent.events import Client
from pygent.records import Approval, Decision, Question

log = logging.getLogger("pygent.approvals")
Asked = TypeVar("Asked", Approval, Question)
Reply = TypeVar("Reply", Decision, str)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Asked, Reply]):
    asked: Asked
    answer: asyncio.Future[tuple[Reply, str]]

    def take(self, reply: Reply, by: str) -> bool:
        if self.answer.done():
            return False
        self.answer.set_result((reply, by))
        return True


class Approvals:
    """The approvals of a process that wait for somebody, and its questions."""

    def __init__(self) -> None:
        self._approvals: dict[str, _Waiting[Approval, Decision]] = {}

    def pending(self) -> list[Approval]:
        """Those that still wait, the oldest first."""
        return [waiting.asked for waiting in self._approvals.values()]

    def respond(self, approval_id: str, decision: Decision, by: str) -> bool:
        """Answer an approval; False if it no longer waits."""
        waiting = self._approvals.get(approval_id)
        return waiting is not None and waiting.take(decision, by)

    async def request(
        self, approval: Approval, clients: Sequence[Client], timeout: float
    ) -> tuple[Decision, str]:
        """Ask every client; the first answer counts, also one that comes by `respond`.

        Without one after `timeout` seconds it is declined.  Returns the decision and who made it.
        """
        waiting = self._approvals[approval.id] = _Waiting(approval, _future())
        asking = [asyncio.ensure_future(_ask(waiting, client.approve, client.name)) for client in clients]
        try:
            return await asyncio.wait_for(waiting.answer, timeout)
        except asyncio.TimeoutError:
            said = Decision(decision="decline", feedback=f"Nobody answered within {timeout:g} s.")
            return said, "timeout"
        finally:
            del self._approvals[approval.id]
            _stop(asking)

    async def ask(self, question: Question, clients: Sequence[Client], timeout: float) -> str | None:
        """Ask every client; the first answer counts.

        None if no client can answer, or none does within `timeout` seconds.
        """
        waiting: _Waiting[Question, str] = _Waiting(question, _future())
        asking = [asyncio.ensure_future(_ask(waiting, client.ask, client.name)) for client in clients]
        ends: set[asyncio.Future[Any]] = {waiting.answer, asyncio.gather(*asking)}
        try:
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return waiting.answer.result()[0] if waiting.answer.done() else None
        finally:
            _stop(asking)


def _future() -> asyncio.Future[tuple[Reply, str]]:
    return asyncio.get_running_loop().create_future()


async def _ask(
    waiting: _Waiting[Asked, Reply], ask: Callable[[Asked], Awaitable[Reply | None]], name: str
) -> None:
    """Take a client's answer, if it has one; a client that breaks has none."""
    try:
        reply = await ask(waiting.asked)
    except Exception:
        log.exception("a client failed to answer")
        return
    if reply is not None:
        waiting.take(reply, name)


def _stop(asking: Sequence[asyncio.Task[None]]) -> None:
    """Tell the clients that were not the first that it is answered."""
    for task in asking:
        task.cancel()
