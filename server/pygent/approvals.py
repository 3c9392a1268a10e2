"""Consent and answers: each is resolved exactly once, by whichever client speaks first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pygent.events import Client
from pygent.records import Approval, Decision, Question

log = logging.getLogger("pygent.approvals")
Asked = TypeVar("Asked")
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class _Waiting:
    approval: Approval
    answer: asyncio.Future[tuple[Decision, str]]


class Approvals:
    """The approvals of a process that wait for somebody."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def pending(self) -> list[Approval]:
        """Those that still wait, the oldest first."""
        return [waiting.approval for waiting in self._waiting.values()]

    def respond(self, approval_id: str, decision: Decision, by: str) -> bool:
        """Answer one; False if it no longer waits."""
        waiting = self._waiting.get(approval_id)
        if waiting is None or waiting.answer.done():
            return False
        waiting.answer.set_result((decision, by))
        return True

    async def request(
        self, approval: Approval, clients: Sequence[Client], timeout: float
    ) -> tuple[Decision, str]:
        """Ask every client; the first answer counts, also one that comes by `respond`.

        Without one after `timeout` seconds it is declined.  Returns the decision and who made it.
        """
        answer: asyncio.Future[tuple[Decision, str]] = asyncio.get_running_loop().create_future()
        self._waiting[approval.id] = _Waiting(approval, answer)
        asked = [asyncio.ensure_future(self._ask(client, approval)) for client in clients]
        try:
            return await asyncio.wait_for(answer, timeout)
        except asyncio.TimeoutError:
            said = Decision(decision="decline", feedback=f"Nobody answered within {timeout:g} s.")
            return said, "timeout"
        finally:
            del self._waiting[approval.id]
            for task in asked:
                task.cancel()

    async def _ask(self, client: Client, approval: Approval) -> None:
        decision = await _reply(client.approve, approval)
        if decision is not None:
            self.respond(approval.id, decision, client.name)


async def first_answer(question: Question, clients: Sequence[Client]) -> str | None:
    """Ask every client a question; the first answer counts, None if nobody can answer."""
    asked = [asyncio.ensure_future(_reply(client.ask, question)) for client in clients]
    try:
        for answer in asyncio.as_completed(asked):
            if (text := await answer) is not None:
                return text
        return None
    finally:
        for task in asked:
            task.cancel()


async def _reply(ask: Callable[[Asked], Awaitable[Reply]], of: Asked) -> Reply | None:
    """A client's answer; a client that breaks has none."""
    try:
        return await ask(of)
    except Exception:
        log.exception("a client failed to answer")
        return None
