"""A conversation as it is stored: its record, its events, and what is read back from them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pygent import transcript
from pygent.events import ChangeMade, Envelope, QuestionAsked, TurnFinished
from pygent.folder import Folder
from pygent.records import Change, Persona, SessionInfo, TurnResult, now_ms
from pygent.store import Store
from pygent.tasks import pick_persona


class Conversation:
    """The stored side of a session.  `info` is its record, `folder` the workspace folder it works in."""

    def __init__(self, info: SessionInfo, store: Store, folder: Folder) -> None:
        self.info = info
        self.folder = folder
        self._store = store

    @property
    def id(self) -> str:
        """The session's id."""
        return self.info.id

    @property
    def last_seq(self) -> int:
        """The number of the last stored event."""
        return self._store.last_seq(self.id)

    def events(self, after: int = 0, limit: int | None = None) -> list[Envelope]:
        """Stored events with a number above `after`."""
        return self._store.events(self.id, after=after, limit=limit)

    def last_result(self) -> TurnResult | None:
        """How the last turn ended, as far as that is stored; None before the first end."""
        envelope = self._store.last_event(self.id, "turnFinished")
        return None if envelope is None else self.result_of(envelope.turn_id or "")

    def result_of(self, turn_id: str) -> TurnResult | None:
        """How a turn ended, as far as that is stored; None without an end."""
        events = [one.event for one in self.events() if one.turn_id == turn_id]
        if not events or not isinstance(end := events[-1], TurnFinished):
            return None
        changes = {event.uri: event.kind for event in events if isinstance(event, ChangeMade)}
        questions = [event.question for event in events if isinstance(event, QuestionAsked)]
        return TurnResult(
            session_id=self.id,
            turn_id=turn_id,
            status=end.status,
            reply=end.reply,
            changes=[Change(uri=uri, kind=kind) for uri, kind in changes.items()],
            usage=end.usage,
            question=questions[-1] if questions and end.status == "needsInput" else None,
            error=end.error,
        )

    def messages(self) -> list[dict[str, Any]]:
        """The conversation, as `pygent.session.get` gives it."""
        return transcript.conversation(self.events())

    def export(self, form: Literal["md", "json"]) -> str:
        """The conversation as a document."""
        return transcript.export(self.info.title or "Conversation", self.events(), form)

    @property
    def persona(self) -> Persona:
        """The persona that speaks in this session."""
        return self.info.persona

    def use_persona(self, name: str) -> Persona:
        """Let another persona speak from the next turn on.  Raises PygentError `notFound`."""
        persona = pick_persona(self.folder.personas(), name, 0)
        assert persona is not None
        self._save(persona=persona)
        return persona

    def use_model(self, name: str) -> None:
        """Use another model of the same endpoint from the next turn on."""
        self._save(model=name)

    def rename(self, title: str) -> SessionInfo:
        """Give the session another title."""
        self._save(title=title)
        return self.info

    def _save(self, **changes: Any) -> None:
        self.info = msgspec.structs.replace(self.info, updated_at=now_ms(), **changes)
        self._store.save_session(self.info)
