"""Which protected files and folders a workspace holds, at any depth, kept current at little cost.

The kernel tells in which folders names came and went, and only those are read again.  Where it can't be
asked, every known folder's change time is looked at, which no command can set back.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pygent.protected import OWN_PLACES, Kind, kind_of
from pygent.sandbox.inotify import IGNORED, ISDIR, OVERFLOW, Inotify

MOST_FOLDERS = 50_000
"""Folders that are looked into, those near the root first."""
MOST_LEVELS = 100
"""Folders below each other that are looked into: each is opened from the root, part by part."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A protected file, folder or link: what it is, its device and inode, and the type part of its mode."""

    kind: Kind
    identity: Identity
    type: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What there was when a command started, by names relative to the root.

    `kept` can't be changed and `hidden` not be read, as long as the entries have these identities;
    `opened` is what the settings let commands change below `kept`.  `loose` are marks of the contents of
    what nothing holds.
    """

    kept: Mapping[str, Identity]
    hidden: Mapping[str, Identity]
    opened: tuple[str, ...]
    loose: Mapping[str, str] = field(compare=False)
    there: frozenset[str] = field(compare=False)

    @property
    def mounted(self) -> dict[str, Identity]:
        """Everything that is held."""
        return {**self.kept, **self.hidden}


NOTHING = Taken({}, {}, (), {}, frozenset())


@dataclass(slots=True)
class _Folder:
    """A folder as it was read: its inode and change time, its number in the queue, and what is in it."""

    known: tuple[int, int]
    number: int | None
    entries: dict[str, Entry] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)


class Survey:
    """The protected entries below a root, by their names relative to it.

    `given_up` is called before `handle` is closed because there are too many folders to hear of.
    """

    def __init__(self, root: Path, given_up: Callable[[], None] = lambda: None) -> None:
        self._given_up = given_up
        self._root = root
        self._folders: dict[str, _Folder] = {}
        self._numbers: dict[int, str] = {}
        self._queue: Inotify | None = None
        self._entries: dict[str, Entry] = {}
        with contextlib.suppress(OSError):
            self._queue = Inotify()

    @property
    def handle(self) -> int | None:
        """A file descriptor that is readable when something changed; None where one must ask."""
        return None if self._queue is None else self._queue.handle

    def look(self) -> dict[str, Entry]:
        """What is there now."""
        root = self._folders.get("")
        here = self._known("")
        if root is None or here is None or root.known[0] != here[0]:
            self._forget("")
            changed = {""}
        else:
            changed = self._changed()
        for name in sorted(changed):
            self._read(name)
        if changed:
            self._entries = {
                f"{place}/{name}" if place else name: entry
                for place, folder in self._folders.items()
                for name, entry in folder.entries.items()
            }
        return self._entries

    def close(self) -> None:
        """Look no more."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def _changed(self) -> set[str]:
        """The folders that must be read again."""
        if self._queue is None:
            return {name for name, folder in self._folders.items() if self._known(name) != folder.known}
        changed = set()
        for number, flags, name in self._queue.changes():
            if flags & OVERFLOW:
                self._forget("")
                return {""}
            place = self._numbers.get(number)
            if flags & IGNORED and place is not None:
                del self._numbers[number]
                self._folders.pop(place, None)
            elif place is not None and (flags & ISDIR or kind_of(name)):
                changed.add(place)
        return changed

    def _known(self, name: str) -> tuple[int, int] | None:
        try:
            found = os.stat(f"{self._root}/{name}", follow_symlinks=not name)  # noqa: PTH116
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    def _read(self, name: str) -> None:
        """Read a folder and what is new below it, level by level."""
        if name and name not in self._folders:
            return  # forgotten with the folder above it
        waiting = deque([name])
        while waiting:
            place = waiting.popleft()
            try:
                handle = self._open(place)
                try:
                    new = self._list(place, handle)
                finally:
                    os.close(handle)
            except OSError:
                self._forget(place)
                continue
            for child in new:
                self._forget(child)
                if len(self._folders) + len(waiting) < MOST_FOLDERS and child.count("/") < MOST_LEVELS:
                    waiting.append(child)

    def _open(self, name: str) -> int:
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in name.split("/") if name else ():
            parent = handle
            try:
                handle = os.open(part, _FOLDER, dir_fd=parent)
            finally:
                os.close(parent)
        return handle

    def _list(self, name: str, handle: int) -> list[str]:
        """Take in what a folder holds; returns the folders in it that are new."""
        number = self._hear(name, handle)  # before it is read: nothing comes in between unheard
        found = os.fstat(handle)
        old = self._folders.get(name)
        folder = self._folders[name] = _Folder((found.st_ino, found.st_ctime_ns), number)
        with os.scandir(handle) as listed:
            for entry in listed:
                kind = kind_of(entry.name)
                if kind is not None and _counts(kind, entry):
                    there = entry.stat(follow_symlinks=False)
                    identity = (there.st_dev, there.st_ino)
                    folder.entries[entry.name] = Entry(kind, identity, stat.S_IFMT(there.st_mode))
                elif entry.is_dir(follow_symlinks=False) and entry.name not in OWN_PLACES:
                    folder.folders[entry.name] = entry.inode()
        before = {} if old is None else old.folders
        prefix = f"{name}/" if name else ""
        for gone in before.keys() - folder.folders.keys():
            self._forget(prefix + gone)
        return [
            prefix + child
            for child, inode in folder.folders.items()
            if before.get(child) != inode or prefix + child not in self._folders
        ]

    def _hear(self, name: str, handle: int) -> int | None:
        if self._queue is None:
            return None
        try:
            number = self._queue.add(handle)
        except OSError:  # too many: from now on we ask
            self._given_up()
            self.close()
            return None
        self._numbers[number] = name
        return number

    def _forget(self, name: str) -> None:
        """Drop a folder and all below it."""
        folder = self._folders.pop(name, None)
        if folder is None:
            return
        if folder.number is not None and self._numbers.get(folder.number) == name:
            del self._numbers[folder.number]
            if self._queue is not None:
                self._queue.drop(folder.number)
        for child in folder.folders:
            self._forget(f"{name}/{child}" if name else child)


def _counts(kind: Kind, entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a protected name is one: a folder `.env` is no secret, and a pipe runs nothing."""
    if entry.is_dir(follow_symlinks=False):
        return kind != "secret"
    return entry.is_symlink() or entry.is_file(follow_symlinks=False)
