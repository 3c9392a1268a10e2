"""The events of one session: cleaned, committed, folded into the transcript, and only then shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pygent.budget import total
from pygent.deltas import Deltas
from pygent.events import (
    EPHEMERAL,
    AnyEvent,
    Client,
    Envelope,
    Forked,
    Message,
    Notice,
    TurnFinished,
    TurnStarted,
    UsageReported,
)
from pygent.logs import log_event
from pygent.records import NO_USAGE, Failure, now_ms
from pygent.redaction import Redactor
from pygent.store import Store
from pygent.transcript import FOLDED, Transcript
from pygent.visible import visible


class Journal:
    """What happens in a session, in order.

    `turn_id` is the running turn's, None between turns.  `clients` is the live list of those who are shown
    the events; `watch` hears them too.  `redactor` gives the one of the settings in force.
    """

    def __init__(
        self,
        session_id: str,
        task_id: str | None,
        *,
        store: Store,
        transcript: Transcript,
        clients: Sequence[Client],
        watch: Callable[[Envelope], None],
        redactor: Callable[[], Redactor],
    ) -> None:
        self.turn_id: str | None = None
        self.transcript = transcript
        self._session_id = session_id
        self._task_id = task_id
        self._store = store
        self._clients = clients
        self._watch = watch
        self._redactor = redactor
        self._deltas = Deltas(self._show, redactor)
        self._seq = 0
        self.unfinished: str | None = None
        """The turn that began last, until it is finished: between turns, one whose process died."""
        self.steps = 0
        """The model answers of that turn."""
        self.usage = NO_USAGE
        """What that turn has used."""
        self.spent = NO_USAGE
        """What the turns before it have used, and summaries between turns."""

    def emit(self, event: AnyEvent, *, takes: int | None = None) -> None:
        """Commit an event and only then show it; pieces of text are gathered for a moment instead.

        `takes` is the number of the mail that the event brings into the conversation.
        """
        if isinstance(event, EPHEMERAL):
            self._deltas.add(event)
            return
        self._deltas.flush()
        if isinstance(event, Notice):
            event = msgspec.structs.replace(event, text=visible(event.text, keep="\n\t\\"))
        event = self._redactor().record(event)
        envelope = self._store.append(
            self._session_id,
            self._seq + 1,
            event,
            turn_id=self.turn_id,
            task_id=self._task_id,
            takes=takes,
        )
        self._fold(envelope)
        log_event(envelope)
        self._tell(envelope)

    def announce(self, event: AnyEvent) -> None:
        """Commit and show an event that belongs to no turn, such as a task's change."""
        if self.turn_id is None:
            self.catch_up()
        self.emit(event)

    def catch_up(self) -> None:
        """Fold in what was stored since, by another process or before this one."""
        last = self._store.last_seq(self._session_id)
        if last > self._seq:
            for envelope in self._store.events(self._session_id, after=self._seq, kinds=FOLDED):
                self._fold(envelope)
            self._seq = last
            said = self._store.last_event(self._session_id, "usage")
            if self.unfinished is not None and said is not None and said.turn_id == self.unfinished:
                self._fold(said)

    def broke_off(self) -> bool:
        """Whether the last turn has no end; found out without reading the whole session."""
        began = self._store.last_event(self._session_id, "turnStarted")
        ended = self._store.last_event(self._session_id, "turnFinished")
        return began is not None and (ended is None or ended.seq < began.seq)

    def end_unfinished(self) -> None:
        """End a turn whose process died, so that every turn has its end."""
        if self.unfinished is not None:
            self.turn_id = self.unfinished
            failure = Failure(code="interrupted", message="The program ended during this turn.")
            self.emit(TurnFinished(status="failed", reply="", usage=self.usage, error=failure))
            self.turn_id = None

    def _fold(self, envelope: Envelope) -> None:
        self._seq = envelope.seq
        self.transcript.apply(envelope.event, envelope.seq)
        match envelope.event:
            case TurnStarted():
                self.unfinished = envelope.turn_id
                self.usage, self.steps = NO_USAGE, 0
            case Message(role="assistant"):
                self.steps += 1
            case Forked():  # what it has inherited was paid by the other
                self.spent = NO_USAGE
            case UsageReported(usage=usage) if envelope.turn_id is None:  # a summary between turns
                self.spent = total(self.spent, usage)
            case UsageReported(usage=usage):
                self.usage = usage
            case TurnFinished(usage=usage):
                self.unfinished = None
                self.spent = total(self.spent, usage)
                self.usage, self.steps = NO_USAGE, 0
            case _:
                pass

    def _show(self, event: AnyEvent) -> None:
        self._tell(
            Envelope(
                session_id=self._session_id,
                seq=self._seq,
                at=now_ms(),
                event=event,
                turn_id=self.turn_id,
                task_id=self._task_id,
            )
        )

    def _tell(self, envelope: Envelope) -> None:
        for client in self._clients:
            client.emit(envelope)
        self._watch(envelope)
