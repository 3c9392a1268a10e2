"""Delegated work: each task a session of its own, in a workspace and a sandbox of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from pygent import snapshots
from pygent.errors import PygentError, ToolError
from pygent.events import (
    NO_USAGE,
    Client,
    SessionInfo,
    Task,
    TaskChanged,
    TurnFinished,
    TurnResult,
    new_id,
    now_ms,
)
from pygent.folder import Folder
from pygent.redaction import Redactor
from pygent.sessions import Sessions, new_info
from pygent.shadow import Entry, Shadow
from pygent.store import Store
from pygent.takeover import Applied, Takeover
from pygent.tasks import FINISHED, Limits, Progress, TaskQueue, failure_of, pick_persona
from pygent.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DelegateRequest:
    """Work to delegate; `timeout` and `step_timeout` in seconds, None for the settings' own."""

    prompt: str
    folder: Folder
    persona: str | None = None
    files: Sequence[str] = ()
    session_id: str | None = None
    isolation: Literal["copy", "files"] | None = None
    timeout: float | None = None
    step_timeout: float | None = None


class Tasks:
    """The tasks of every process that shares the store; those of this one run in its queue."""

    def __init__(self, sessions: Sessions, store: Store, clients: Sequence[Client]) -> None:
        self._sessions = sessions
        self._store = store
        self._clients = clients
        self._queue = TaskQueue(store, self._run, self._announce)
        self._said: dict[str, str] = {}
        self._shadow = Shadow(sessions.launch.state / "shadow.git")
        sessions.delegation = lambda session_id, folder: SessionDelegation(self, session_id, folder)

    def recover(self, folders: Collection[str]) -> list[Task]:
        """Take up the folders' tasks whose process died, each by one process only; returns those taken here.

        A task goes on after its last finished step.  For front ends that stay: a task ends with its process.
        """
        return [
            task
            for task in self._store.abandoned_tasks()
            if self._store.session(task.session_id).folder_uri in folders and self._take_up(task.id)
        ]

    def _take_up(self, task_id: str) -> bool:
        """Queue an abandoned task here; False if another process was quicker, or its folder is gone."""
        if not self._store.claim_task(task_id):
            return False
        task = self._store.task(task_id)
        if task.status in FINISHED:
            return False
        try:
            settings = self._sessions.home(self._store.session(task.session_id)).settings
        except PygentError as error:
            self._queue.update(task_id, status="interrupted", error=failure_of(error), finished_at=now_ms())
            return False
        limits = Limits(settings.max_tasks, settings.task_timeout, settings.step_timeout)
        self._queue.submit(msgspec.structs.replace(task, status="queued"), limits)
        return True

    async def close(self) -> None:
        """End and mark the tasks of this process."""
        await self._queue.close()

    async def delegate(self, request: DelegateRequest) -> Task:
        """Queue a task in a workspace of its own.

        Raises PygentError for an unknown persona, session or file, and when the copy fails.
        """
        folder, settings = request.folder, request.folder.settings
        prompt = Redactor(settings.api_key).whole(request.prompt)
        parent = None if request.session_id is None else self._sessions.get(request.session_id)
        turn = len(self._store.tasks(session_id=request.session_id))
        persona = pick_persona(settings.task_personas, request.persona, turn) or folder.personas()[0]
        task_id = new_id("tsk")
        place = self._place(task_id)
        whole = request.isolation != "files" and not (request.isolation is None and request.files)
        await snapshots.give(folder.workspace, place, request.files, whole=whole)
        base = await self._base(place)
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
        )
        limits = Limits(
            at_once=settings.max_tasks,
            timeout=request.timeout or settings.task_timeout,
            step_timeout=request.step_timeout or settings.step_timeout,
        )
        return self._queue_task(task, info, limits)

    def recorded(
        self, *, status: str | None = None, session_id: str | None = None, limit: int | None = None
    ) -> list[Task]:
        """Tasks of every process, the latest first."""
        return self._store.tasks(status=status, session_id=session_id, limit=limit)

    def get(self, task_id: str) -> Task:
        """A task as it stands.  Raises PygentError `notFound`."""
        return self._store.task(task_id)

    def reply(self, task_id: str) -> str:
        """What a task's agent said at the end of its last turn; empty before."""
        envelopes = self._store.events(self._store.task(task_id).session_id)
        ends = [envelope.event.reply for envelope in envelopes if isinstance(envelope.event, TurnFinished)]
        return ends[-1] if ends else ""

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait for the end of tasks, at most `timeout` seconds.  Raises PygentError `notFound`."""
        return await self._queue.wait(task_ids, timeout)

    async def cancel(self, task_id: str) -> Task:
        """End a task, whichever process runs it.  Raises PygentError `notFound`."""
        return await self._queue.cancel(task_id)

    def collect(
        self, task_id: str, path: str, dest: str | None = None, folder: Folder | None = None
    ) -> list[str]:
        """Copy a file or folder out of a task's workspace into that of `folder`, or of its session.

        Returns the copies' paths, relative to the workspace.  Raises PygentError.
        """
        task = self._store.task(task_id)
        if folder is None:
            info = self._store.session(task.session_id)
            folder = self._sessions.home(info)
        try:
            source = Workspace(Path(task.workspace)).resolve(path)
            target = folder.workspace.resolve(dest or path)
            copies = snapshots.collect(source, target, folder.workspace.root)
        except ToolError as error:
            raise PygentError("denied", str(error)) from error
        return [folder.workspace.relative(copy) for copy in copies]

    async def diff(self, task_id: str) -> tuple[str, list[Entry]]:
        """What a task has changed of what it was given: a unified diff, and the files.

        Raises PygentError.
        """
        base, now = await self._snapshots(task_id)
        return await self._shadow.diff(base, now), await self._shadow.entries(base, now)

    async def apply(
        self,
        task_id: str,
        *,
        paths: Sequence[str] | None = None,
        preview: bool = False,
        folder: Folder | None = None,
    ) -> Applied:
        """Take a task's changes over into the workspace of `folder`, or of its session, merged three ways.

        `paths` are those of the files to take, None for all; `preview` only says what would be.  A conflict
        is reported and its file left alone.  Raises PygentError `notFound` for a path that was not changed.
        """
        entries = await self._shadow.entries(*await self._snapshots(task_id))
        if unknown := set(paths or ()) - {entry.path for entry in entries}:
            known = ", ".join(entry.path for entry in entries[:20]) or "none"
            message = f"The task did not change {', '.join(sorted(unknown))}."
            raise PygentError("notFound", message, f"It changed: {known}.")
        if folder is None:
            folder = self._sessions.home(self._store.session(self._store.task(task_id).session_id))
        takeover = Takeover(self._shadow, folder.workspace, named=paths is not None, preview=preview)
        return await takeover.run([entry for entry in entries if paths is None or entry.path in paths])

    async def retry(self, task_id: str) -> Task:
        """Queue a new task with the prompt, persona and files of an ended one.  Raises PygentError."""
        old = self._store.task(task_id)
        if old.status not in FINISHED:
            raise PygentError("busy", f"The task is {old.status}.", "Wait for it or cancel it.")
        if old.base is None:
            raise PygentError("unsupported", "Without git it is not known what the task was given.")
        info = self._store.session(old.session_id)
        settings = self._sessions.home(info).settings
        fresh = new_id("tsk")
        place = self._place(fresh)
        await self._shadow.check_out(old.base, place)
        return self._queue_task(
            msgspec.structs.replace(
                old,
                id=fresh,
                status="queued",
                created_at=now_ms(),
                started_at=None,
                finished_at=None,
                workspace=str(place),
                steps=0,
                usage=NO_USAGE,
                changed_files=[],
                waiting_for=None,
                error=None,
            ),
            info,
            Limits(settings.max_tasks, settings.task_timeout, settings.step_timeout),
        )

    def send(self, task_id: str, text: str) -> bool:
        """Say something to a task: at its next step while it runs, as a further turn once it has ended.

        Raises PygentError `notFound`, and `busy` while another process has the task.
        """
        task = self._store.task(task_id)
        session = self._sessions.live(task.session_id)
        if session is not None and session.hand_in(text):
            return True
        if task.status == "queued" and self._queue.has(task_id):
            self._said[task_id] = f"{self._said.get(task_id, task.prompt)}\n\n{text}"
            return True
        if task.status not in FINISHED:
            raise PygentError("busy", f"The task is {task.status} in another process.", "Send it from there.")
        settings = self._sessions.home(self._store.session(task.session_id)).settings
        self._said[task_id] = text
        again = msgspec.structs.replace(task, status="queued", finished_at=None, error=None)
        self._queue.submit(again, Limits(settings.max_tasks, settings.task_timeout, settings.step_timeout))
        return True

    async def delete(self, task_id: str) -> bool:
        """Forget a task with its workspace and events, ending it first; False if there is none."""
        try:
            task = await self._queue.cancel(task_id)
        except PygentError as error:
            if error.code == "notFound":
                return False
            raise
        if task.status not in FINISHED:
            raise PygentError("busy", "The process that runs the task does not end it.", "Try again.")
        await self._sessions.delete(task.session_id)
        await asyncio.to_thread(shutil.rmtree, Path(task.workspace).parent, ignore_errors=True)
        return self._store.delete_task(task_id)

    async def _base(self, place: Path) -> str | None:
        """The snapshot of what a task is given; None without git.  Raises PygentError."""
        if not self._shadow.available:
            return None
        try:
            return await self._shadow.take(place)
        except PygentError:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise

    async def _snapshots(self, task_id: str) -> tuple[str, str]:
        task = self._store.task(task_id)
        if task.base is None:
            raise PygentError("unsupported", "Without git it is not known what the task was given.")
        return task.base, await self._shadow.take(Path(task.workspace))

    def _place(self, task_id: str) -> Path:
        return self._sessions.launch.state / "tasks" / task_id / "workspace"

    def _queue_task(self, task: Task, like: SessionInfo, limits: Limits) -> Task:
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
        self._queue.submit(task, limits)
        return task

    async def _run(self, task: Task, limits: Limits) -> TurnResult:
        info = self._store.session(task.session_id)
        parent = self._sessions.home(info)
        folder = Folder(Path(task.workspace), self._sessions.launch, parent=parent)
        progress = Progress(task, self._queue)
        session = self._sessions.open(info, folder, limits, progress.follow)
        try:
            if (said := self._said.pop(task.id, None)) is not None:
                return await session.chat(said)
            # Of a task that was taken up the turn may be under way, or at its end with the record behind.
            return await session.resume() or session.last_result() or await session.chat(task.prompt)
        finally:
            progress.save()
            await session.close()
            await folder.close()

    def _announce(self, task: Task) -> None:
        """Tell of a task in the session that delegated it, or else in its own."""
        home = task.parent_session_id or task.session_id
        session = self._sessions.live(home)
        if session is not None:
            session.announce(TaskChanged(task=task))
            return
        envelope = self._store.append(
            home, self._store.last_seq(home) + 1, TaskChanged(task=task), turn_id=None, task_id=task.id
        )
        for client in self._clients:
            client.emit(envelope)


class SessionDelegation:
    """What the delegation tools of one session may do (`tasks.Delegation`): only its own tasks."""

    def __init__(self, tasks: Tasks, session_id: str, folder: Folder) -> None:
        self._tasks = tasks
        self._session_id = session_id
        self._folder = folder

    async def delegate(
        self,
        prompt: str,
        *,
        persona: str | None,
        files: Sequence[str],
        timeout: float | None,
        step_timeout: float | None,
    ) -> Task:
        """Queue a task of this session."""
        return await self._tasks.delegate(
            DelegateRequest(
                prompt,
                self._folder,
                persona=persona,
                files=files,
                session_id=self._session_id,
                timeout=timeout,
                step_timeout=step_timeout,
            )
        )

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait for tasks of this session."""
        for task_id in task_ids:
            self.task(task_id)
        return await self._tasks.wait(task_ids, timeout)

    def task(self, task_id: str) -> Task:
        """A task of this session."""
        task = self._tasks.get(task_id)
        if task.parent_session_id != self._session_id:
            raise PygentError("notFound", f"There is no task {task_id} of this session.")
        return task

    def reply(self, task_id: str) -> str:
        """What the task's agent said last."""
        return self._tasks.reply(self.task(task_id).id)

    def collect(self, task_id: str, path: str, dest: str | None) -> list[str]:
        """Copy from a task of this session."""
        return self._tasks.collect(self.task(task_id).id, path, dest, self._folder)


def _title(prompt: str) -> str:
    return " ".join(prompt.split())[:60]
