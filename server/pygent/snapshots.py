"""Copies of a workspace for delegated tasks: what the task was given, and nothing that git ignores."""

from __future__ import annotations

import asyncio
import errno
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from pygent import file_trees, files
from pygent.errors import PygentError, ToolError
from pygent.gitignore import walk
from pygent.protected import is_protected
from pygent.workspace import Workspace

MAX_COPIED = 1 << 30
"""Bytes of one file that is copied: a command can make a file that claims any size."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)


def unsaved(workspace: Workspace) -> dict[Path, str]:
    """The texts of the workspace's files that are open and not saved."""
    documents = workspace.documents
    if documents is None:
        return {}
    dirty = [path for path in documents.dirty() if workspace.root in path.parents]
    return {path: documents.text(path) or "" for path in dirty}


async def give(workspace: Workspace, place: Path, names: Sequence[str]) -> None:
    """Give a task's workspace these files of another, with its unsaved buffers.

    Raises PygentError: `denied` for a path that leads out, `notFound` for a missing file, `conflict`.
    """
    inside = unsaved(workspace)
    try:
        chosen = [workspace.resolve(name) for name in names]
        if missing := [path for path in chosen if not (workspace.is_file(path) or workspace.is_folder(path))]:
            raise PygentError("notFound", f"There is no {missing[0]}.", "Name existing files.")
        await asyncio.to_thread(copy_some, workspace.root, place, chosen, inside)
    except ToolError as error:
        raise PygentError("denied", str(error)) from error
    except OSError as error:
        shutil.rmtree(place.parent, ignore_errors=True)
        why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        fix = "Add it to .gitignore." if error.errno == errno.EFBIG else None
        raise PygentError("conflict", f"The task's workspace can't be made: {why}.", fix) from error


def copy_some(root: Path, target: Path, chosen: Sequence[Path], buffers: Mapping[Path, str]) -> None:
    """Copy only these files and folders of the workspace, at the same relative paths.  Raises OSError."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in chosen:
        for file in walk(root, path) if files.is_folder(path, root) else [path]:
            _copy(file, root, target)
    inside = {
        path: text
        for path, text in buffers.items()
        if any(path == one or one in path.parents for one in chosen)
    }
    _lay_over(root, target, inside)


def collect(source: Path, task: Path, target: Path, root: Path) -> list[Path]:
    """Copy a file, or the files below a folder, of a task's workspace to a place below `root`.

    Links are left out, and what is protected in a workspace: an agent made these files.
    Returns the copies.  Raises PygentError `notFound`, `denied` or `conflict`.
    """
    copies = []
    for file in _plain_files(source, task):
        copy = target if file == source else target / file.relative_to(source)
        if is_protected(copy.relative_to(root).as_posix()):
            continue
        try:
            files.copy(file, task, copy, root, MAX_COPIED)
        except OSError as error:
            raise PygentError(
                "conflict", f"{file.name} can't be copied to {copy}: {error.strerror}."
            ) from error
        copies.append(copy)
    if not copies:
        raise PygentError("denied", f"{source.name} holds no file that may be taken over.")
    return copies


def _plain_files(source: Path, task: Path) -> list[Path]:
    """The file, or the files below the folder.  Raises PygentError `notFound` if there is neither."""
    if files.is_folder(source, task):
        return [path for path, kind in file_trees.walk(source, task) if stat.S_ISREG(kind)]
    if files.is_file(source, task):
        return [source]
    raise PygentError("notFound", f"There is no {source.name} in the task's workspace.")


def _copy(source: Path, root: Path, target: Path) -> None:
    """Copy a file of the workspace; one that a command removed or replaced meanwhile is left out."""
    try:
        files.copy(source, root, target / source.relative_to(root), target, MAX_COPIED, times=True)
    except OSError as error:
        if error.errno not in _GONE:
            raise OSError(error.errno, error.strerror, source.relative_to(root).as_posix()) from error


def _lay_over(root: Path, target: Path, buffers: Mapping[Path, str]) -> None:
    for path, text in buffers.items():
        copy = target / path.relative_to(root)
        files.write_atomic(copy, text.encode("utf-8", "surrogateescape"), root=target)
