"""The connection as a front end of the core: events, consent, questions and progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.events import Envelope, Notice, ToolStarted, TurnFinished, TurnStarted
from pygent.lsp.base import Declined
from pygent.records import Approval, Decision, Question

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

ACTIONS = {"Allow": "accept", "Allow for Session": "acceptForSession", "Deny": "decline", "Cancel": "cancel"}
LEVELS = {"error": 1, "warning": 2, "info": 3}


class LspFront:
    """`events.Client` over one connection."""

    name = "editor"

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._progress: dict[str, str | int] = {}
        self._creating: set[asyncio.Task[None]] = set()

    def emit(self, envelope: Envelope) -> None:
        """Send the event to a client that wants events, progress and messages to one that does not."""
        server = self._server
        if server.options.events:
            server.protocol.send(
                b'{"jsonrpc":"2.0","method":"pygent/event","params":%s}' % msgspec.json.encode(envelope)
            )
        elif isinstance(envelope.event, Notice) and envelope.event.level != "info":
            params = {"type": LEVELS[envelope.event.level], "message": envelope.event.text}
            server.protocol.tell("window/showMessage", params)
        server.conversations.hear(envelope)
        self._show_progress(envelope)

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask by `pygent/approve`, else by a message with buttons, else leave it to others."""
        server = self._server
        try:
            if server.options.approvals:
                answer = await server.protocol.ask("pygent/approve", approval)
                return msgspec.convert(answer, Decision)
            if not server.client.messages:
                return None
            detail = approval.diff or approval.detail
            isolation = "NO SANDBOX" if approval.isolation == "local" else approval.isolation
            answer = await self._choose(f"{approval.title} ({isolation}): {detail}"[:4000], list(ACTIONS))
        except (Declined, msgspec.ValidationError):
            return None
        verdict = ACTIONS.get(answer or "")
        return None if verdict is None else msgspec.convert({"decision": verdict}, Decision)

    async def ask(self, question: Question) -> str | None:
        """Ask by `pygent/ask`, else by a message with the options, else nobody can answer."""
        server = self._server
        try:
            if server.options.questions:
                answer = await server.protocol.ask("pygent/ask", question)
                text = answer.get("answer") if isinstance(answer, dict) else None
                return text if isinstance(text, str) else None
            if question.options and server.client.messages:
                return await self._choose(question.prompt, question.options)
        except Declined:
            pass
        return None

    def use_token(self, turn_id: str, token: str | int) -> None:
        """Show a turn's progress under the token of the request that began it."""
        self._progress[turn_id] = token

    async def _choose(self, message: str, options: list[str]) -> str | None:
        params = {"type": 2, "message": message, "actions": [{"title": title} for title in options]}
        answer = await self._server.protocol.ask("window/showMessageRequest", params)
        title = answer.get("title") if isinstance(answer, dict) else None
        return title if title in options else None

    # -- progress --------------------------------------------------------------------------------

    def _show_progress(self, envelope: Envelope) -> None:
        turn_id, event = envelope.turn_id, envelope.event
        if turn_id is None:
            return
        if isinstance(event, TurnStarted):
            title = "Pygent task" if envelope.task_id else "Pygent"
            begin = {"kind": "begin", "title": title, "message": event.text[:80], "cancellable": True}
            self._begin(turn_id, begin)
        elif turn_id in self._progress and isinstance(event, ToolStarted):
            self._report(turn_id, {"kind": "report", "message": event.title[:120]})
        elif turn_id in self._progress and isinstance(event, TurnFinished):
            self._report(turn_id, {"kind": "end", "message": event.status})
            del self._progress[turn_id]

    def _begin(self, turn_id: str, value: dict[str, Any]) -> None:
        if turn_id in self._progress:
            self._report(turn_id, value)
        elif self._server.client.progress:
            task = asyncio.ensure_future(self._create(turn_id, value))
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)

    async def _create(self, turn_id: str, value: dict[str, Any]) -> None:
        try:
            await self._server.protocol.ask("window/workDoneProgress/create", {"token": turn_id}, 30)
        except Declined:
            return
        if any(session.turn_id == turn_id for session in self._server.app.sessions.running()):
            self._progress[turn_id] = turn_id
            self._report(turn_id, value)

    def _report(self, turn_id: str, value: dict[str, Any]) -> None:
        self._server.protocol.tell("$/progress", {"token": self._progress[turn_id], "value": value})

    def turn_of(self, token: str | int) -> str | None:
        """The turn that a progress token stands for."""
        return next((turn for turn, known in self._progress.items() if known == token), None)
