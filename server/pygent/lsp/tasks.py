"""Commands of delegation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pygent.lsp.commands import Arguments, command
from pygent.records import TaskStatus

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer


class Delegate(Arguments, frozen=True, kw_only=True):
    """Work for a background agent; timeouts in seconds."""

    prompt: str
    persona: str | None = None
    files: list[str] = msgspec.field(default_factory=list)
    session_id: str | None = None
    isolation: Literal["copy", "files"] | None = None
    timeout: float | None = None
    step_timeout: float | None = None


@command("pygent.delegate", "`{task}`", main="prompt")
async def delegate(server: PygentServer, args: Delegate) -> Any:
    """Queue a task in a workspace of its own."""
    from pygent.delegation import DelegateRequest  # noqa: PLC0415 - not before it is needed

    session = server.session(args.session_id)
    request = DelegateRequest(
        prompt=args.prompt,
        folder=server.folder() if session is None else session.folder,
        persona=args.persona,
        files=args.files,
        session_id=args.session_id,
        isolation=args.isolation,
        timeout=args.timeout,
        step_timeout=args.step_timeout,
    )
    return {"task": await server.app.tasks.delegate(request)}


class ListTasks(Arguments, frozen=True, kw_only=True):
    """Which tasks; `sessionId` is that of the session which delegated them, `folderUri` where they belong."""

    status: TaskStatus | None = None
    session_id: str | None = None
    folder_uri: str | None = None
    limit: int | None = None


@command("pygent.tasks", "`{tasks: [Task]}`, the latest first")
async def tasks(server: PygentServer, args: ListTasks) -> Any:
    """List tasks, of every process."""
    uri = server.folder(args.folder_uri).uri if args.folder_uri else None
    found = server.app.tasks.recorded(
        status=args.status, session_id=args.session_id, folder_uri=uri, limit=args.limit
    )
    return {"tasks": found}


class OneTask(Arguments, frozen=True, kw_only=True):
    """A task."""

    task_id: str


@command("pygent.task.get", "`{task}`", main="taskId")
async def task_get(server: PygentServer, args: OneTask) -> Any:
    """A task as it stands."""
    return {"task": server.app.tasks.get(args.task_id)}


class TaskLog(Arguments, frozen=True, kw_only=True):
    """Stored events of a task with a `seq` above `after`."""

    task_id: str
    after: int = 0
    limit: int | None = None


@command("pygent.task.log", "`{events: [Envelope], seq: number}`")
async def task_log(server: PygentServer, args: TaskLog) -> Any:
    """What a task has done."""
    store, session_id = server.app.store, server.app.tasks.get(args.task_id).session_id
    events = store.events(session_id, after=args.after, limit=args.limit)
    return {"events": events, "seq": store.last_seq(session_id)}


class Wait(Arguments, frozen=True, kw_only=True):
    """Tasks, and for how many seconds to wait."""

    task_ids: list[str]
    timeout: float | None = None


@command("pygent.task.wait", "`{tasks}`, those still running at the timeout too")
async def task_wait(server: PygentServer, args: Wait) -> Any:
    """Wait for the end of tasks."""
    return {"tasks": await server.app.tasks.wait(args.task_ids, args.timeout)}


@command("pygent.task.cancel", "`{task}`", main="taskId")
async def task_cancel(server: PygentServer, args: OneTask) -> Any:
    """End a task, whichever process runs it."""
    return {"task": await server.app.tasks.cancel(args.task_id)}


class Collect(Arguments, frozen=True, kw_only=True):
    """A file or folder of a task's workspace, and where it goes in that of its session."""

    task_id: str
    path: str
    dest: str | None = None


@command("pygent.task.collect", "`{collected: [path]}`")
async def task_collect(server: PygentServer, args: Collect) -> Any:
    """Copy out of a task's workspace."""
    return {"collected": server.app.tasks.results.collect(args.task_id, args.path, args.dest)}


class Send(Arguments, frozen=True, kw_only=True):
    """Something to say to a task."""

    task_id: str
    text: str


@command("pygent.task.send", "`{delivered: bool}`", main="text")
async def task_send(server: PygentServer, args: Send) -> Any:
    """Steer a running task, or go on with one that ended."""
    return {"delivered": server.app.tasks.send(args.task_id, args.text)}


@command("pygent.task.retry", "`{task}`, a new one", main="taskId")
async def task_retry(server: PygentServer, args: OneTask) -> Any:
    """Queue the work of an ended task again, with what it was given."""
    return {"task": await server.app.tasks.retry(args.task_id)}


@command("pygent.task.delete", "`{deleted: bool}`", main="taskId")
async def task_delete(server: PygentServer, args: OneTask) -> Any:
    """Forget a task with its workspace, ending it first."""
    return {"deleted": await server.app.tasks.delete(args.task_id)}


@command(
    "pygent.task.diff",
    "`{diff, files: [{path, kind: ChangeKind, added?: number, removed?: number}]}`",
    main="taskId",
)
async def task_diff(server: PygentServer, args: OneTask) -> Any:
    """What a task has changed of what it was given."""
    diff, entries = await server.app.tasks.results.diff(args.task_id)
    return {"diff": diff, "files": [entry.summary() for entry in entries]}


class TaskFile(Arguments, frozen=True, kw_only=True):
    """A file that a task changed, as it was given or as it is now."""

    task_id: str
    path: str
    side: Literal["before", "after"] = "after"


@command("pygent.task.file", "`{text}`, empty where there is no such file on that side")
async def task_file(server: PygentServer, args: TaskFile) -> Any:
    """One side of what a task has changed, for an editor's own comparison."""
    before = args.side == "before"
    return {"text": await server.app.tasks.results.file(args.task_id, args.path, before=before)}


class Apply(Arguments, frozen=True, kw_only=True):
    """A task, which of its changed files, and whether only to say what would be."""

    task_id: str
    files: list[str] | None = None
    preview: bool = False


@command("pygent.task.apply", "`{applied: [path], conflicts: [{path, reason}]}`", main="taskId")
async def task_apply(server: PygentServer, args: Apply) -> Any:
    """Take a task's changes over into the workspace, merged three ways."""
    task = server.app.tasks.get(args.task_id)
    session = server.session(task.parent_session_id)
    folder = None if session is None else session.folder
    results = server.app.tasks.results
    return await results.apply(args.task_id, paths=args.files, preview=args.preview, folder=folder)
