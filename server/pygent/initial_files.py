"""The files that a new workspace begins with (`PYGENT_INIT_FILES`)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pygent import file_trees, files


def copy_in(sources: Sequence[Path], folder: Path, workspace: Path) -> list[str]:
    """Copy files and folders into a workspace, each by its own name; returns problems, in sentences.

    What lies there already stays, also a link that leads nowhere.  A source in the settings' `folder` or in
    the workspace, where commands write, is reached through no link.  One elsewhere is the person's choice and
    may be a link; the links inside of it stay links.
    """
    problems = []
    for source in sources:
        try:
            found = _source(source, (folder, workspace))
            if found is None:
                problems.append(f"The initial file {source} does not exist.")
            elif found[0] != workspace and files.status(workspace / source.name, workspace) is None:
                file_trees.copy_tree(*found, workspace / source.name, workspace)
        except OSError as error:
            problems.append(f"The initial file {source} can't be copied: {error.strerror or error}.")
    return problems


def _source(source: Path, writable: Sequence[Path]) -> tuple[Path, Path] | None:
    """Where a source really is, and the folder below which it is opened; None if it is not there."""
    real = Path(os.path.realpath(source))
    for root in writable:
        for path in (source, real):
            if path == root or root in path.parents:
                found = files.status(path, root)
                if found is not None and stat.S_ISLNK(found.st_mode):
                    raise OSError(errno.ELOOP, "it is a link; name the file or folder itself")
                return None if found is None else (path, root)
    return (real, real.parent) if real.exists() else None
