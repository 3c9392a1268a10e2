"""The connection as a front end of the core: events, consent, questions and progress."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.approval_text import facts, title, whole
from pygent.errors import PygentError
from pygent.events import (
    EPHEMERAL,
    Envelope,
    Notice,
    TaskChanged,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from pygent.lsp.base import UNKNOWN, Declined
from pygent.paths import path_of
from pygent.records import Approval, Decision, Question, now_ms

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

log = logging.getLogger("pygent.lsp")
ACTIONS = {"Allow": "accept", "Allow for Session": "acceptForSession", "Deny": "decline", "Cancel": "cancel"}
LEVELS = {"error": 1, "warning": 2, "info": 3}
UNREAD = ["Deny", "Cancel"]
"""What can be answered before the whole was opened."""
OPEN = "Open"
LONGEST, MOST_LINES = 4000, 60
"""Characters and lines up to which a message is trusted to be shown whole."""
PATIENCE = 5.0
"""Seconds without a key press for which an approval is left to the conversation document that shows it."""


class LspFront:
    """`events.Client` over one connection."""

    name = "editor"

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._refused: set[str] = set()
        self._left_out: dict[str, Envelope] = {}
        self._waits: dict[str, Notice] = {}
        self._notified: set[tuple[str | None, str]] = set()

    def emit(self, envelope: Envelope) -> None:
        """Send the event to a client that wants events, progress and messages to one that does not."""
        try:
            self._emit(envelope)
        except Exception:  # the turn goes on, whatever one client's view of it suffers
            log.exception("an event could not be shown")

    def _emit(self, envelope: Envelope) -> None:
        event = envelope.event
        if isinstance(event, Notice) and event.code == "notTrusted":
            self._server.trusting.consider()  # asks, where others only hear of it
        if self._server.options.events:
            self._send(envelope)
        elif isinstance(event, Notice) and not self._shown_otherwise(event):
            self._notify(envelope.turn_id, event)
        if isinstance(event, TurnFinished):
            self._notified = {one for one in self._notified if one[0] != envelope.turn_id}
        self._show_progress(envelope)
        self._server.conversations.hear(envelope)
        self._server.views.hear(envelope)

    def _notify(self, turn_id: str | None, notice: Notice) -> None:
        """Tell a client without events: its log of what is good to know, the person of the rest."""
        params = {"type": LEVELS[notice.level], "message": notice.text}
        if notice.level == "info":
            self._server.protocol.tell("window/logMessage", params, "passing")
        elif (turn_id, notice.text) not in self._notified:
            self._notified.add((turn_id, notice.text))
            self._server.protocol.tell("window/showMessage", params, "stored")

    def _send(self, envelope: Envelope) -> None:
        passing = isinstance(envelope.event, EPHEMERAL)
        body = b'{"jsonrpc":"2.0","method":"pygent/event","params":%s}' % msgspec.json.encode(envelope)
        if not self._server.protocol.outbox.put(body, "passing" if passing else "stored") and not passing:
            self._left_out[envelope.session_id] = envelope

    def caught_up(self) -> None:
        """A client that was slow has read up: tell which stored events it has to read again."""
        for last in self._left_out.values():
            text = f"Events up to {last.seq} were left out: read them with pygent.session.events."
            notice = Notice(level="warning", text=text, code="leftOut")
            self._send(msgspec.structs.replace(last, at=now_ms(), event=notice, turn_id=None))
        self._left_out = {}

    # -- asking ----------------------------------------------------------------------------------

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask by `pygent/approve`, else by a message with buttons, else leave it to others.

        Where a conversation document shows it, the message comes only if nobody answers there: it would take
        the keys of who is typing, and in some editors hide what is to be read.
        """
        if self._server.options.approvals:
            answer = await self._ask("pygent/approve", approval)
            try:
                return msgspec.convert(answer, Decision)
            except msgspec.ValidationError:
                pass  # no answer that we know: the next way
        await self._server.conversations.attended(approval, self._patience(approval))
        message = whole(approval)
        if len(message) <= LONGEST and message.count("\n") < MOST_LINES:
            return _decision(await self._choose(message, list(ACTIONS)))
        return await self._approve_long(approval, message.count("\n") + 1)

    async def _approve_long(self, approval: Approval, lines: int) -> Decision | None:
        """Ask about what no message shows whole: it is to be read in a document before it can be allowed."""
        uri = f"pygent:/approval/{approval.id}.txt"
        head = "\n".join([title(approval), *facts(approval)])[:LONGEST]
        try:
            target = await self._server.views.offer(uri)
        except (OSError, PygentError) as error:
            return self._refuse(f"{title(approval)[:200]}: {lines} lines can't be shown ({error}).")
        message = f"{head}\nIt is too long for a message: read all {lines} lines in {_name(target)} first."
        if self._server.client.shows_documents:
            chosen = await self._choose(message, [OPEN, *UNREAD])
            if chosen != OPEN:
                return _decision(chosen)
            await self._server.views.show(uri)  # where that fails a person can open it by its name
        return _decision(await self._choose(message, list(ACTIONS)))

    def _refuse(self, why: str) -> Decision:
        """Decline what nothing can show, and say so."""
        text = f"Denied, because what can't be read can't be allowed. {why}"
        self._server.protocol.tell("window/showMessage", {"type": LEVELS["warning"], "message": text})
        return Decision(decision="decline", feedback="It could not be shown whole; use a shorter command.")

    async def ask(self, question: Question) -> str | None:
        """Ask by `pygent/ask`, else by a message with the options, else nobody can answer.

        Where a conversation document shows it, the next message there is the answer.
        """
        if self._server.options.questions:
            answer = await self._ask("pygent/ask", question)
            text = answer.get("answer") if isinstance(answer, dict) else None
            if isinstance(text, str):
                return text
        if not question.options or await self._server.conversations.shows(question) is not None:
            return None
        prompt = question.prompt
        if len(prompt) > LONGEST:
            prompt = f"{prompt[:LONGEST]}… ({len(prompt) - LONGEST} more characters)"
        return await self._choose(prompt, question.options)

    def _patience(self, approval: Approval) -> float:
        """Seconds before a message; it comes well before the time limit."""
        session = self._server.app.sessions.get(approval.session_id)
        return min(PATIENCE, session.folder.settings.approvals.timeout / 2)

    async def _choose(self, message: str, options: list[str]) -> str | None:
        params = {
            "type": 2,
            "message": message,
            "actions": [{"title": title} for title in options],
        }
        answer = await self._ask("window/showMessageRequest", params)
        title = answer.get("title") if isinstance(answer, dict) else None
        return title if title in options else None

    async def _ask(self, method: str, params: Any) -> Any:
        """The client's answer; None if it has none, and no second try where it does not know the method."""
        if method in self._refused:
            return None
        try:
            return await self._server.protocol.ask(method, params)
        except Declined as refused:
            if refused.code == UNKNOWN:
                self._refused.add(method)
            return None

    # -- progress --------------------------------------------------------------------------------

    def _show_progress(self, envelope: Envelope) -> None:
        turn_id, event, progress = envelope.turn_id, envelope.event, self._server.works
        if turn_id is None or isinstance(event, (*EPHEMERAL, TaskChanged)):
            return
        self._waits.pop(turn_id, None)
        if isinstance(event, TurnStarted):
            progress.begin(turn_id, self._title(envelope), event.text, lambda: self._cancel(envelope))
        elif isinstance(event, ToolStarted):
            progress.report(turn_id, event.title)
        elif isinstance(event, Notice):
            progress.report(turn_id, event.text)
            if event.retry_at is not None:
                self._server.later(self._count_down(turn_id, event))
        elif isinstance(event, TurnFinished):
            progress.end(turn_id, event.status)

    async def _count_down(self, turn_id: str, notice: Notice) -> None:
        """Say every second how long until a request is sent again, until anything else happens."""
        self._waits[turn_id] = notice
        when = notice.retry_at or 0
        for seconds in range((when - now_ms()) // 1000, 0, -1):
            await asyncio.sleep(max(0, when - now_ms() - seconds * 1000) / 1000)
            if self._waits.get(turn_id) is not notice:
                return
            text = f"Trying again in {seconds} s ({notice.attempt} of {notice.attempts})"
            self._server.works.report(turn_id, text)

    def _shown_otherwise(self, notice: Notice) -> bool:
        """Whether progress shows a wait, or a question what waits for trust, so that no message needs to."""
        return notice.code == "notTrusted" or (notice.code == "retry" and self._server.client.progress)

    def _title(self, envelope: Envelope) -> str:
        if envelope.task_id is None:
            return "Pygent"
        return f"Pygent task: {self._server.app.tasks.get(envelope.task_id).title}"

    def _cancel(self, envelope: Envelope) -> None:
        """End the turn that is shown, or the task."""
        app = self._server.app
        if envelope.task_id is not None:
            self._server.later(app.tasks.cancel(envelope.task_id))
        for session in app.sessions.running():
            if session.turn_id == envelope.turn_id and envelope.task_id is None:
                self._server.later(session.cancel())


def _decision(action: str | None) -> Decision | None:
    """What an action of a message decides; None for none of them."""
    verdict = ACTIONS.get(action or "")
    return None if verdict is None else msgspec.convert({"decision": verdict}, Decision)


def _name(uri: str) -> str:
    """How a person finds a document of ours."""
    return str(path_of(uri) or uri)
