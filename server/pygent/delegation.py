"""Delegated work: each task a session of its own, in a workspace and a sandbox of its own."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pygent import snapshots
from pygent.errors import PygentError, ToolError
from pygent.events import (
    NO_USAGE,
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Client,
    Envelope,
    Failure,
    Message,
    Task,
    TaskChanged,
    TurnFinished,
    TurnResult,
    UsageReported,
    new_id,
    now_ms,
)
from pygent.folder import Folder
from pygent.paths import path_of
from pygent.redaction import Redactor
from pygent.sessions import Sessions, new_info
from pygent.store import Store
from pygent.tasks import Limits, TaskQueue, pick_persona
from pygent.workspace import Workspace

PACE = 0.2
"""Seconds between two records of a running task's progress."""


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
        sessions.delegation = lambda session_id, folder: SessionDelegation(self, session_id, folder)
        for task in store.abandoned_tasks():
            gone = Failure(code="interrupted", message="The program that ran it ended.")
            store.save_task(
                msgspec.structs.replace(task, status="interrupted", error=gone, finished_at=now_ms())
            )

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
        place = self._sessions.launch.state / "tasks" / task_id / "workspace"
        await self._give_files(request, place)
        info = new_info(folder, persona, _title(prompt), task_id=task_id, place=place)
        info = msgspec.structs.replace(info, parent_session_id=request.session_id)
        self._store.save_session(info)
        task = Task(
            id=task_id,
            title=info.title,
            prompt=prompt,
            status="queued",
            persona=persona,
            session_id=info.id,
            parent_session_id=None if parent is None else parent.id,
            created_at=now_ms(),
            workspace=str(place),
            steps=0,
            usage=NO_USAGE,
            changed_files=[],
        )
        limits = Limits(
            at_once=settings.max_tasks,
            timeout=request.timeout or settings.task_timeout,
            step_timeout=request.step_timeout or settings.step_timeout,
        )
        self._queue.submit(task, limits)
        return task

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

    async def _give_files(self, request: DelegateRequest, place: Path) -> None:
        workspace = request.folder.workspace
        documents = workspace.documents
        dirty = [] if documents is None else documents.dirty()
        buffers = {path: documents.text(path) or "" for path in dirty} if documents is not None else {}
        inside = {path: text for path, text in buffers.items() if workspace.root in path.parents}
        try:
            if request.isolation == "files" or (request.isolation is None and request.files):
                files = [workspace.resolve(name) for name in request.files]
                missing = [str(path) for path in files if not path.exists()]
                if missing:
                    raise PygentError("notFound", f"There is no {missing[0]}.", "Name existing files.")
                await asyncio.to_thread(snapshots.copy_some, workspace.root, place, files, inside)
            else:
                await asyncio.to_thread(snapshots.copy_all, workspace.root, place, inside)
        except ToolError as error:
            raise PygentError("denied", str(error)) from error
        except OSError as error:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise PygentError("conflict", f"The task's workspace can't be made: {error}.") from error

    async def _run(self, task: Task, limits: Limits) -> TurnResult:
        info = self._store.session(task.session_id)
        parent = self._sessions.home(info)
        folder = Folder(Path(task.workspace), self._sessions.launch, parent=parent)
        progress = _Progress(task, self._queue)
        session = self._sessions.open(info, folder, limits, progress.follow)
        try:
            return await session.chat(task.prompt)
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


class _Progress:
    """What a task's session announces, gathered into the task's record: at once where a person is waited
    for, a few times a second otherwise."""

    def __init__(self, task: Task, queue: TaskQueue) -> None:
        self._task_id = task.id
        self._root = Path(task.workspace).resolve()
        self._queue = queue
        self._steps = task.steps
        self._changed = list(task.changed_files)
        self._usage = task.usage
        self._saved = 0.0

    def follow(self, envelope: Envelope) -> None:
        """Take in an event of the session."""
        match envelope.event:
            case Message(role="assistant"):
                self._steps += 1
            case UsageReported() as usage:
                self._usage = msgspec.convert(usage, type(NO_USAGE), from_attributes=True)
            case ChangeMade(uri=uri):
                self._change(uri)
            case ApprovalRequested(approval=approval):
                self.save(status="waiting", waiting_for=approval.title)
                return
            case ApprovalResolved():
                self.save(status="running", waiting_for=None)
                return
            case _:
                return
        if time.monotonic() - self._saved >= PACE:
            self.save()

    def save(self, **changes: Any) -> None:
        """Commit the record as it stands."""
        self._saved = time.monotonic()
        self._queue.update(
            self._task_id, steps=self._steps, usage=self._usage, changed_files=[*self._changed], **changes
        )

    def _change(self, uri: str) -> None:
        path = path_of(uri)
        name = "" if path is None else path.relative_to(self._root).as_posix()
        if name not in self._changed:
            self._changed.append(name)


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
