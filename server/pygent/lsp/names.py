"""The files of a workspace folder by name, for completion: read in a thread, again when it is asked later."""

from __future__ import annotations

import asyncio
import heapq
import os
import stat
import time
from pathlib import Path

from pygent import files
from pygent.gitignore import walk
from pygent.protected import is_secret

FRESH = 5.0
"""Seconds for which a list of names is taken as it is; after that it is read again, besides.  A list that
took long to read is good for longer."""
FIRST = 0.2
"""Seconds that a completion waits for the first list of a large folder."""
MAX_FILES = 200_000


class Names:
    """The file names of the folders that one client works in."""

    def __init__(self) -> None:
        self._folders: dict[Path, FileNames] = {}

    def of(self, root: Path) -> FileNames:
        """Those of a folder."""
        return self._folders.setdefault(root, FileNames(root))


class FileNames:
    """The names of one folder's files, relative to it, without those that `.gitignore` leaves out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: list[tuple[str, str]] | None = None
        """Each in lower case, too."""
        self._fresh_until = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def find(self, begun: str, limit: int) -> tuple[list[str], bool]:
        """Names that have all the characters of what was begun, the best first, and whether these are all."""
        if time.monotonic() > self._fresh_until:
            self.read()
        if self._names is None and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=FIRST)
        if self._names is None:
            return await asyncio.to_thread(self._here, begun, limit), False
        found = _best(self._names, begun, limit + 1)
        return found[:limit], len(found) <= limit

    def read(self) -> None:
        """Read the names besides; a reading that is under way is enough."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        began = time.monotonic()
        names = await asyncio.to_thread(_names, self.root)
        self._names = [(name.lower(), name) for name in names]
        now = time.monotonic()
        self._fresh_until = now + max(FRESH, 20 * (now - began))

    def _here(self, begun: str, limit: int) -> list[str]:
        """What stands in the one folder that was begun, while the whole is not yet known."""
        folder = Path(os.path.realpath(self.root / begun.rpartition("/")[0]))
        if folder != self.root and self.root not in folder.parents:
            return []
        try:
            found = [name for name, kind in files.scan(folder, self.root) if stat.S_ISREG(kind)]
        except OSError:
            return []
        names = [(folder / name).relative_to(self.root).as_posix() for name in found if not is_secret(name)]
        return sorted(name for name in names if name.startswith(begun))[:limit]


def _names(root: Path) -> list[str]:
    names = []
    start = len(str(root)) + 1
    for path in walk(root, root):
        name = str(path)[start:]
        if not is_secret(name):
            names.append(name)
        if len(names) >= MAX_FILES:
            break
    return names


def _best(names: list[tuple[str, str]], begun: str, limit: int) -> list[str]:
    """Files whose names begin like this, then paths that do, that have it, and that have its letters."""
    wanted = begun.lower()
    if not wanted:
        return sorted((name for _, name in names), key=lambda name: (name.count("/"), name))[:limit]
    ranked = [(_rank(lower, wanted), len(name), name) for lower, name in names if wanted in lower]
    if len(ranked) < limit and len(wanted) > 1:
        loose = (pair for pair in names if wanted not in pair[0] and _has_letters(pair[0], wanted))
        ranked += [(3, len(name), name) for _, name in loose]
    return [name for _, _, name in heapq.nsmallest(limit, ranked)]


def _rank(lower: str, wanted: str) -> int:
    if lower.rpartition("/")[2].startswith(wanted):
        return 0
    return 1 if lower.startswith(wanted) else 2


def _has_letters(name: str, wanted: str) -> bool:
    at = -1
    for letter in wanted:
        at = name.find(letter, at + 1)
        if at < 0:
            return False
    return True
