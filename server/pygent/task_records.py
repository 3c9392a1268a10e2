"""The records of delegated tasks, and who may run them: a part of the store."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable

import msgspec

from pygent.errors import PygentError
from pygent.leases import Owner
from pygent.records import Failure, Task
from pygent.schema import Records

UNFINISHED = ("queued", "running", "waiting")
_UNFINISHED = str(UNFINISHED)

_task = msgspec.json.Decoder(Task)
_encode = msgspec.json.Encoder().encode


class TaskRecords(Records):
    """Tasks as they stand, whichever process runs them."""

    owner: Owner

    def save_task(self, task: Task) -> None:
        """Insert or update a task's record; a new one is this process's to run."""
        if task.queue_place is not None:  # it is told, not kept
            task = msgspec.structs.replace(task, queue_place=None)
        self._db.execute(
            "INSERT INTO tasks (id, parent, status, owner, body) VALUES (?,?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET status=excluded.status, body=excluded.body",
            (task.id, task.parent_session_id, task.status, self.owner.token, _encode(task)),
        )

    def task(self, task_id: str) -> Task:
        """The task as it stands: one whose process died is `interrupted`.  PygentError `notFound`."""
        row = self._db.execute("SELECT owner, body FROM tasks WHERE id=?", (task_id,)).fetchone()
        if row is None:
            raise PygentError("notFound", f"There is no task {task_id}.", "List them: pygent tasks.")
        return self._standing(row[0], row[1], self.owner.alive, self._place)

    def tasks(
        self,
        *,
        status: str | None = None,
        session_id: str | None = None,
        folder_uri: str | None = None,
        limit: int | None = None,
    ) -> list[Task]:
        """Tasks as they stand, the latest first; of one status, session or folder if asked."""
        rows = self._db.execute(
            "SELECT owner, body FROM tasks WHERE (:parent IS NULL OR parent=:parent) "
            f"AND (:status IS NULL OR status=:status OR :status='interrupted' AND status IN {_UNFINISHED}) "
            "AND (:folder IS NULL OR id IN (SELECT task_id FROM sessions WHERE folder=:folder)) "
            "ORDER BY id DESC",
            {"parent": session_id, "status": status, "folder": folder_uri},
        )
        alive, places = functools.cache(self.owner.alive), self._places()
        found = (
            self._standing(owner, body, alive, lambda _, task_id: places.get(task_id)) for owner, body in rows
        )
        return list(itertools.islice((task for task in found if status in (None, task.status)), limit))

    def count_tasks(self, session_id: str | None) -> int:
        """How many tasks a session has delegated; without one, those that no session did."""
        return int(
            self._db.execute("SELECT count(*) FROM tasks WHERE parent IS ?", (session_id,)).fetchone()[0]
        )

    def _standing(
        self,
        owner: str | None,
        body: bytes,
        alive: Callable[[str], bool],
        place: Callable[[str, str], int | None],
    ) -> Task:
        task = _task.decode(body)
        if task.status not in UNFINISHED or (task.status == "waiting" and owner is None):
            return task
        if owner is not None and alive(owner):
            if task.status != "queued":
                return task
            return msgspec.structs.replace(task, queue_place=place(owner, task.id))
        gone = Failure(code="interrupted", message="The program that ran it ended; the next one goes on.")
        return msgspec.structs.replace(task, status="interrupted", error=gone)

    def _place(self, owner: str, task_id: str) -> int:
        """The place of one task in its process's queue."""
        ahead = "SELECT count(*) FROM tasks WHERE status='queued' AND owner=? AND id<=?"
        return int(self._db.execute(ahead, (owner, task_id)).fetchone()[0])

    def _places(self) -> dict[str, int]:
        """The places of all queued tasks, each in its own process's queue."""
        rows = self._db.execute("SELECT owner, id FROM tasks WHERE status='queued' ORDER BY owner, id")
        queues = itertools.groupby(rows, lambda row: row[0])
        return {task_id: place for _, queue in queues for place, (_, task_id) in enumerate(queue, 1)}

    def has_task(self, task_id: str) -> bool:
        """Whether there is a record of a task."""
        return self._db.execute("SELECT 1 FROM tasks WHERE id=?", (task_id,)).fetchone() is not None

    def delete_task(self, task_id: str) -> bool:
        """Forget a task's record; False if there was none."""
        return self._db.execute("DELETE FROM tasks WHERE id=?", (task_id,)).rowcount > 0

    def claim_task(self, task_id: str) -> bool:
        """Take the right to run a task; False while another living process has it."""
        claimed = self._claim("tasks", task_id)
        if claimed:
            self._db.execute("UPDATE tasks SET cancel_requested=0 WHERE id=?", (task_id,))
        return claimed

    def release_task(self, task_id: str) -> None:
        """Give the right back."""
        self._release("tasks", task_id)

    def task_is_free(self, task_id: str) -> bool:
        """Whether nobody has the right to run a task: it has ended, or waits for an answer."""
        row = self._db.execute("SELECT owner FROM tasks WHERE id=?", (task_id,)).fetchone()
        return row is None or row[0] is None

    def abandoned_tasks(self) -> list[Task]:
        """Tasks that are not finished and whose process is gone; one that waits for an answer needs none."""
        rows = self._db.execute(
            f"SELECT owner, body FROM tasks WHERE status IN {_UNFINISHED} "
            "AND (owner IS NOT NULL OR status<>'waiting') ORDER BY id"
        ).fetchall()
        return [_task.decode(body) for owner, body in rows if owner is None or not self.owner.alive(owner)]

    def request_cancel(self, task_id: str) -> None:
        """Ask whichever process runs the task to cancel it."""
        self._db.execute("UPDATE tasks SET cancel_requested=1 WHERE id=?", (task_id,))

    def cancel_requests(self, task_ids: Iterable[str]) -> list[str]:
        """Those of the tasks that another process wants cancelled."""
        wanted = set(task_ids)
        rows = self._db.execute(
            f"SELECT id FROM tasks WHERE status IN {_UNFINISHED} AND owner=? AND cancel_requested=1",
            (self.owner.token,),
        )
        return [task_id for (task_id,) in rows if task_id in wanted]

    # -- leases ----------------------------------------------------------------------------------

    def _claim(self, table: str, key: str) -> bool:
        with self._transaction():
            row = self._db.execute(f"SELECT owner FROM {table} WHERE id=?", (key,)).fetchone()
            if row is None or (row[0] not in (None, self.owner.token) and self.owner.alive(row[0])):
                return False
            self._db.execute(f"UPDATE {table} SET owner=? WHERE id=?", (self.owner.token, key))
            return True

    def _release(self, table: str, key: str) -> None:
        self._db.execute(f"UPDATE {table} SET owner=NULL WHERE id=? AND owner=?", (key, self.owner.token))
