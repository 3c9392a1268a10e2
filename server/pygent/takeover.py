"""Taking a task's changes over into the workspace: merged three ways, and nothing of a person's is lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pygent import file_trees, files
from pygent.errors import ToolError
from pygent.protected import is_protected
from pygent.records import Wire
from pygent.shadow import LINK, REPOSITORY, Entry, Shadow, Version, blob_of
from pygent.snapshots import MAX_COPIED
from pygent.workspace import MAX_TEXT, Workspace

EXECUTABLE = "100755"


class Conflict(Wire, frozen=True, kw_only=True):
    """A file that was left as it is, and why."""

    path: str
    reason: str


class Applied(Wire, frozen=True, kw_only=True):
    """What `pygent.task.apply` did, or with `preview` would do."""

    applied: list[str]
    conflicts: list[Conflict]


class _Left(Exception):
    """A file can't be taken over; the message says why."""


@dataclass(frozen=True, slots=True)
class _State:
    """A file as it is in the workspace: git's mode and its bytes, or a link's target."""

    mode: str
    data: bytes


class Takeover:
    """Takes entries over into a workspace; `named` says that a person chose the files one by one."""

    def __init__(self, shadow: Shadow, workspace: Workspace, *, named: bool, preview: bool) -> None:
        self._shadow = shadow
        self._workspace = workspace
        self._named = named
        self._preview = preview
        self._gone: set[Path] = set()
        """Files that are deleted, or with `preview` would be."""

    async def run(self, entries: Sequence[Entry]) -> Applied:
        """Take over what can be, file by file."""
        reasons = {}
        for entry in sorted(entries, key=lambda entry: entry.after is not None):  # what goes makes place
            try:
                await self._take(entry)
                if entry.after is None:
                    self._gone.add(self._workspace.root / entry.path)
            except _Left as error:
                reasons[entry.path] = str(error)
            except (ToolError, OSError) as error:
                said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                reasons[entry.path] = said
        return Applied(
            applied=[entry.path for entry in entries if entry.path not in reasons],
            conflicts=[
                Conflict(path=entry.path, reason=reasons[entry.path])
                for entry in entries
                if entry.path in reasons
            ],
        )

    async def _take(self, entry: Entry) -> None:
        path = self._place(entry)
        while True:
            ours = self._state(path)
            wanted = await self._merged(ours, entry)
            if self._preview or wanted == ours:
                return
            if self._state(path) == ours:
                break  # nobody has saved it since
        if wanted is None:
            await self._delete(path)
        elif wanted.mode == LINK:
            self._link(path, wanted.data)
        else:
            await self._write(path, wanted, ours)

    def _place(self, entry: Entry) -> Path:
        """Where the file belongs.  Raises _Left, and ToolError for a path that leads out."""
        if is_protected(entry.path) and not self._named:
            raise _Left("is protected; name it to take it over")
        if REPOSITORY in {version.mode for version in (entry.before, entry.after) if version is not None}:
            raise _Left("is a repository of its own")
        path = self._workspace.root / entry.path
        if self._workspace.resolve(str(path.parent)) != path.parent:
            raise _Left("is reached through a link")
        return path

    def _state(self, path: Path) -> _State | None:
        documents = self._workspace.documents
        buffer = None if documents is None else documents.text(path)
        try:
            with files.folder_of(path, self._workspace.root) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    return _State(LINK, os.fsencode(os.readlink(name, dir_fd=folder)))
        except FileNotFoundError:
            return None if buffer is None else _State("100644", buffer.encode("utf-8", "surrogateescape"))
        except NotADirectoryError:
            if self._gone.isdisjoint(path.parents):
                raise _Left("lies in a folder that is a file here") from None
            return None
        if stat.S_ISDIR(status.st_mode):
            inside = file_trees.walk(path, self._workspace.root)
            if any(inner not in self._gone for inner, kind in inside if not stat.S_ISDIR(kind)):
                raise _Left("is a folder here")
            return None
        mode = EXECUTABLE if status.st_mode & 0o100 else "100644"
        return _State(mode, self._data(path, buffered=buffer is not None))

    def _data(self, path: Path, *, buffered: bool) -> bytes:
        """The bytes of a file, or those that saving its open document would write."""
        if buffered:
            text = self._workspace.read(path)
            return text.encode(text.content)
        data = files.read(path, self._workspace.root, MAX_COPIED)
        if len(data) > MAX_COPIED:
            raise _Left("is too large to be compared")
        return data

    async def _version(self, version: Version | None) -> _State | None:
        return None if version is None else _State(version.mode, await self._shadow.content(version))

    async def _merged(self, ours: _State | None, entry: Entry) -> _State | None:
        here = None if ours is None else Version(ours.mode, blob_of(ours.data))
        if here == entry.after:
            return ours
        theirs = await self._version(entry.after)
        if here == entry.before:
            return theirs
        base = await self._version(entry.before)
        if base is None or ours is None or theirs is None:
            raise _Left(
                {
                    (True, False): "was made here, too, and is different",
                    (False, True): "was changed here, and the task deleted it",
                }.get((base is None, theirs is None), "was deleted here, and the task changed it")
            )
        if LINK in (ours.mode, base.mode, theirs.mode):
            raise _Left("is a link on one side and was changed on both")
        if max(len(one.data) for one in (ours, base, theirs)) > 10 * MAX_TEXT:
            raise _Left("was changed here, too, and is too large to be merged")
        data = await self._shadow.merge(base.data, ours.data, theirs.data)
        if data is None:
            raise _Left("was changed here in the same place, or is no text")
        return _State(theirs.mode if theirs.mode != base.mode else ours.mode, data)

    async def _write(self, path: Path, wanted: _State, ours: _State | None) -> None:
        documents = self._workspace.documents
        if documents is not None and (buffer := documents.text(path)) is not None:
            text = wanted.data.decode("utf-8", "surrogateescape")
            if not await documents.apply(path, buffer, text, f"Pygent: {path.name}"):
                raise _Left("is open in the editor, which refused the edit")
            return
        if ours is not None and ours.mode == LINK:
            files.remove(path, self._workspace.root)
        mode = None
        if ours is None or ours.mode != wanted.mode:
            mode = 0o755 if wanted.mode == EXECUTABLE else 0o644
        files.write_atomic(path, wanted.data, mode, root=self._workspace.root)

    async def _delete(self, path: Path) -> None:
        documents = self._workspace.documents
        buffer = None if documents is None else documents.text(path)
        if documents is not None and buffer is not None:
            if await documents.delete(path, buffer, f"Pygent: delete {path.name}"):
                return
            raise _Left("is open in the editor; close it to delete it")
        files.remove(path, self._workspace.root)

    def _link(self, path: Path, target: bytes) -> None:
        name = os.fsdecode(target)
        where = Path(os.path.normpath(path.parent / name))
        if Path(name).is_absolute() or self._workspace.root not in where.parents:
            raise _Left("is a link that leads out of the workspace")
        files.make_link(path, self._workspace.root, name)
