"""Files read and replaced through directory handles, so that no link can lead out of a folder in between.

A path that was checked and is then opened by its name may be another file by that time: a command that runs
beside the tool can swap a folder for a link.  Here each part is opened relative to its parent's handle and
never through a link (openat(2) with O_NOFOLLOW).  Everything raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def folder_of(path: Path, root: Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """A handle of the folder that a path below `root` lies in, and the path's last name.

    `make` makes folders that are missing; they belong to the root's owner.
    """
    *folders, name = path.relative_to(root).parts
    handle = os.open(root, _FOLDER)
    try:
        owner = os.fstat(handle)
        for part in folders:
            handle, parent = _step(handle, part, owner if make else None), handle
            os.close(parent)
        yield handle, name
    finally:
        os.close(handle)


def read(path: Path, root: Path, limit: int) -> bytes:
    """The bytes of a plain file; at most `limit` + 1, so that a longer file can be told."""
    with folder_of(path, root) as (folder, name), _opened(name, folder) as handle:
        return _all(handle, limit + 1)


def entries(path: Path, root: Path) -> list[str]:
    """The names in a folder, sorted, those of folders with a slash at the end."""
    with contextlib.ExitStack() as stack:
        if path == root:
            handle = os.open(root, _FOLDER)
        else:
            folder, name = stack.enter_context(folder_of(path, root))
            handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        stack.callback(os.close, handle)
        with os.scandir(handle) as found:
            return sorted(entry.name + ("/" if entry.is_dir() else "") for entry in found)


def write_atomic(path: Path, data: bytes, mode: int | None = None, *, root: Path | None = None) -> None:
    """Replace a file so that a crash at any instant leaves the old contents or the new ones.

    An existing file keeps its permissions unless `mode` says otherwise, and its owner as far as we may
    give it; a new one gets the usual ones, and inside a `root` that folder's owner.
    """
    with folder_of(path, root or path.parent, make=True) as (folder, name):
        old = _status(name, folder)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OSError(errno.EINVAL, "Not a plain file")
        if mode is None:
            mode = 0o666 & ~_umask() if old is None else stat.S_IMODE(old.st_mode)
        temporary = f".pygent-{secrets.token_hex(6)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
                file.flush()
                _give(file.fileno(), old or os.fstat(folder))
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def remove(path: Path, root: Path) -> None:
    """Remove a file or link, and the folders below `root` that are empty without it."""
    with folder_of(path, root) as (folder, name):
        os.unlink(name, dir_fd=folder)
    for parent in path.relative_to(root).parents:
        if parent.name:
            with contextlib.suppress(OSError), folder_of(root / parent, root) as (folder, name):
                os.rmdir(name, dir_fd=folder)


def _step(folder: int, name: str, owner: os.stat_result | None) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        if owner is None:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    _give(handle, owner)
    return handle


@contextlib.contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    """A handle of a plain file; O_NONBLOCK, because opening a pipe would wait for its other end."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=folder)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a plain file")
        yield handle
    finally:
        os.close(handle)


def _all(handle: int, limit: int) -> bytes:
    pieces = []
    while limit > 0 and (piece := os.read(handle, min(limit, 1 << 20))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _give(handle: int, owner: os.stat_result) -> None:
    """Root leaves no files of its own in a person's folder."""
    if os.geteuid() == 0 and os.fstat(handle).st_uid != owner.st_uid:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
