"""Repositories inside a folder, told by their bytes alone: git is not asked, their configuration not read.

The files are those of gitrepository-layout(5).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pygent import files

MAX_REF, MAX_PACKED = 4096, 16 << 20
_HEX = re.compile(rb"[0-9a-f]{40}")
_REF = re.compile(rb"ref:\s*(refs/[^\0\n]+?)\s*")


def inside(root: Path, place: Path) -> bytes | None:
    """The commit of the repository at a place below a root, empty without one; None if it is no repository.

    What lies outside of the root is not looked at: a repository there is one without a commit.
    """
    try:
        status = files.status(place / ".git", root)
        if status is None:
            return None
        if stat.S_ISREG(status.st_mode):
            folder = _pointed(root, place)
            if folder is None:
                return b""
        else:
            folder = place / ".git"
        return _commit(root, folder)
    except OSError:
        return None


def _pointed(root: Path, place: Path) -> Path | None:
    """The repository that a `.git` file names; None outside of the root.  Raises OSError if it names none."""
    said = files.read(place / ".git", root, MAX_REF)
    if not said.startswith(b"gitdir: ") or len(said) > MAX_REF:
        raise OSError("not a repository")
    return _within(root, place, said.removeprefix(b"gitdir: "))


def _within(root: Path, place: Path, said: bytes) -> Path | None:
    """A path as a file in `place` says it; None outside of the root."""
    path = Path(os.path.normpath(place / os.fsdecode(said.rstrip(b"\r\n"))))
    return path if root in path.parents and "\0" not in str(path) else None


def _commit(root: Path, folder: Path) -> bytes | None:
    """The commit of HEAD, empty before the first one; None unless it is a repository.  Raises OSError."""
    common = folder
    if files.is_file(folder / "commondir", root):
        found = _within(root, folder, files.read(folder / "commondir", root, MAX_REF))
        if found is None:
            return b""
        common = found
    head = _ref(root, folder / "HEAD")
    if not all(files.is_folder(common / name, root) for name in ("objects", "refs")):
        return None
    if not _HEX.fullmatch(head) and not _REF.fullmatch(head):
        return None
    for _ in range(5):  # as many as git follows
        if _HEX.fullmatch(head):
            return bytes.fromhex(head.decode())
        name = _REF.fullmatch(head)
        if name is None or b".." in name[1]:
            break
        head = _resolved(root, common, name[1])
    return b""


def _ref(root: Path, path: Path) -> bytes:
    """What a reference says; old ones are links.  Raises OSError."""
    with files.folder_of(path, root) as (folder, name):
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return b"ref: " + os.fsencode(os.readlink(name, dir_fd=folder))
        with files.opened_in(folder, name) as file:
            return files.all_of(file, MAX_REF).rstrip()


def _resolved(root: Path, common: Path, name: bytes) -> bytes:
    """What a reference of a name says, be it a file of its own or packed; empty if there is none."""
    try:
        return _ref(root, common / os.fsdecode(name))
    except OSError:
        pass
    try:
        packed = files.read(common / "packed-refs", root, MAX_PACKED)
    except OSError:
        return b""
    found = re.search(rb"^([0-9a-f]{40}) %s$" % re.escape(name), packed, re.MULTILINE)
    return found[1] if found else b""
