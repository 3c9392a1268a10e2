"""The one door through which the host looks into a folder that an agent or a stranger may have filled.

A path that was checked and is then opened by its name may be another file by that time: a command that runs
beside us can swap a folder for a link.  Here each part of a path is opened relative to its parent's handle
and never through a link (openat(2) with O_NOFOLLOW).  Only plain files are read, with a limit, and nothing
waits for a pipe or a device.  Everything raises OSError unless it says otherwise.

`root` is the folder that no path leaves.  `read_chosen` is for files that the person named; it follows links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PIN = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC  # macOS has no O_PATH


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
    with opened(path, root) as handle:
        return _all(handle, limit + 1)


def read_chosen(path: Path, limit: int) -> bytes:
    """The bytes of a plain file that the person chose, wherever a link leads; at most `limit` + 1.

    Never for a path that a folder, a command or the model names: that is what `read` is for.
    """
    with _opened(os.fspath(path), None, follow=True) as handle:
        return _all(handle, limit + 1)


@contextlib.contextmanager
def opened(path: Path, root: Path) -> Iterator[int]:
    """A handle of a plain file, for reading."""
    with folder_of(path, root) as (folder, name), _opened(name, folder) as handle:
        yield handle


def status(path: Path, root: Path) -> os.stat_result | None:
    """What lies at a path: of a link the link itself.  None if nothing does, or only by way of a link."""
    if path == root:
        return root.stat()
    try:
        with folder_of(path, root) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise


def is_file(path: Path, root: Path) -> bool:
    """Whether a plain file lies at a path."""
    found = status(path, root)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_folder(path: Path, root: Path) -> bool:
    """Whether a folder lies at a path, and no link to one."""
    found = status(path, root)
    return found is not None and stat.S_ISDIR(found.st_mode)


def pinned(path: Path, root: Path) -> int:
    """A handle that stays on the file or folder at a path, whatever takes its place there (O_PATH).

    The caller closes it.  `/proc/self/fd/N` names what was looked at, for a mount or a program of ours.
    A link is refused.
    """
    if path == root:
        return os.open(root, _PIN | os.O_DIRECTORY)
    with folder_of(path, root) as (folder, name):
        handle = os.open(name, _PIN | os.O_NOFOLLOW, dir_fd=folder)
    if stat.S_ISLNK(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ELOOP, "Is a symbolic link")
    return handle


def copy(source: Path, source_root: Path, target: Path, target_root: Path, limit: int | None = None) -> None:
    """Copy a plain file from below one root to below another, with its permissions, whole or not at all.

    Raises OSError, EFBIG for a file of more than `limit` bytes.
    """
    with opened(source, source_root) as handle:
        mode = stat.S_IMODE(os.fstat(handle).st_mode) & 0o777
        data = _all(handle, sys.maxsize if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    write_atomic(target, data, mode, root=target_root)


def make_folder(path: Path, root: Path) -> None:
    """Make a folder and those above it that are missing; one that is there stays."""
    with folder_of(path / "_", root, make=True):
        pass


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


def private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, for their owner only; one that is there stays."""
    if not path.parent.exists():
        private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def private(path: Path, root: Path | None = None, *, append: bool = False) -> int:
    """A handle to write a file of ours, which only its owner may read from now on, whatever the umask.

    It is made if missing, and emptied unless `append`.  What lies there as a link or is no plain file is
    refused; inside a `root`, so are links on the way.  The caller closes the handle.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with folder_of(path, root or path.parent, make=True) as (folder, name):
        handle = os.open(name, flags | (os.O_APPEND if append else 0), 0o600, dir_fd=folder)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a plain file")
        if stat.S_IMODE(mode) != 0o600:
            os.fchmod(handle, 0o600)
        if not append:
            os.ftruncate(handle, 0)
    except BaseException:
        os.close(handle)
        raise
    return handle


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


_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@contextlib.contextmanager
def _opened(name: str, folder: int | None, *, follow: bool = False) -> Iterator[int]:
    """A handle of a plain file; O_NONBLOCK, because opening a pipe would wait for its other end."""
    flags = os.O_RDONLY | (0 if follow else os.O_NOFOLLOW) | os.O_NONBLOCK | os.O_CLOEXEC
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
