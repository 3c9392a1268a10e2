"""Whole folders through the door of `files`: walked, copied and removed without following a link."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from pygent import files

MAX_DEPTH = 200
"""Folders inside of each other that are looked into; a command can nest them without end."""


def walk(path: Path, root: Path) -> Iterator[tuple[Path, int]]:
    """What is below a folder, each with its kind as `files.scan` has it; a folder before what is in it.

    A folder that can't be read or goes away meanwhile counts as empty.
    """
    pending = [(path, 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            found = files.scan(folder, root)
        except OSError:
            continue
        yield from ((folder / name, kind) for name, kind in found)
        if depth < MAX_DEPTH:
            folders = [(folder / name, depth + 1) for name, kind in found if stat.S_ISDIR(kind)]
            pending += reversed(folders)


def copy_tree(source: Path, source_root: Path, target: Path, target_root: Path) -> None:
    """Copy a file, or a folder with all below it, over what lies at the target.

    Links stay links, and what is neither file, folder nor link is left out.  Raises OSError.
    """
    found = files.status(source, source_root)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source.name)
    pairs = [(source, stat.S_IFMT(found.st_mode))]
    if stat.S_ISDIR(found.st_mode):
        pairs += walk(source, source_root)
    for path, kind in pairs:
        copied = target / path.relative_to(source)
        if stat.S_ISDIR(kind):
            files.make_folder(copied, target_root)
        elif stat.S_ISLNK(kind):
            files.make_link(copied, target_root, files.link_target(path, source_root))
        elif stat.S_ISREG(kind):
            files.copy(path, source_root, copied, target_root, times=True)


def remove_tree(path: Path, root: Path) -> None:
    """Remove a folder and all in it, also what was made read-only.  What can't be removed stays.

    Folders are moved to the top before they are emptied, so that it does not matter how deep they lie.
    """
    with contextlib.suppress(OSError), files.folder_of(path, root) as (above, name):
        with _own_folder(name, above) as top:
            pending = _emptied(top, top)
            while pending:
                inner = pending.pop()
                with contextlib.suppress(OSError):
                    with _own_folder(inner, top) as handle:
                        pending += _emptied(handle, top)
                    os.rmdir(inner, dir_fd=top)
        os.rmdir(name, dir_fd=above)


@contextlib.contextmanager
def _own_folder(name: str, above: int) -> Iterator[int]:
    """A handle of a folder that its owner may change from now on, whatever its permissions were."""
    pin = os.open(name, files.PIN | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{pin}" if files.HAS_PINS else pin, 0o700)  # noqa: PTH101 - no path
        handle = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=pin)
    finally:
        os.close(pin)
    try:
        yield handle
    finally:
        os.close(handle)


def _emptied(folder: int, top: int) -> list[str]:
    """Remove what is in a folder; its own folders are in `top` then, by the names that are returned."""
    with os.scandir(folder) as found:
        entries = list(found)
    moved = []
    for entry in entries:
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
            elif folder == top:
                moved.append(entry.name)
            else:
                name = secrets.token_hex(8)
                with _own_folder(entry.name, folder):  # moving it changes it
                    os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
                moved.append(name)
    return moved
