"""Copies of a workspace for delegated tasks: what the task was given, and nothing that git ignores."""

from __future__ import annotations

import asyncio
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from pygent.errors import PygentError, ToolError
from pygent.files import write_atomic
from pygent.gitignore import walk
from pygent.workspace import Workspace, is_protected


def unsaved(workspace: Workspace) -> dict[Path, str]:
    """The texts of the workspace's files that are open and not saved."""
    documents = workspace.documents
    if documents is None:
        return {}
    dirty = [path for path in documents.dirty() if workspace.root in path.parents]
    return {path: documents.text(path) or "" for path in dirty}


async def give(workspace: Workspace, place: Path, files: Sequence[str]) -> None:
    """Give a task's workspace these files of another, with its unsaved buffers.

    Raises PygentError: `denied` for a path that leads out, `notFound` for a missing file, `conflict`.
    """
    inside = unsaved(workspace)
    try:
        chosen = [workspace.resolve(name) for name in files]
        if missing := [str(path) for path in chosen if not path.exists()]:
            raise PygentError("notFound", f"There is no {missing[0]}.", "Name existing files.")
        await asyncio.to_thread(copy_some, workspace.root, place, chosen, inside)
    except ToolError as error:
        raise PygentError("denied", str(error)) from error
    except OSError as error:
        shutil.rmtree(place.parent, ignore_errors=True)
        raise PygentError("conflict", f"The task's workspace can't be made: {error}.") from error


def copy_some(root: Path, target: Path, files: Sequence[Path], buffers: Mapping[Path, str]) -> None:
    """Copy only these files and folders of the workspace, at the same relative paths.  Raises OSError."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in files:
        for file in walk(root, path) if path.is_dir() else [path]:
            _copy(file, target / file.relative_to(root))
    chosen = {
        path: text for path, text in buffers.items() if any(path == f or f in path.parents for f in files)
    }
    _lay_over(root, target, chosen)


def collect(source: Path, target: Path, root: Path) -> list[Path]:
    """Copy a file, or the files below a folder, to a place below `root`; returns the copies.

    Links are left out, and what is protected in a workspace: an agent made these files.
    Raises PygentError `notFound`, `denied` or `conflict`.
    """
    if not source.exists():
        raise PygentError("notFound", f"There is no {source.name} in the task's workspace.")
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    copies = []
    for file in files:
        if file.is_symlink():
            continue
        copy = target if file == source else target / file.relative_to(source)
        if is_protected(copy.relative_to(root).as_posix()):
            continue
        try:
            write_atomic(copy, file.read_bytes(), stat.S_IMODE(file.stat().st_mode), root=root)
        except OSError as error:
            raise PygentError(
                "conflict", f"{file.name} can't be copied to {copy}: {error.strerror}."
            ) from error
        copies.append(copy)
    if not copies:
        raise PygentError("denied", f"{source.name} holds no file that may be taken over.")
    return copies


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _lay_over(root: Path, target: Path, buffers: Mapping[Path, str]) -> None:
    for path, text in buffers.items():
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8", newline="")
