"""A folder as it is now, looked at through handles: no link is followed, no pipe waited for, nothing is run.

A repository inside the folder is data: it is recorded by the commit of its HEAD, or passed over.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pygent import files, gitignore
from pygent.trees import repository
from pygent.trees.cache import File, Known, now
from pygent.trees.objects import EMPTY, EXECUTABLE, FILE, FOLDER, LINK, REPOSITORY, Objects, Tree, Writer
from pygent.trees.stop import Stop

LARGE = 1 << 20
"""Files from so many bytes on are read piece by piece."""
LARGEST = 2 << 30
"""Larger ones are passed over: all snapshots together are kept in as many bytes (`delegation.py`)."""
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
"""Errors that are the server's own: a file that meets them is not one that can't be read."""


@dataclass(slots=True)
class _Place:
    """A folder that is looked at: its paths begin with `prefix`.

    Without `new` only what is known is looked for: the folder is ignored.
    """

    handle: int
    prefix: bytes
    known: Known
    stack: gitignore.Stack
    new: bool

    def takes(self, name: bytes, is_folder: bool) -> bool:
        """Whether a new file or folder in it is taken."""
        return self.new and not gitignore.left_out(self.prefix + name, name, is_folder, self.stack)


class Scan:
    """Takes the folder `inside` a root into a repository, by what is known of it.

    What was taken before stays part of it though it is ignored by now, as in git's index.
    """

    def __init__(self, root: Path, inside: str, writer: Writer, stop: Stop) -> None:
        self._root, self._inside = root, inside
        self._writer, self._stop = writer, stop
        self.changed = False
        """Whether anything is not as it was known."""
        self.repositories: list[bytes] = []
        """Repositories inside, by their paths in the folder."""

    def run(self, known: Known) -> Known:
        """The folder as it is.  Raises OSError if it can't be read at all."""
        with self._opened() as handle:
            found = self._folder(_Place(handle, b"", known, (), new=True))
        assert isinstance(found, Known)
        return found

    @contextmanager
    def _opened(self) -> Iterator[int]:
        path = self._root / self._inside
        if not self._inside:
            handle = files.open_folder(path)
        else:
            with files.folder_of(path, self._root) as (parent, name):
                handle = files.open_folder(name, parent)
        try:
            yield handle
        finally:
            os.close(handle)

    def _folder(self, place: _Place) -> Known | File | None:
        """A folder as it is; a repository as a file, or None for one to pass over."""
        self._stop.check()
        with os.scandir(place.handle) as found:
            entries = list(found)
        names = {entry.name for entry in entries}
        if place.prefix and ".git" in names:
            path = self._root / self._inside / os.fsdecode(place.prefix)
            commit = repository.inside(self._root, path)
            if commit is not None:
                self.repositories.append(place.prefix[:-1])
                return File(REPOSITORY, commit) if commit else None
        if place.new and ".gitignore" in names:
            place.stack = gitignore.extended(place.stack, place.handle, place.prefix)
        made = Known()
        kept = place.known.files
        for entry in entries:
            name = entry.name.encode("utf-8", "surrogateescape")
            before = kept.get(name)
            if before is not None and before.modified >= 0 and before.is_still(_status(entry)):
                made.files[name] = before  # the way of nearly all files, kept short
            elif not gitignore.is_repository_name(name):
                self._take(entry, name, place, made)
        made.tree = self._unchanged(place.known, made)
        return made

    def _take(self, entry: os.DirEntry[str], name: bytes, place: _Place, made: Known) -> None:
        """Take one entry of a folder into what is `made` of that."""
        found: Known | File | None
        if entry.is_dir(follow_symlinks=False):
            found = self._inner(name, place)
        elif name in place.known.files or place.takes(name, False):
            found = self._file(place.handle, entry, place.known.files.get(name))
        else:
            return
        if isinstance(found, File):
            made.files[name] = found
        elif found is not None and (found.files or found.folders):
            made.folders[name] = found

    def _inner(self, name: bytes, place: _Place) -> Known | File | None:
        """A folder of a folder; as it was where we may not look, or a repository has no commit yet."""
        before = place.known.folders.get(name)
        new = place.takes(name, True)
        if not new and before is None and name not in place.known.files:
            return None
        if place.prefix.count(b"/") >= gitignore.MAX_DEPTH:
            return before
        try:
            handle = files.open_folder(os.fsdecode(name), place.handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._pass_over(error)
            return before
        try:
            inner = _Place(handle, place.prefix + name + b"/", before or Known(), place.stack, new)
            return self._folder(inner) or before
        finally:
            os.close(handle)

    def _file(self, handle: int, entry: os.DirEntry[str], before: File | None) -> File | None:
        """A file as it is; as it was where we may not read it, and None for what is neither file nor link."""
        self._stop.check()
        try:
            status = entry.stat(follow_symlinks=False)
            self.changed = True
            if stat.S_ISLNK(status.st_mode):
                looked = now()
                target = os.readlink(entry.name, dir_fd=handle)
                return File.of(LINK, self._writer.blob(os.fsencode(target)), status, looked)
            if not stat.S_ISREG(status.st_mode):
                return None
            return self._read(handle, entry.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._pass_over(error)
            return before

    def _read(self, folder: int, name: str) -> File:
        with files.opened_in(folder, name) as handle:
            looked = now()
            status = os.fstat(handle)
            oid = None
            if status.st_size > LARGEST:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            if status.st_size >= LARGE:
                oid = self._writer.add_file(handle, status.st_size, self._stop.check)
                if oid is None:
                    raise OSError(errno.EAGAIN, "The file is being written")
            else:
                oid = self._writer.blob(files.all_of(handle, status.st_size))
        return File.of(EXECUTABLE if status.st_mode & 0o100 else FILE, oid, status, looked)

    @staticmethod
    def _pass_over(error: OSError) -> None:
        if error.errno in _LIMITS:
            raise error

    def _unchanged(self, known: Known, made: Known) -> bytes:
        """The id of the tree that was made of a folder before, if nothing of it is different."""
        if (
            known.tree
            and known.folders.keys() == made.folders.keys()
            and known.files.keys() == made.files.keys()
            and all(inner.tree and inner.tree == known.folders[n].tree for n, inner in made.folders.items())
            and _are_same(known.files, made.files)
        ):
            return known.tree
        self.changed = True
        return b""


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _are_same(before: dict[bytes, File], after: dict[bytes, File]) -> bool:
    """Whether the same names have the same contents."""
    for name, file in after.items():
        old = before[name]
        if old is not file and (old.mode, old.oid) != (file.mode, file.oid):
            return False
    return True


def doubted(known: Known, objects: Objects) -> Known:
    """What is known, without ids of what is no longer there: a name stays, as it may be ignored by now."""
    return Known(
        files={
            name: file if file.mode == REPOSITORY or objects.existed(file.oid) else File(file.mode, b"")
            for name, file in known.files.items()
        },
        folders={name: doubted(folder, objects) for name, folder in known.folders.items()},
    )


def written(folder: Known, writer: Writer, *, root: bool = True) -> bytes:
    """The id of a folder's tree, which is added with all trees below."""
    if folder.tree and not root:
        return folder.tree
    tree: Tree = {name: (file.mode, file.oid) for name, file in folder.files.items() if file.oid}
    for name, inner in folder.folders.items():
        oid = written(inner, writer, root=False)
        if oid != EMPTY:
            tree[name] = (FOLDER, oid)
    folder.tree = writer.root(tree) if root else writer.tree(tree)
    return folder.tree
