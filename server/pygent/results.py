"""What tasks have made: compared with what they were given, and taken over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pygent import snapshots
from pygent.errors import PygentError, ToolError
from pygent.events import TurnFinished
from pygent.folder import Folder
from pygent.records import Task
from pygent.sessions import Sessions
from pygent.shadow import Entry, Shadow
from pygent.store import Store
from pygent.takeover import Applied, Takeover
from pygent.workspace import Workspace


class Results:
    """The results of every task in the store."""

    def __init__(self, sessions: Sessions, store: Store, shadow: Shadow) -> None:
        self._sessions = sessions
        self._store = store
        self._shadow = shadow

    def reply(self, task_id: str) -> str:
        """What a task's agent said at the end of its last turn; empty before."""
        envelopes = self._store.events(self._store.task(task_id).session_id)
        ends = [envelope.event.reply for envelope in envelopes if isinstance(envelope.event, TurnFinished)]
        return ends[-1] if ends else ""

    def collect(
        self, task_id: str, path: str, dest: str | None = None, folder: Folder | None = None
    ) -> list[str]:
        """Copy a file or folder out of a task's workspace into that of `folder`, or of its session.

        Returns the copies' paths, relative to the workspace.  Raises PygentError.
        """
        task = self._store.task(task_id)
        target = (folder or self._home(task)).workspace
        try:
            theirs = Workspace(Path(task.workspace))
            source = theirs.resolve(path)
            copies = snapshots.collect(source, theirs.root, target.resolve(dest or path), target.root)
        except ToolError as error:
            raise PygentError("denied", str(error)) from error
        return [target.relative(copy) for copy in copies]

    async def diff(self, task_id: str) -> tuple[str, list[Entry]]:
        """What a task has changed of what it was given: a unified diff, and the files.

        Raises PygentError.
        """
        base, now = await self._snapshots(task_id)
        return await self._shadow.diff(base, now), await self._shadow.entries(base, now)

    async def patch(self, task_id: str) -> bytes:
        """What a task has changed, as `git apply` takes it.  Raises PygentError."""
        return await self._shadow.patch(*await self._snapshots(task_id))

    async def file(self, task_id: str, path: str, *, before: bool) -> str:
        """A changed file as the task was given it, or as it is now; empty where there was or is none.

        Raises PygentError `notFound` for a path that was not changed.
        """
        for entry in await self._shadow.entries(*await self._snapshots(task_id)):
            if path in (entry.path, shown(entry.path)):
                version = entry.before if before else entry.after
                data = b"" if version is None else await self._shadow.content(version)
                return data.decode("utf-8", "replace")
        raise PygentError("notFound", f"The task did not change {path}.", "pygent.task.diff lists the files.")

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
        chosen = entries if paths is None else _chosen(entries, paths)
        target = (folder or self._home(self._store.task(task_id))).workspace
        return await Takeover(self._shadow, target, named=paths is not None, preview=preview).run(chosen)

    async def _snapshots(self, task_id: str) -> tuple[str, str]:
        """What the task was given, and what it has now: its folder while that is there, else its result."""
        task = self._store.task(task_id)
        if task.base is None:
            raise PygentError("unsupported", "It is not known what the task was given.")
        if not has_begun(task):
            return task.base, task.result or task.base
        place = Path(task.workspace)
        before = _identity(place)
        try:
            now = await self._shadow.whole(place, {})
        except PygentError:
            if _identity(place) == before:
                raise
        else:
            if _identity(place) == before:
                return task.base, now
        raise PygentError("conflict", "The task's folder is being removed.", "Try again.")

    def _home(self, task: Task) -> Folder:
        return self._sessions.home(self._store.session(task.session_id))


def shown(path: str) -> str:
    """A path as JSON can hold it: what is no UTF-8 as replacement characters."""
    return path.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _chosen(entries: Sequence[Entry], paths: Sequence[str]) -> list[Entry]:
    """The entries of these paths, as they are or as they were shown.  Raises PygentError `notFound`."""
    known = {name for entry in entries for name in (entry.path, shown(entry.path))}
    if unknown := set(paths) - known:
        names = ", ".join(" ".join(shown(entry.path).split()) for entry in entries[:20]) or "none"
        message = f"The task did not change {', '.join(sorted(unknown))}."
        raise PygentError("notFound", message, f"It changed: {names}.")
    return [entry for entry in entries if entry.path in paths or shown(entry.path) in paths]


def has_begun(task: Task) -> bool:
    """Whether a task's folder is made: a task whose files are in a snapshot gets it when it starts."""
    return Path(task.workspace).exists()


def _identity(place: Path) -> int | None:
    """Which folder is at a place; it is taken from there before its files go."""
    try:
        return place.stat().st_ino
    except FileNotFoundError:
        return None
