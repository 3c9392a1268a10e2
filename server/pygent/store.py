"""The store: sessions, their events and tasks in one SQLite file in the state folder.

The store is the truth: an event is committed here before anyone is shown it, and everything else (the
model's message list, task logs, a second window) is read back from it.  WAL mode with `synchronous=NORMAL`
keeps every commit through a kill -9 of the process (sqlite.org/wal.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pygent.asked import AskedRecords
from pygent.errors import PygentError
from pygent.events import AnyEvent, Checkpoint, Envelope
from pygent.leases import Owner
from pygent.records import Mail, SessionInfo, now_ms
from pygent.schema import open_database
from pygent.task_records import TaskRecords

FREE = "Free disk space or rights."

_event = msgspec.json.Decoder(AnyEvent)
_session = msgspec.json.Decoder(SessionInfo)
_mail = msgspec.json.Decoder(Mail)
_encode = msgspec.json.Encoder().encode
_KIND = "substr(CAST(substr(body, 10, 24) AS TEXT), 1, instr(CAST(substr(body, 10, 24) AS TEXT), '\"')-1)"
"""The type of an event, without decoding it: it stands first, as `{"type":"…"`."""


class Store(TaskRecords, AskedRecords):
    """The records of one state folder; several processes may have it open.

    Raises PygentError (`conflict`) when the file can't be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pygent.db"
        try:
            self.owner = Owner(folder / "owners")
        except OSError as error:
            raise PygentError(
                "conflict", f"The state folder {folder} can't be used: {error.strerror}.", FREE
            ) from error
        try:
            self._db = open_database(self.path)
        except (sqlite3.Error, OSError, PygentError) as error:
            self.owner.close()
            raise PygentError(
                "conflict",
                f"The store {self.path} can't be opened: {error.__cause__ or error}.",
                f"{FREE[:-1]}; if it is damaged, move the file away to start a new one.",
            ) from error

    def close(self) -> None:
        """Close the file; what was announced is in it."""
        self._db.close()
        self.owner.close()

    # -- sessions --------------------------------------------------------------------------------

    def save_session(self, info: SessionInfo) -> None:
        """Insert or update a session's record."""
        self._db.execute(
            "INSERT INTO sessions (id, folder, updated_at, task_id, title, body) VALUES (?,?,?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET folder=excluded.folder, updated_at=excluded.updated_at, "
            "title=excluded.title, body=excluded.body",
            (info.id, info.folder_uri, info.updated_at, info.task_id, info.title, _encode(info)),
        )

    def session(self, session_id: str) -> SessionInfo:
        """The session's record; PygentError `notFound`."""
        row = self._db.execute("SELECT body FROM sessions WHERE id=?", (session_id,)).fetchone()
        if row is None:
            raise PygentError("notFound", f"There is no session {session_id}.", "List them: pygent sessions.")
        return _session.decode(row[0])

    def session_ids(self, word: str) -> list[str]:
        """The ids of conversations that are, begin or end with a word; at most two, to tell one from many."""
        rows = self._db.execute(
            "SELECT id FROM sessions WHERE id=:word OR (task_id IS NULL AND length(:word)>3 "
            "AND (substr(id, 1, length(:word))=:word OR substr(id, -length(:word))=:word)) "
            "ORDER BY id=:word DESC LIMIT 2",
            {"word": word},
        )
        found = [session_id for (session_id,) in rows]
        return found[:1] if word in found else found

    def sessions(
        self,
        *,
        folder_uri: str | None = None,
        search: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[SessionInfo], str | None]:
        """A page of conversations, the latest first, without those of tasks, and the next page's cursor.

        Raises PygentError `notFound` for a cursor that is not one.
        """
        where, values = ["task_id IS NULL"], list[str | int]()
        if folder_uri is not None:
            where.append("folder=?")
            values.append(folder_uri)
        if search:
            where.append("title LIKE ? ESCAPE '\\'")
            values.append("%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        if cursor is not None:
            at, _, last = cursor.partition(":")
            if not at.isdigit():
                raise PygentError("notFound", f"{cursor!r} is not a cursor of this list.")
            where.append("(updated_at, id) < (?, ?)")
            values += [int(at), last]
        rows = self._db.execute(
            f"SELECT body FROM sessions WHERE {' AND '.join(where)} "
            "ORDER BY updated_at DESC, id DESC LIMIT ?",
            (*values, limit + 1),
        ).fetchall()
        page = [_session.decode(body) for (body,) in rows[:limit]]
        more = len(rows) > limit and page
        return page, f"{page[-1].updated_at}:{page[-1].id}" if more else None

    def delete_session(self, session_id: str) -> bool:
        """Forget a session and its events; False if there was none."""
        with self._transaction():
            self._db.execute("DELETE FROM events WHERE session_id=?", (session_id,))
            self._db.execute("DELETE FROM mail WHERE session_id=?", (session_id,))
            return self._db.execute("DELETE FROM sessions WHERE id=?", (session_id,)).rowcount > 0

    def copy_events(self, source: str, target: SessionInfo, *, before: int) -> None:
        """Record a session with the events of another up to the number `before`, which keep their numbers.

        Paths of kept outputs, which hold the session's id, are those of the copy.
        """
        with self._transaction():
            self.save_session(target)
            self._db.execute(
                "INSERT INTO events SELECT ?, seq, at, turn_id, NULL, "
                "CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB) FROM events WHERE session_id=? AND seq<?",
                (target.id, f"/outputs/{source}/", f"/outputs/{target.id}/", source, before),
            )

    def claim_session(self, session_id: str) -> bool:
        """Take the right to run turns in a session; False while another living process has it."""
        return self._claim("sessions", session_id)

    def release_session(self, session_id: str) -> None:
        """Give the right back."""
        self._release("sessions", session_id)

    def session_owned(self, session_id: str) -> bool:
        """Whether a living process, this one included, runs a turn in the session."""
        row = self._db.execute("SELECT owner FROM sessions WHERE id=?", (session_id,)).fetchone()
        return row is not None and row[0] is not None and self.owner.alive(row[0])

    # -- events ----------------------------------------------------------------------------------

    def append(
        self,
        session_id: str,
        seq: int,
        event: AnyEvent,
        *,
        turn_id: str | None,
        task_id: str | None,
        takes: int | None = None,
    ) -> Envelope:
        """Commit an event under the next free number from `seq` on, and return it with its place.

        In the same commit it takes the mail of the number `takes` out.
        """
        if isinstance(event, Checkpoint):
            self._keep(event.before, event.after)
        row = (now_ms(), turn_id, task_id, _encode(event))
        if takes is None:
            seq = self._insert(session_id, seq, row)
        else:
            with self._transaction():
                seq = self._insert(session_id, seq, row)
                self._db.execute("DELETE FROM mail WHERE number=?", (takes,))
        return Envelope(
            session_id=session_id, seq=seq, at=row[0], event=event, turn_id=turn_id, task_id=task_id
        )

    def _insert(self, session_id: str, seq: int, row: tuple[object, ...]) -> int:
        while True:
            try:
                self._db.execute("INSERT INTO events VALUES (?,?,?,?,?,?)", (session_id, seq, *row))
            except sqlite3.IntegrityError:
                seq = self.last_seq(session_id) + 1  # another process wrote to the same session
            else:
                return seq

    def last_seq(self, session_id: str) -> int:
        """The number of the session's last event; 0 if there is none."""
        row = self._db.execute("SELECT max(seq) FROM events WHERE session_id=?", (session_id,)).fetchone()
        return row[0] or 0

    def events(
        self, session_id: str, *, after: int = 0, limit: int | None = None, kinds: Sequence[str] = ()
    ) -> list[Envelope]:
        """The session's events with a number above `after`, in order.

        With `kinds` those of a turn are left out that are of other types, which saves decoding them.
        """
        marks = ",".join("?" * len(kinds))
        wanted = f"AND (turn_id IS NULL OR {_KIND} IN ({marks})) " if kinds else ""
        rows = self._db.execute(
            "SELECT seq, at, turn_id, task_id, body FROM events WHERE session_id=? AND seq>? "
            f"{wanted}ORDER BY seq LIMIT ?",
            (session_id, after, *kinds, -1 if limit is None else limit),
        )
        return [
            Envelope(
                session_id=session_id,
                seq=seq,
                at=at,
                turn_id=turn_id,
                task_id=task_id,
                event=_event.decode(body),
            )
            for seq, at, turn_id, task_id, body in rows
        ]

    def last_event(self, session_id: str, kind: str) -> Envelope | None:
        """The session's last event of a type."""
        row = self._db.execute(
            f"SELECT seq FROM events WHERE session_id=? AND {_KIND}=? ORDER BY seq DESC LIMIT 1",
            (session_id, kind),
        ).fetchone()
        return None if row is None else self.events(session_id, after=row[0] - 1, limit=1)[0]

    # -- mail ------------------------------------------------------------------------------------

    def post(
        self, session_id: str, text: str, turn_id: str, *, steers: bool, images: Sequence[str] = ()
    ) -> Mail:
        """Keep a message for a session until its conversation takes it."""
        mail = Mail(number=0, text=text, turn_id=turn_id, steers=steers, images=list(images))
        number = self._db.execute(
            "INSERT INTO mail (session_id, body) VALUES (?,?)", (session_id, _encode(mail))
        ).lastrowid
        return msgspec.structs.replace(mail, number=number or 0)

    def mail(self, session_id: str) -> list[Mail]:
        """The messages that wait for a session, in order."""
        rows = self._db.execute(
            "SELECT number, body FROM mail WHERE session_id=? ORDER BY number", (session_id,)
        ).fetchall()
        return [msgspec.structs.replace(_mail.decode(body), number=number) for number, body in rows]

    # -- snapshots -------------------------------------------------------------------------------

    def snapshots(self, since: int) -> list[str]:
        """Snapshots that are in use: those of tasks, then those that turns made since a time, newest first.

        `since` is in milliseconds since the epoch; older ones are forgotten.
        """
        self._db.execute("DELETE FROM snapshots WHERE at<?", (since,))
        trees = self._db.execute("SELECT tree FROM snapshots ORDER BY at DESC").fetchall()
        given = (tree for task in self.tasks() for tree in (task.base, task.result) if tree)
        return list(dict.fromkeys([*given, *(tree for (tree,) in trees)]))

    def _keep(self, *trees: str) -> None:
        """Remember when snapshots were last made."""
        self._db.executemany(
            "INSERT INTO snapshots VALUES (?,?) ON CONFLICT (tree) DO UPDATE SET at=excluded.at",
            [(tree, now_ms()) for tree in trees],
        )
