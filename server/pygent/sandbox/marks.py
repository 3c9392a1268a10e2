"""Marks by which the contents of protected files and folders are told apart."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pygent import files
from pygent.sandbox.survey import Entry

MOST_FILES = 300
"""Files of one folder that count."""
MOST_BYTES = 256 * 1024
"""Of a larger file its status is the mark."""
RUNS = ("config", "config.worktree", "hooks", "info", "commondir", "gitdir")
"""What in a `.git` names or is a program: the rest of it changes with every command of git."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_Status = tuple[tuple[str, int, int, int], ...]


class Marks:
    """The marks of one workspace.  A file is read only if its status is new: nothing sets ctime back."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[_Status, str]] = {}

    def of(self, entries: Mapping[str, Entry]) -> dict[str, str]:
        """The marks of entries, by their names; what can't be read has a mark of its own."""
        return {name: self._mark(name, entry) for name, entry in entries.items()}

    def _mark(self, name: str, entry: Entry) -> str:
        try:
            with files.folder_of(self._root / name, self._root) as (folder, last):
                if entry.type == stat.S_IFLNK:
                    return f"link {os.readlink(last, dir_fd=folder)}"
                status = tuple(_statuses(folder, last))
        except OSError as error:
            return f"error {error.errno}"
        known = self._known.get(name)
        if known is None or known[0] != status:
            known = self._known[name] = status, self._contents(name, status)
        return known[1]

    def _contents(self, name: str, status: _Status) -> str:
        seen = hashlib.sha256()
        for part, *rest in status:
            seen.update(os.fsencode(f"{part}\0"))
            path = self._root / name / part if part else self._root / name
            try:
                data = files.read(path, self._root, MOST_BYTES)
            except OSError:
                data = b""
            whole = data and len(data) <= MOST_BYTES
            seen.update(hashlib.sha256(data).digest() if whole else repr(rest).encode())
        return seen.hexdigest()


def _statuses(folder: int, name: str) -> Iterator[tuple[str, int, int, int]]:
    """Names below an entry with inode, size and change time; the entry itself has the name ``."""
    there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(there.st_mode):
        yield "", there.st_ino, there.st_size, there.st_ctime_ns
        return
    waiting, left = [(name, "")], MOST_FILES
    while waiting and left > 0:
        place, shown = waiting.pop()
        handle = os.open(place, _FOLDER, dir_fd=folder)
        try:
            with os.scandir(handle) as listed:
                for entry in sorted(listed, key=lambda entry: entry.name):
                    inside = f"{shown}/{entry.name}" if shown else entry.name
                    if name.lower() == ".git" and inside.partition("/")[0] not in RUNS:
                        continue
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((f"{place}/{entry.name}", inside))
                    else:
                        found = entry.stat(follow_symlinks=False)
                        yield inside, found.st_ino, found.st_size, found.st_ctime_ns
        finally:
            os.close(handle)
