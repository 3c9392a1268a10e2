"""What is known of a folder since it was taken last, so that only files that changed are read again."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import msgspec

FORMAT = "pygent folder 1"
TICK = 20_000_000
"""Nanoseconds in which a file may change twice and keep its time: a tick of the kernel's clock, twice."""
COARSE = 2_000_000_000
"""The same for file systems that keep whole seconds, or two of them."""


class File(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file or link: git's mode, the content's id, and by what it is told that it is unchanged (stat(2)).

    One that could change again within the same tick of the clock has the time -1: it is read again, as git
    does with "racily clean" entries (its Documentation/technical/racy-git).
    """

    mode: int
    oid: bytes
    size: int = -1
    modified: int = -1
    changed: int = -1
    inode: int = -1

    @classmethod
    def of(cls, mode: int, oid: bytes, status: os.stat_result, looked: int) -> File:
        """A file whose content was read after `looked`, a time in nanoseconds, and after its status was."""
        latest = max(status.st_mtime_ns, status.st_ctime_ns)
        width = TICK if status.st_mtime_ns % 1_000_000_000 else COARSE
        return cls.written(mode, oid, status) if latest + width < looked else cls(mode, oid)

    @classmethod
    def written(cls, mode: int, oid: bytes, status: os.stat_result) -> File:
        """A file that nobody else can change yet."""
        return cls(mode, oid, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def doubted(self, looked: int) -> File:
        """The file as others may change it from `looked` on."""
        width = TICK if self.modified % 1_000_000_000 else COARSE
        return self if max(self.modified, self.changed) + width < looked else File(self.mode, self.oid)

    def is_still(self, status: os.stat_result | None) -> bool:
        """Whether the file is as it was."""
        return (
            status is not None
            and self.changed == status.st_ctime_ns
            and self.modified == status.st_mtime_ns
            and self.inode == status.st_ino
            and self.size == status.st_size
        )


class Known(msgspec.Struct, array_like=True):
    """A folder as it was taken: its tree's id, empty if that is to be made, its files and folders.

    Links and repositories are files here, as in git.
    """

    tree: bytes = b""
    files: dict[bytes, File] = msgspec.field(default_factory=dict)
    folders: dict[bytes, Known] = msgspec.field(default_factory=dict)


def released(known: Known, looked: int) -> Known:
    """A folder that others may change from `looked` on."""
    return Known(
        known.tree,
        {name: file.doubted(looked) for name, file in known.files.items()},
        {name: released(folder, looked) for name, folder in known.folders.items()},
    )


class _Cache(msgspec.Struct, array_like=True):
    format: str
    cleaned: int
    root: Known


def load(path: Path, cleaned: int) -> tuple[Known, bool]:
    """What a cache says, nothing if it can't be read; and whether objects may have been removed since.

    `cleaned` is the time of the last clean-up.
    """
    try:
        cache = msgspec.msgpack.decode(path.read_bytes(), type=_Cache)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return Known(), False
    if cache.format != FORMAT:
        return Known(), False
    return cache.root, cache.cleaned != cleaned


def save(path: Path, root: Known, cleaned: int) -> None:
    """Keep it, whole or not at all.  Raises OSError."""
    private = path.with_name(f"{path.name.partition('-')[0]}-{secrets.token_hex(8)}.new")
    try:
        with private.open("xb") as file:
            file.write(msgspec.msgpack.encode(_Cache(FORMAT, cleaned, root)))
        private.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            private.unlink()


def now() -> int:
    """Nanoseconds, as the times of files."""
    return time.time_ns()
