"""The files of a folder that `.gitignore` does not leave out, without git and without following links.

Git itself is not run: over a hostile work tree it executes what the repository's configuration names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathspec


def walk(root: Path, start: Path) -> Iterator[Path]:
    """The files below `start` that no `.gitignore` leaves out, from the root down; links are not followed."""
    rules = {folder: _ignored(folder) for folder in [root, *_between(root, start)]}
    for folder, folders, files in os.walk(start):
        here = Path(folder)
        rules.setdefault(here, _ignored(here))
        kept = [name for name in folders if name != ".git" and not _left_out(here / name, rules, root, "/")]
        folders[:] = sorted(name for name in kept if not (here / name).is_symlink())
        for name in sorted(files):
            path = here / name
            if path.is_file() and not path.is_symlink() and not _left_out(path, rules, root, ""):
                yield path


def _between(root: Path, start: Path) -> list[Path]:
    return [] if start == root else [folder for folder in start.parents if root in folder.parents]


def _ignored(folder: Path) -> pathspec.GitIgnoreSpec | None:
    import pathspec  # noqa: PLC0415 - thirty milliseconds

    try:
        lines = (folder / ".gitignore").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return None  # git, too, passes over a pattern that it can't read


def _left_out(path: Path, rules: dict[Path, pathspec.GitIgnoreSpec | None], root: Path, end: str) -> bool:
    for folder in path.parents:
        spec = rules.get(folder)
        if spec is not None:
            verdict = spec.check_file(path.relative_to(folder).as_posix() + end).include
            if verdict is not None:
                return verdict
        if folder == root:
            break
    return False
