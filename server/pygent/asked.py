"""What waits for a person, in the store, so that every process can see and answer it: a part of the store."""

from __future__ import annotations

import msgspec

from pygent.leases import Owner
from pygent.records import Approval, Question
from pygent.schema import Records

_approval = msgspec.json.Decoder(Approval)
_encode = msgspec.json.Encoder().encode


class AskedRecords(Records):
    """Approvals and questions as long as the process that asks them lives and waits."""

    owner: Owner

    def post_asked(self, asked: Approval | Question) -> None:
        """Let every process see something that this one waits for."""
        self._db.execute(
            "INSERT INTO asked (id, session_id, kind, owner, body) VALUES (?,?,?,?,?)",
            (asked.id, asked.session_id, type(asked).__name__, self.owner.token, _encode(asked)),
        )

    def pending_approvals(self) -> list[Approval]:
        """Those that nobody has answered, the oldest first."""
        return [_approval.decode(body) for _, body in self._unanswered("Approval")]

    def pending_question(self, session_id: str) -> str | None:
        """The id of the question of a session that nobody has answered, the oldest if there are more."""
        found = self._unanswered("Question", session_id)
        return found[0][0] if found else None

    def reply(self, asked_id: str, reply: object, by: str) -> bool:
        """Answer something, whichever process waits for it; False if it is answered or no longer waits."""
        with self._transaction():
            row = self._db.execute(
                "SELECT owner FROM asked WHERE id=? AND reply IS NULL", (asked_id,)
            ).fetchone()
            if row is None or not self.owner.alive(row[0]):
                return False
            self._db.execute("UPDATE asked SET reply=?, said_by=? WHERE id=?", (_encode(reply), by, asked_id))
            return True

    def replied(self) -> list[str]:
        """What this process asked and has an answer to."""
        rows = self._db.execute(
            "SELECT id FROM asked WHERE owner=? AND reply IS NOT NULL", (self.owner.token,)
        )
        return [asked_id for (asked_id,) in rows]

    def take_reply(self, asked_id: str) -> tuple[bytes, str] | None:
        """Ask no longer; the answer as JSON and who gave it, if anybody did until now."""
        with self._transaction():
            row = self._db.execute("SELECT reply, said_by FROM asked WHERE id=?", (asked_id,)).fetchone()
            self._db.execute("DELETE FROM asked WHERE id=?", (asked_id,))
        return None if row is None or row[0] is None else (row[0], row[1])

    def _unanswered(self, kind: str, session_id: str | None = None) -> list[tuple[str, bytes]]:
        """Ids and records that wait; those whose process died are forgotten."""
        rows = self._db.execute(
            "SELECT id, owner, body FROM asked WHERE kind=:kind AND reply IS NULL "
            "AND (:session IS NULL OR session_id=:session) ORDER BY rowid",
            {"kind": kind, "session": session_id},
        ).fetchall()
        alive = {owner: self.owner.alive(owner) for _, owner, _ in rows}
        for owner in (owner for owner, lives in alive.items() if not lives):
            self._db.execute("DELETE FROM asked WHERE owner=?", (owner,))
        return [(asked_id, body) for asked_id, owner, body in rows if alive[owner]]
