"""The root of a process: its store, folders, live sessions, tasks and clients.

Front ends make one `App`, attach themselves as clients, and call plain methods.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pygent import history, snapshots
from pygent.approvals import Approvals
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
    Notice,
    Persona,
    SessionInfo,
    Task,
    TaskChanged,
    TurnFinished,
    TurnResult,
    UsageReported,
    new_id,
    now_ms,
)
from pygent.folder import Folder, Launch
from pygent.logs import Logs
from pygent.paths import path_of, state_folder
from pygent.redaction import Redactor
from pygent.session import Session
from pygent.store import Store
from pygent.tasks import Limits, TaskQueue, pick_persona
from pygent.workspace import Workspace

log = logging.getLogger("pygent.app")


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


class App:
    """Everything that one process of Pygent has.

    `environ` is the process environment, read once by the front end; `flags` are settings of the command
    line by their `pygent.toml` key.  Raises PygentError when the store can't be opened.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        home: Path,
        state: Path | None = None,
        flags: Mapping[str, object] | None = None,
        config_file: Path | None = None,
    ) -> None:
        self.launch = Launch(dict(environ), home, state or state_folder(), dict(flags or {}), config_file)
        self.store = Store(self.launch.state)
        self.logs = Logs()
        self.logs.add(self.launch.state / "pygent.log")
        self.approvals = Approvals()
        self.queue = TaskQueue(self.store, self._run_task, self._announce)
        self.clients: list[Client] = []
        self.messages: dict[str, tuple[str, str]] = {}
        """Session and turn of each message that a client gave an id, so that one sent twice runs once."""
        self._folders: dict[Path, Folder] = {}
        self._sessions: dict[str, Session] = {}
        for task in self.store.abandoned_tasks():
            gone = Failure(code="interrupted", message="The program that ran it ended.")
            self.store.save_task(
                msgspec.structs.replace(task, status="interrupted", error=gone, finished_at=now_ms())
            )

    def attach(self, client: Client) -> None:
        """Show a front end every event from now on, and ask it."""
        self.clients.append(client)

    def detach(self, client: Client) -> None:
        """Leave a front end alone."""
        self.clients.remove(client)

    def preload(self) -> None:
        """Import what the first turn needs; to be called in a thread once the front end is up."""
        from pygent.model.chat import preload  # noqa: PLC0415 - half a second

        preload()

    async def close(self) -> None:
        """Cancel turns, mark tasks, end every sandbox and connection."""
        await self.queue.close()
        await asyncio.gather(*(session.cancel() for session in self._sessions.values()))
        await asyncio.gather(*(folder.close() for folder in self._folders.values()))
        self.store.close()
        self.logs.close()

    # -- folders and sessions --------------------------------------------------------------------

    def folder(
        self,
        root: Path,
        *,
        editor: Mapping[str, object] | None = None,
        trusted: bool | None = None,
    ) -> Folder:
        """A workspace folder, opened at the first call; later the same, with what the editor says anew.

        Raises PygentError for a folder that can't be a workspace.
        """
        key = Path(root).resolve()
        folder = self._folders.get(key)
        if folder is None:
            folder = self._folders[key] = Folder(key, self.launch, editor=editor, trusted=trusted)
            self._log(folder)
        elif editor is not None or trusted is not None:
            folder.update(editor=editor, trusted=trusted)
        return folder

    def _log(self, folder: Folder) -> None:
        self.logs.hide(folder.settings.api_key)
        if folder.settings.log_file is not None and (problem := self.logs.add(folder.settings.log_file)):
            folder.problems.append(problem)

    def new_session(
        self,
        folder: Folder,
        *,
        persona: str | None = None,
        model: str | None = None,
        title: str | None = None,
    ) -> Session:
        """Begin a conversation; it takes over the history file if there is one.

        Raises PygentError `notFound` for an unknown persona.
        """
        main, *_ = folder.personas()
        chosen = pick_persona(folder.personas(), persona, 0) if persona else main
        session = self._open(_new_info(folder, chosen or main, title or "", model=model), folder)
        self.store.save_session(session.info)
        self._take_over_history(session)
        return session

    def session(self, session_id: str) -> Session:
        """A session, live or resumed from the store.  Raises PygentError `notFound`."""
        session = self._sessions.get(session_id)
        if session is None:
            info = self.store.session(session_id)
            folder = self.folder(path_of(info.folder_uri or "") or Path(info.workspace))
            if info.task_id is not None:
                folder = Folder(Path(info.workspace), self.launch, parent=folder)
            session = self._open(info, folder)
            session.recover()
        return session

    def latest_session(self, folder: Folder) -> Session | None:
        """The folder's last used conversation."""
        page, _ = self.store.sessions(folder_uri=folder.uri, limit=1)
        return self.session(page[0].id) if page else None

    def sessions(self, **query: Any) -> tuple[list[SessionInfo], str | None]:
        """A page of conversations as `Store.sessions` gives it; one whose process died shows as idle."""
        page, cursor = self.store.sessions(**query)
        return [
            info
            if info.status == "idle" or self.store.session_owned(info.id)
            else msgspec.structs.replace(info, status="idle")
            for info in page
        ], cursor

    def running(self) -> list[Session]:
        """The sessions with a turn that runs, the latest last."""
        running = [session for session in self._sessions.values() if session.turn_id is not None]
        return sorted(running, key=lambda session: session.turn_id or "")

    def delete_session(self, session_id: str) -> bool:
        """Forget a session.  Raises PygentError `busy` while a turn runs in it."""
        if self.store.session_owned(session_id):
            raise PygentError("busy", "A turn is running in this session.", "Cancel it first.")
        self._sessions.pop(session_id, None)
        return self.store.delete_session(session_id)

    def _open(
        self,
        info: SessionInfo,
        folder: Folder,
        limits: Limits | None = None,
        watch: Callable[[Envelope], None] = lambda _: None,
    ) -> Session:
        delegation = None if info.task_id is not None else SessionDelegation(self, info.id, folder)
        session = self._sessions[info.id] = Session(
            info,
            store=self.store,
            folder=folder,
            clients=self.clients,
            approvals=self.approvals,
            delegation=delegation,
            limits=limits,
            watch=watch,
        )
        return session

    def _take_over_history(self, session: Session) -> None:
        settings = session.folder.settings
        snapshot = None if settings.snapshot is None else settings.snapshot / "history.json"
        path = settings.history_file or snapshot
        if path is None:
            return
        try:
            session.take_over_history(history.read(path))
        except PygentError as error:
            aside = history.set_aside(path) if path == settings.history_file else path
            text = f"{error.message} It is kept as {aside}; the conversation starts anew."
            session.announce(Notice(level="error", text=text, code="conflict"))

    # -- tasks -----------------------------------------------------------------------------------

    async def delegate(self, request: DelegateRequest) -> Task:
        """Queue a task in a workspace of its own.

        Raises PygentError for an unknown persona, session or file, and when the copy fails.
        """
        folder, settings = request.folder, request.folder.settings
        prompt = Redactor(settings.api_key).whole(request.prompt)
        parent = None if request.session_id is None else self.session(request.session_id)
        turn = len(self.store.tasks(session_id=request.session_id))
        persona = pick_persona(settings.task_personas, request.persona, turn) or folder.personas()[0]
        task_id = new_id("tsk")
        place = self.launch.state / "tasks" / task_id / "workspace"
        await self._give_files(request, place)
        info = _new_info(folder, persona, _title(prompt), task_id=task_id, place=place)
        info = msgspec.structs.replace(info, parent_session_id=request.session_id)
        self.store.save_session(info)
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
        self.queue.submit(task, limits)
        return task

    def tasks(
        self, *, status: str | None = None, session_id: str | None = None, limit: int | None = None
    ) -> list[Task]:
        """Tasks of every process, the latest first."""
        return self.store.tasks(status=status, session_id=session_id, limit=limit)

    def task(self, task_id: str) -> Task:
        """A task as it stands.  Raises PygentError `notFound`."""
        return self.store.task(task_id)

    def task_reply(self, task_id: str) -> str:
        """What a task's agent said at the end of its last turn; empty before."""
        envelopes = self.store.events(self.store.task(task_id).session_id)
        ends = [envelope.event.reply for envelope in envelopes if isinstance(envelope.event, TurnFinished)]
        return ends[-1] if ends else ""

    async def wait_tasks(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait for the end of tasks, at most `timeout` seconds.  Raises PygentError `notFound`."""
        return await self.queue.wait(task_ids, timeout)

    async def cancel_task(self, task_id: str) -> Task:
        """End a task, whichever process runs it.  Raises PygentError `notFound`."""
        return await self.queue.cancel(task_id)

    def collect(
        self, task_id: str, path: str, dest: str | None = None, folder: Folder | None = None
    ) -> list[str]:
        """Copy a file or folder out of a task's workspace into that of `folder`, or of its session.

        Returns the copies' paths, relative to the workspace.  Raises PygentError.
        """
        task = self.store.task(task_id)
        if folder is None:
            info = self.store.session(task.session_id)
            folder = self.folder(path_of(info.folder_uri or "") or Path(info.workspace))
        try:
            source = Workspace(Path(task.workspace)).resolve(path)
            copies = snapshots.collect(source, folder.workspace.resolve(dest or path))
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

    async def _run_task(self, task: Task, limits: Limits) -> TurnResult:
        info = self.store.session(task.session_id)
        parent = self.folder(path_of(info.folder_uri or "") or Path(info.workspace))
        folder = Folder(Path(task.workspace), self.launch, parent=parent)
        session = self._open(info, folder, limits, lambda envelope: self._follow(task.id, envelope))
        try:
            return await session.chat(task.prompt)
        finally:
            await folder.close()

    def _follow(self, task_id: str, envelope: Envelope) -> None:
        """Keep a running task's record at what its session announces."""
        match envelope.event:
            case Message(role="assistant"):
                self.queue.update(task_id, steps=self.store.task(task_id).steps + 1)
            case UsageReported() as usage:
                self.queue.update(task_id, usage=msgspec.convert(usage, type(NO_USAGE), from_attributes=True))
            case ChangeMade(uri=uri):
                task = self.store.task(task_id)
                path = path_of(uri)
                name = "" if path is None else path.relative_to(Path(task.workspace).resolve()).as_posix()
                if name not in task.changed_files:
                    self.queue.update(task_id, changed_files=[*task.changed_files, name])
            case ApprovalRequested(approval=approval):
                self.queue.update(task_id, status="waiting", waiting_for=approval.title)
            case ApprovalResolved():
                self.queue.update(task_id, status="running", waiting_for=None)
            case _:
                pass

    def _announce(self, task: Task) -> None:
        """Tell of a task in the session that delegated it, or else in its own."""
        home = task.parent_session_id or task.session_id
        session = self._sessions.get(home)
        if session is not None:
            session.announce(TaskChanged(task=task))
            return
        envelope = self.store.append(
            home, self.store.last_seq(home) + 1, TaskChanged(task=task), turn_id=None, task_id=task.id
        )
        for client in self.clients:
            client.emit(envelope)


class SessionDelegation:
    """What the delegation tools of one session may do (`tasks.Delegation`): only its own tasks."""

    def __init__(self, app: App, session_id: str, folder: Folder) -> None:
        self._app = app
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
        return await self._app.delegate(
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
        return await self._app.wait_tasks(task_ids, timeout)

    def task(self, task_id: str) -> Task:
        """A task of this session."""
        task = self._app.task(task_id)
        if task.parent_session_id != self._session_id:
            raise PygentError("notFound", f"There is no task {task_id} of this session.")
        return task

    def reply(self, task_id: str) -> str:
        """What the task's agent said last."""
        return self._app.task_reply(self.task(task_id).id)

    def collect(self, task_id: str, path: str, dest: str | None) -> list[str]:
        """Copy from a task of this session."""
        return self._app.collect(self.task(task_id).id, path, dest, self._folder)


def _new_info(
    folder: Folder,
    persona: Persona,
    title: str,
    *,
    model: str | None = None,
    task_id: str | None = None,
    place: Path | None = None,
) -> SessionInfo:
    now = now_ms()
    return SessionInfo(
        id=new_id("ses"),
        title=title,
        created_at=now,
        updated_at=now,
        workspace=str(place or folder.workspace.root),
        folder_uri=folder.uri,
        persona=persona,
        model=model,
        task_id=task_id,
        status="idle",
    )


def _title(prompt: str) -> str:
    return " ".join(prompt.split())[:60]
