"""What is said to a session while its turn runs: kept in the store until the conversation has it."""

from __future__ import annotations

from collections.abc import Sequence

from pygent.events import Message
from pygent.journal import Journal
from pygent.records import Mail, new_id
from pygent.store import Store


class Mailbox:
    """The mail of one session, put in by any process and taken out by the one that runs its turns.

    A message that steers joins the running turn at its next step; one that is queued begins a turn of its
    own.  Either leaves the store in the same commit in which it enters the conversation, so that a kill -9
    neither loses nor repeats it.
    """

    def __init__(self, session_id: str, store: Store, journal: Journal) -> None:
        self._session_id = session_id
        self._store = store
        self._journal = journal

    def post(self, text: str, *, steers: bool, images: Sequence[str] = ()) -> Mail:
        """Put a message in; it gets the id of the turn that it would begin."""
        return self._store.post(self._session_id, text, new_id("trn"), steers=steers, images=images)

    def hear(self, landed: dict[int, str], turn_id: str) -> bool:
        """Take what steers into the conversation of a turn, and note in `landed` that it did.

        Returns whether there was anything.
        """
        mail = [one for one in self._store.mail(self._session_id) if one.steers]
        for one in mail:
            self._journal.emit(Message(item_id=new_id("itm"), role="user", text=one.text), takes=one.number)
            landed[one.number] = turn_id
        return bool(mail)

    def next(self) -> Mail | None:
        """The first message, to begin a turn with; it stays until the turn has it."""
        mail = self._store.mail(self._session_id)
        return mail[0] if mail else None
