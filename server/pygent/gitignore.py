"""The files of a folder that `.gitignore` does not leave out, without git and without following links.

Git itself is not run: over a hostile work tree it executes what the repository's configuration names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pathspec


def walk(root: Path, start: Path) -> Iterator[Path]:
    """The files below `start` that no `.gitignore` leaves out, from the root down; links are not followed."""
    rules = [rule for folder in reversed([start, *_between(root, start)]) if (rule := _rule(folder))]
    yield from _walk(str(start), rules)


Rule: TypeAlias = "tuple[int, pathspec.GitIgnoreSpec]"
"""Where the paths that a `.gitignore` judges begin, and its patterns."""


def _walk(folder: str, rules: list[Rule]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_file(follow_symlinks=False) and not _left_out(entry.path, rules):
            yield Path(entry.path)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False) or entry.name == ".git":
            continue
        if not _left_out(f"{entry.path}/", rules):
            inner = _rule(Path(entry.path))
            yield from _walk(entry.path, [*rules, inner] if inner else rules)


def _between(root: Path, start: Path) -> list[Path]:
    return [] if start == root else [folder for folder in start.parents if root in [folder, *folder.parents]]


def _rule(folder: Path) -> Rule | None:
    import pathspec  # noqa: PLC0415 - thirty milliseconds

    try:
        lines = (folder / ".gitignore").read_text("utf-8", "replace").splitlines()
        return len(str(folder)) + 1, pathspec.GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return None  # git, too, passes over a pattern that it can't read


def _left_out(path: str, rules: list[Rule]) -> bool:
    """The verdict of the nearest `.gitignore` that has one."""
    for start, spec in reversed(rules):
        verdict = spec.check_file(path[start:]).include
        if verdict is not None:
            return verdict
    return False
