"""Delegated work: each task a session of its own, in a workspace and a sandbox of its own."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from pygent import snapshots
from pygent.approvals import Approvals
from pygent.errors import PygentError
from pygent.events import Client, TaskChanged
from pygent.folder import Folder
from pygent.queue import EmbeddedQueue
from pygent.records import NO_USAGE, Persona, SessionInfo, Task, TurnResult, new_id, now_ms
from pygent.redaction import Redactor
from pygent.results import Results, has_begun
from pygent.sessions import Sessions, new_info
from pygent.shadow import Shadow
from pygent.store import Store
from pygent.task_folders import DAY, TaskFolders, older, remove
from pygent.tasks import FINISHED, Limits, Progress, failure_of, has_ended, pick_persona

log = logging.getLogger("pygent.tasks")
KEPT_DAYS, SNAPSHOT_BYTES = 30, 2 << 30
"""For how long a turn can be undone and a task keeps its folder, and the space for all snapshots."""
CLEAN_AFTER = 20.0
"""Seconds after the start, when the person is served, in which the clean-up begins."""


@dataclass(frozen=True, slots=True)
class DelegateRequest:
    """Work to delegate; `timeout` and `step_timeout` in seconds, None for the settings' own."""

    prompt: str
    folder: Folder
    persona: str | Persona | None = None
    files: Sequence[str] = ()
    session_id: str | None = None
    isolation: Literal["copy", "files"] | None = None
    timeout: float | None = None
    step_timeout: float | None = None


class Tasks:
    """The tasks of every process that shares the store; those of this one run in its queue."""

    def __init__(
        self, sessions: Sessions, store: Store, approvals: Approvals, clients: Sequence[Client]
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._approvals = approvals
        self._clients = clients
        self._shadow = Shadow(sessions.launch.state / "shadow.git")
        self._folders = TaskFolders(sessions.launch.state, self._shadow)
        self._queue = EmbeddedQueue(store, self._run, self._announce)
        self.results = Results(sessions, store, self._shadow)

    def recover(self, folders: Collection[str]) -> list[Task]:
        """Take up the folders' tasks whose process died, each by one process only; returns those taken here.

        A task goes on after its last finished step.  For front ends that stay: a task ends with its process.
        """
        return [
            task
            for task in self._queue.abandoned()
            if self._store.session(task.session_id).folder_uri in folders and self._take_up(task.id)
        ]

    def _take_up(self, task_id: str) -> bool:
        """Queue an abandoned task here; False if another process was quicker, or its folder is gone."""
        if not self._queue.claim(task_id):
            return False
        task = self._store.task(task_id)
        if task.status in FINISHED:
            return False
        try:
            limits = self._limits(task)
        except PygentError as error:
            self._queue.update(task_id, status="interrupted", error=failure_of(error), finished_at=now_ms())
            return False
        self._queue.submit(msgspec.structs.replace(task, status="queued"), limits)
        return True

    async def clean(self) -> None:
        """Once a day, remove old workspaces of tasks, and snapshots that are old or take too much space."""
        mark = self._sessions.launch.state / "cleaned"
        await asyncio.sleep(CLEAN_AFTER)
        if not older(mark, DAY):
            return
        mark.touch(mode=0o600)
        since = now_ms() - int(1000 * KEPT_DAYS * DAY)
        try:
            for task in self._store.tasks():
                if _is_old(task, since) and _is_old(self._store.task(task.id), since):
                    await remove(self._folders.set_aside(task))
            await self._folders.remove_strays(self._store.has_task)
            wanted = self._store.snapshots(since)
            await self._shadow.clean(wanted, SNAPSHOT_BYTES)
        except PygentError as error:
            log.warning("clean-up: %s", error.message)

    async def close(self) -> None:
        """End and mark the tasks of this process."""
        await self._queue.close()

    async def delegate(self, request: DelegateRequest) -> Task:
        """Queue a task with a workspace of its own: the folder as it is now, unsaved buffers included.

        Raises PygentError for an unknown persona, session or file, and when that can't be kept.
        """
        folder, settings = request.folder, request.folder.settings
        prompt = Redactor(*folder.secrets).whole(request.prompt)
        parent = None if request.session_id is None else self._sessions.get(request.session_id)
        turn = self._store.count_tasks(request.session_id)
        persona = pick_persona(settings.task_personas, request.persona, turn) or folder.personas()[0]
        task_id = new_id("tsk")
        place = self._folders.place(task_id)
        base = await self._given(request, place)
        info = new_info(folder, persona, _title(prompt))
        info = msgspec.structs.replace(info, parent_session_id=request.session_id)
        task = Task(
            id=task_id,
            title=info.title,
            prompt=prompt,
            status="queued",
            persona=persona,
            session_id="",
            parent_session_id=None if parent is None else parent.id,
            created_at=now_ms(),
            workspace=str(place),
            steps=0,
            usage=NO_USAGE,
            changed_files=[],
            base=base,
            timeout=request.timeout or settings.task_timeout,
            step_timeout=request.step_timeout or settings.step_timeout,
        )
        return self._queue_task(task, info)

    def recorded(
        self,
        *,
        status: str | None = None,
        session_id: str | None = None,
        folder_uri: str | None = None,
        limit: int | None = None,
    ) -> list[Task]:
        """Tasks of every process, the latest first; of one status, session or folder if asked."""
        return self._store.tasks(status=status, session_id=session_id, folder_uri=folder_uri, limit=limit)

    def get(self, task_id: str) -> Task:
        """A task as it stands.  Raises PygentError `notFound`."""
        return self._store.task(task_id)

    def settled(self, task: Task) -> bool:
        """Whether a task has ended, or waits for an answer that nobody here could give."""
        return self._queue.settled(task)

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait until tasks are settled, at most `timeout` seconds.  Raises PygentError `notFound`."""
        return await self._queue.wait(task_ids, timeout)

    async def cancel(self, task_id: str) -> Task:
        """End a task, whichever process runs it.  Raises PygentError `notFound`."""
        return await self._queue.cancel(task_id)

    async def retry(self, task_id: str) -> Task:
        """Queue a new task with all that an ended one was given.  Raises PygentError."""
        old = self._store.task(task_id)
        if old.status not in FINISHED:
            raise PygentError("busy", f"The task is {old.status}.", "Wait for it or cancel it.")
        if old.base is None:
            raise PygentError("unsupported", "It is not known what the task was given.")
        await self._queue.cancel(task_id)  # one whose process died would go on beside its second try
        fresh = new_id("tsk")
        task = msgspec.structs.replace(
            old,
            id=fresh,
            status="queued",
            created_at=now_ms(),
            started_at=None,
            finished_at=None,
            workspace=str(self._folders.place(fresh)),
            steps=0,
            usage=NO_USAGE,
            changed_files=[],
            waiting_for=None,
            error=None,
            result=None,
        )
        return self._queue_task(task, self._store.session(old.session_id))

    def send(self, task_id: str, text: str) -> bool:
        """Say something to a task: at its next step while it runs, as a further turn once it has ended.

        It answers a question that the task has asked, and reaches one of another process, too.
        Raises PygentError `notFound`.
        """
        task = self._store.task(task_id)
        text = Redactor(*self._home(task).secrets).whole(text)
        if self._approvals.answer(task.session_id, text, "message"):
            return True
        self._store.post(task.session_id, text, new_id("trn"), steers=True)
        task = self._store.task(task_id)  # it may have ended just before
        if not self._queue.settled(task) or not self._queue.claim(task_id):
            return True  # whichever process has the task reads it at its next step
        self._again(task_id)
        return True

    def _again(self, task_id: str) -> None:
        """Queue a task anew that is claimed, and so as it stands now."""
        task = self._store.task(task_id)
        again = msgspec.structs.replace(task, status="queued", finished_at=None, error=None, waiting_for=None)
        self._queue.submit(again, self._limits(task))

    async def delete(self, task_id: str) -> bool:
        """Forget a task with its workspace and events, ending it first; False if there is none."""
        try:
            task = await self._queue.cancel(task_id)
        except PygentError as error:
            if error.code == "notFound":
                return False
            raise
        if not has_ended(task) or not self._queue.claim(task_id):
            raise PygentError("busy", "The process that runs the task does not end it.", "Try again.")
        gone = self._folders.set_aside(task)
        await self._sessions.delete(task.session_id)
        deleted = self._store.delete_task(task_id)
        await remove(gone)
        return deleted

    async def _given(self, request: DelegateRequest, place: Path) -> str | None:
        """The snapshot of what a task is given, which is checked out when it starts.

        Single files are copied to its place at once.  Raises PygentError.
        """
        workspace = request.folder.workspace
        whole = request.isolation != "files" and not (request.isolation is None and request.files)
        if whole:
            return await self._shadow.whole(workspace.root, snapshots.unsaved(workspace))
        await snapshots.give(workspace, place, request.files)
        try:
            return await self._shadow.take(place)
        except PygentError:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise

    def _home(self, task: Task) -> Folder:
        return self._sessions.home(self._store.session(task.session_id))

    def _limits(self, task: Task) -> Limits:
        """What a task may use, its folder's settings as they are now.  Raises PygentError."""
        settings = self._home(task).settings
        return Limits(settings.max_tasks, task.timeout, task.step_timeout)

    def _queue_task(self, task: Task, like: SessionInfo) -> Task:
        """Record a task with a session of its own, and queue it."""
        now = now_ms()
        info = msgspec.structs.replace(
            like,
            id=new_id("ses"),
            created_at=now,
            updated_at=now,
            workspace=task.workspace,
            task_id=task.id,
            status="idle",
        )
        self._store.save_session(info)
        task = msgspec.structs.replace(task, session_id=info.id)
        self._queue.submit(task, self._limits(task))
        return self._store.task(task.id)

    async def _run(self, task: Task, limits: Limits) -> TurnResult:
        info, place = self._store.session(task.session_id), Path(task.workspace)
        given = None if has_begun(task) else task.result or task.base
        if given is not None:
            await self._shadow.check_out(given, place)
        folder = Folder(place, self._sessions.launch, parent=self._sessions.home(info))
        progress = Progress(task, self._queue.update, lambda: self._queue.running)
        session = self._sessions.open(info, folder, limits, progress.follow, given=given)
        try:
            # Of a task that was taken up the turn may be under way, or at its end with the record behind.
            result = await session.resume() or session.last_result() or await session.chat(task.prompt)
            while (more := await session.follow_up()) is not None:
                result = more
            return result
        finally:
            try:
                progress.save()
            finally:
                await session.close()
                await folder.close()
                self._sessions.leave(info.id)

    def _announce(self, task: Task) -> None:
        """Tell of a task in the session that delegated it, or else in its own."""
        home = task.parent_session_id or task.session_id
        session = self._sessions.live(home)
        if session is not None:
            session.announce(TaskChanged(task=task))
        else:
            envelope = self._store.append(
                home, self._store.last_seq(home) + 1, TaskChanged(task=task), turn_id=None, task_id=task.id
            )
            for client in self._clients:
                client.emit(envelope)
        if task.status in ("completed", "failed", "waiting"):
            asyncio.get_running_loop().call_soon(self._go_on, task.id)

    def _go_on(self, task_id: str) -> None:
        """Go on with a task that was spoken to in the moment of its end."""
        task = self._store.task(task_id)
        if self._queue.settled(task) and self._store.mail(task.session_id) and self._queue.claim(task_id):
            self._again(task_id)


def _is_old(task: Task, since: int) -> bool:
    """Whether a task's folder can go: diff, apply and send go on with its snapshots."""
    return task.status in FINISHED and task.base is not None and (task.finished_at or since) < since


def _title(prompt: str) -> str:
    return " ".join(prompt.split())[:60]
