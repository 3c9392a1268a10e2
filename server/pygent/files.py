"""The one door through which the host looks into a folder that an agent or a stranger may have filled.

A path that was checked and is then opened by its name may be another file by that time: a command that runs
beside us can swap a folder for a link.  Here each part of a path is opened relative to its parent's handle
and never through a link (openat(2) with O_NOFOLLOW).  Only plain files are read, with a limit, and nothing
waits for a pipe or a device.  Everything raises OSError unless it says otherwise.

`root` is the folder that no path leaves.  It must be a real path (`os.path.realpath`): one that leads through
a link by now was swapped, and is refused with ESTALE.  `read_chosen` and `write_chosen` are for paths that
the person chose, or that are ours; they may lead through links.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_NAMES = 250_000
"""Names of one folder that are listed at the most; a command can make any number."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
HAS_PINS = hasattr(os, "O_PATH")
"""Whether a handle can stay on a file without opening it; macOS has none such."""
PIN = (os.O_PATH if HAS_PINS else os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC
_NO_LINKS = getattr(os, "O_NOFOLLOW_ANY", None)  # macOS: no part of the path may be a link
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@contextlib.contextmanager
def folder_of(path: Path, root: Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """A handle of the folder that a path below `root` lies in, and the path's last name.

    `make` makes folders that are missing; they belong to the root's owner.
    """
    *folders, name = _parts(path, root)
    handle = _root(root)
    try:
        owner = os.fstat(handle) if make else None
        for part in folders:
            handle, parent = _step(handle, part, owner), handle
            os.close(parent)
        yield handle, name
    finally:
        os.close(handle)


def read(path: Path, root: Path, limit: int) -> bytes:
    """The bytes of a plain file; at most `limit` + 1, so that a longer file can be told."""
    with opened(path, root) as handle:
        return b"".join(_pieces(handle, limit + 1))


def read_chosen(path: Path, limit: int) -> bytes:
    """The bytes of a plain file that the person chose, wherever a link leads; at most `limit` + 1.

    Never for a path that a folder, a command or the model names: that is what `read` is for.
    """
    with _opened(os.fspath(path), None, follow=True) as handle:
        return b"".join(_pieces(handle, limit + 1))


def placed(path: Path, *writable: Path) -> tuple[Path, Path]:
    """A path that the person chose, as it really is, and the root below which to open it.

    In one of the folders that are `writable` for commands that is this folder, and no link may lead on from
    there; elsewhere it is the path's own folder, wherever links lead to it.
    """
    folder = Path(os.path.realpath(path.parent))
    for root in writable:
        if root in path.parents:
            return path, root
        if root == folder or root in folder.parents:
            return folder / path.name, root
    return folder / path.name, folder


@contextlib.contextmanager
def opened(path: Path, root: Path) -> Iterator[int]:
    """A handle of a plain file, for reading."""
    with folder_of(path, root) as (folder, name), _opened(name, folder) as handle:
        yield handle


def status(path: Path, root: Path) -> os.stat_result | None:
    """What lies at a path: of a link the link itself.  None if nothing does, or only by way of a link."""
    if path == root:
        handle = _root(root)
        try:
            return os.fstat(handle)
        finally:
            os.close(handle)
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


def link_target(path: Path, root: Path) -> str:
    """Where a link points to, as it is written; EINVAL if there is no link at the path."""
    with folder_of(path, root) as (folder, name):
        return os.readlink(name, dir_fd=folder)


def pinned(path: Path, root: Path) -> int:
    """A handle that stays on the file or folder at a path, whatever takes its place there (O_PATH).

    The caller closes it.  `/proc/self/fd/N` names what was looked at, for a mount or a program of ours.
    A link is refused.
    """
    if path == root:
        return _root(root)
    with folder_of(path, root) as (folder, name):
        handle = os.open(name, PIN | os.O_NOFOLLOW, dir_fd=folder)
    if stat.S_ISLNK(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ELOOP, "Is a symbolic link")
    return handle


def scan(path: Path, root: Path) -> list[tuple[str, int]]:
    """The names in a folder, sorted, each with its kind: S_IFREG, S_IFDIR, S_IFLNK, or 0 for any other.

    At most MAX_NAMES of them.
    """
    with contextlib.ExitStack() as stack:
        if path == root:
            handle = _root(root)
        else:
            folder, name = stack.enter_context(folder_of(path, root))
            handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        stack.callback(os.close, handle)
        with os.scandir(handle) as found:
            return sorted((entry.name, _kind(entry)) for entry in itertools.islice(found, MAX_NAMES))


def entries(path: Path, root: Path) -> list[str]:
    """The names in a folder, sorted, those of folders with a slash at the end."""
    return [name + ("/" if stat.S_ISDIR(kind) else "") for name, kind in scan(path, root)]


def write_atomic(path: Path, data: bytes, mode: int | None = None, *, root: Path) -> None:
    """Replace a file so that a crash at any instant leaves the old contents or the new ones.

    An existing file keeps its permissions unless `mode` says otherwise, and its owner as far as we may
    give it; a new one gets the usual ones and the owner of its folder.  Folders that are missing are made.
    """
    with _replacing(path, root, mode, durable=True) as handle:
        _put(handle, data)


def write_chosen(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file that the person chose or that is ours, as `write_atomic` does.

    Its folder may be reached through links; the file itself may not be one.
    """
    place, root = placed(path)
    root.mkdir(parents=True, exist_ok=True)
    write_atomic(place, data, mode, root=root)


def copy(
    source: Path,
    source_root: Path,
    target: Path,
    target_root: Path,
    limit: int | None = None,
    *,
    times: bool = False,
) -> None:
    """Copy a plain file from below one root to below another, with its permissions, whole or not at all.

    `times` keeps the time of its last change, too.  Raises OSError, EFBIG for a file of more than `limit`
    bytes.
    """
    with opened(source, source_root) as handle:
        found, left = os.fstat(handle), sys.maxsize if limit is None else limit
        if found.st_size > left:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        with _replacing(target, target_root, stat.S_IMODE(found.st_mode) & 0o777) as copied:
            for piece in _pieces(handle, left + 1):
                left -= len(piece)
                if left < 0:  # it grows
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                _put(copied, piece)
            if times:
                os.utime(copied, ns=(found.st_atime_ns, found.st_mtime_ns))


def make_link(path: Path, root: Path, target: str) -> None:
    """Put a symbolic link in a path's place; what lies there may be a file or link, but no folder."""
    with folder_of(path, root, make=True) as (folder, name):
        temporary = f".pygent-{secrets.token_hex(6)}"
        os.symlink(target, temporary, dir_fd=folder)
        try:
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(temporary, dir_fd=folder)
            raise


def make_folder(path: Path, root: Path) -> None:
    """Make a folder and those above it that are missing; one that is there stays."""
    with folder_of(path / "_", root, make=True):
        pass


def walk(root: Path) -> Iterator[os.stat_result | None]:
    """What lies in a folder at any depth, nothing behind a link; None for a folder that we may not open."""
    left: list[tuple[str, ...]] = [()]
    last: tuple[tuple[str, ...], int] = ((), _root(root))
    try:
        while left:
            parts = left.pop()
            try:
                last = _go(root, parts, last)
                with os.scandir(last[1]) as found:
                    entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in found]
            except PermissionError:
                yield None
                continue
            except OSError:
                continue  # it was removed, or swapped for a link
            for name, status in entries:
                yield status
                if stat.S_ISDIR(status.st_mode):
                    left.append((*parts, name))
    finally:
        os.close(last[1])


def _go(root: Path, parts: tuple[str, ...], last: tuple[tuple[str, ...], int]) -> tuple[tuple[str, ...], int]:
    """The next folder of a walk: from the last one where that is its parent, so that depth costs nothing."""
    if parts and parts[:-1] == last[0]:
        handle = _step(last[1], parts[-1], None)
    else:
        with folder_of(root.joinpath(*parts, "_"), root) as (folder, _):
            handle = os.dup(folder)
    os.close(last[1])
    return parts, handle


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
    if root is None:
        root = Path(os.path.realpath(path.parent))
        path = root / path.name
    with folder_of(path, root, make=True) as (folder, name):
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


def _parts(path: Path, root: Path) -> list[str]:
    """The names that lead from a root to a path.  Raises OSError for the root itself and for others."""
    if path == root:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    # On text: `Path.relative_to` takes as long as opening the file, and knows no "..".
    above, text = os.fspath(root).rstrip("/") + "/", os.fspath(path)
    parts = text[len(above) :].split("/")
    if not text.startswith(above) or ".." in parts:
        raise OSError(errno.EXDEV, f"lies outside of {root}")
    return parts


def _root(root: Path) -> int:
    """A handle of a root.  Raises OSError, ESTALE if a part of its path is a link."""
    if _NO_LINKS is not None:
        return os.open(root, _FOLDER | _NO_LINKS)
    handle = os.open(root, _FOLDER)
    try:
        # The kernel's name of what was opened is another one than we asked for if a link led there.
        if os.readlink(f"/proc/self/fd/{handle}") == os.fspath(root):  # noqa: PTH115 - a third of the time
            return handle
    except OSError:
        pass  # no /proc: the parts tell it, too
    os.close(handle)
    return _by_parts(root)


def _by_parts(root: Path) -> int:
    """The same, part by part.

    For file systems on which the kernel's name differs without a link, as in upper and lower case.
    """
    handle = os.open(root.anchor, PIN | os.O_DIRECTORY)
    try:
        for part in root.parts[1:]:
            handle, parent = os.open(part, PIN | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=handle), handle
            os.close(parent)
        return os.open(".", _FOLDER, dir_fd=handle)
    except NotADirectoryError as error:
        raise OSError(errno.ESTALE, f"its folder {root} is reached through a link by now") from error
    finally:
        os.close(handle)


def open_folder(path: Path | str, folder: int | None = None) -> int:
    """A handle of a folder, which the caller closes; of a name in an open folder never through a link."""
    return _root(Path(path)) if folder is None else os.open(path, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


def opened_in(folder: int, name: str) -> contextlib.AbstractContextManager[int]:
    """A handle of a plain file in an open folder, for reading."""
    return _opened(name, folder)


def all_of(handle: int, limit: int) -> bytes:
    """The bytes of an open file, at most `limit`."""
    return b"".join(_pieces(handle, limit))


def _step(folder: int, name: str, owner: os.stat_result | None) -> int:
    """The next folder of a path; one that is missing is made if its `owner` is given."""
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


@contextlib.contextmanager
def _replacing(path: Path, root: Path, mode: int | None, *, durable: bool = False) -> Iterator[int]:
    """A handle to write a file's new contents to; they take its place at the end, or nothing does.

    Contents that replace others, or that are `durable`, are on the disk by then.
    """
    with folder_of(path, root, make=True) as (folder, name):
        old = _status(name, folder)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OSError(errno.EINVAL, "Not a plain file")
        if mode is None:
            mode = 0o666 & ~_umask() if old is None else stat.S_IMODE(old.st_mode)
        temporary = f".pygent-{secrets.token_hex(6)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            yield handle
            _give(handle, old or os.fstat(folder))
            os.fchmod(handle, mode)
            if durable or old is not None:
                os.fsync(handle)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(handle)


def _pieces(handle: int, limit: int) -> Iterator[bytes]:
    while limit > 0 and (piece := os.read(handle, min(limit, 1 << 20))):
        limit -= len(piece)
        yield piece


def _put(handle: int, data: bytes) -> None:
    """Write all of it; one call writes less where the disk or a limit ends."""
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


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
