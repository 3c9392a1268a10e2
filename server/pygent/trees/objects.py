"""The objects of a repository of our own, and new ones: a few as files of their own, many as one pack."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from pygent.errors import PygentError
from pygent.trees.pack import BLOB, TREE, Kind, PackWriter

if TYPE_CHECKING:
    import pygit2

FEW, FEW_BYTES = 100, 4 << 20
"""How many new objects are written as files of their own: more become a pack, which is written at once."""

FOLDER, FILE, EXECUTABLE, LINK, REPOSITORY = 0o040000, 0o100644, 0o100755, 0o120000, 0o160000
"""Git's modes."""

EMPTY = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
"""The id of a tree without entries."""

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)

Tree = dict[bytes, tuple[int, bytes]]
"""A folder's entries: git's mode, and the id as 20 bytes, by name."""


@functools.cache
def library() -> ModuleType:
    """libgit2, told to look for nobody's configuration.  Raises PygentError `unsupported`.

    Loaded when it is used: it takes a tenth of a second.
    """
    try:
        import pygit2  # noqa: PLC0415
        from pygit2.enums import ConfigLevel  # noqa: PLC0415
    except ImportError as error:
        fix = "Install Pygent anew, with the library pygit2."
        raise PygentError("unsupported", f"pygit2 can't be loaded: {error}.", fix) from error
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        pygit2.settings.search_path[level] = ""
    return pygit2


def id_of(kind: Kind, data: bytes) -> bytes:
    """The id that git gives to a content."""
    digest = hashlib.sha1(b"%s %d\0" % (kind.name, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.digest()


class Objects:
    """What a repository holds, by id.  Ids are 20 bytes."""

    def __init__(self, repository: Path) -> None:
        self.folder = repository / "objects"
        self._pygit2 = library()
        self.database: pygit2.Odb = self._pygit2.Odb(str(self.folder))
        self._backends = tuple(self.database.backends)
        self._is_empty = not any(self.folder.glob("pack/*.idx")) and not any(self.folder.glob("??"))

    def exists(self, oid: bytes) -> bool:
        """Whether an object is there."""
        return self.database.exists(self._pygit2.Oid(raw=oid))

    def existed(self, oid: bytes) -> bool:
        """Whether an object was there when the repository was opened: much quicker where it was not."""
        if self._is_empty:
            return False
        wanted = self._pygit2.Oid(raw=oid)
        for backend in self._backends:  # noqa: SIM110 - half as long as a generator, for each new file
            if backend.exists(wanted):
                return True
        return False

    def read(self, oid: bytes) -> bytes:
        """An object's content.  Raises PygentError `notFound`."""
        try:
            return self.database.read(self._pygit2.Oid(raw=oid))[-1]
        except KeyError as error:
            raise PygentError("notFound", "The snapshot is no longer kept.") from error

    def size(self, oid: bytes) -> int:
        """The size of an object's content in bytes.  Raises PygentError `notFound`."""
        wanted = self._pygit2.Oid(raw=oid)
        for backend in self._backends:
            if backend.exists(wanted):
                return int(backend.read_header(wanted)[1])
        return len(self.read(oid))

    def is_tree(self, oid: bytes) -> bool:
        """Whether an object is a tree; False if it is not there."""
        wanted = self._pygit2.Oid(raw=oid)
        found = (int(one.read_header(wanted)[0]) for one in self._backends if one.exists(wanted))
        return next(found, 0) == TREE.number

    def tree(self, oid: bytes) -> Tree:
        """The entries of a tree.  Raises PygentError `notFound`."""
        return entries(self.read(oid))


def entries(data: bytes) -> Tree:
    """The entries of a tree's content."""
    return {name: (int(mode, 8), oid) for mode, name, oid in _ENTRY.findall(data)}


def encoded(tree: Tree) -> bytes:
    """A tree's content: sorted as git does, folders as if their names ended in a slash."""
    rows = [
        (name + b"/" if mode == FOLDER else name, b"%o %s\0%s" % (mode, name, oid))
        for name, (mode, oid) in tree.items()
    ]
    rows.sort()
    return b"".join(row for _, row in rows)


class Writer:
    """Adds objects; they are there for others when `with` ends, all of them or only some after a crash."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._waiting: dict[bytes, tuple[Kind, bytes]] = {}
        self._bytes = 0
        self._pack: PackWriter | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
        elif self._pack is not None:
            self._pack.discard()

    def add(self, kind: Kind, data: bytes) -> bytes:
        """Add an object unless it is there; returns its id."""
        oid = id_of(kind, data)
        if not self._has(oid):
            if self._pack is not None:
                self._pack.add(kind, oid, data)
                return oid
            self._waiting[oid] = (kind, data)
            self._bytes += len(data)
            if len(self._waiting) > FEW or self._bytes > FEW_BYTES:
                self._begin_pack()
        return oid

    def add_file(self, handle: int, size: int, check: Callable[[], None]) -> bytes | None:
        """Add a blob of `size` bytes from an open file piece by piece; None if it is shorter by then.

        `check` is called at each piece, and may raise.
        """
        self._begin_pack()
        assert self._pack is not None
        return self._pack.add_file(handle, size, self._has, check)

    def tree(self, tree: Tree) -> bytes:
        """Add a tree; returns its id."""
        return self.add(TREE, encoded(tree))

    def blob(self, data: bytes) -> bytes:
        """Add a blob; returns its id."""
        return self.add(BLOB, data)

    def root(self, tree: Tree) -> bytes:
        """Add the tree of a snapshot, and mark it as one of today where it is there already."""
        data = encoded(tree)
        oid = self.add(TREE, data)
        if oid not in self._waiting and (self._pack is None or oid not in self._pack):
            self._objects.database.write(TREE.number, data)  # only renews the time of the file that it is in
        return oid

    def flush(self) -> None:
        """Write what waits."""
        if self._pack is not None:
            self._pack.finish()
            self._pack = None
        for kind, data in self._waiting.values():
            self._objects.database.write(kind.number, data)
        self._waiting.clear()

    def _has(self, oid: bytes) -> bool:
        if oid in self._waiting or (self._pack is not None and oid in self._pack):
            return True
        return self._objects.existed(oid)

    def _begin_pack(self) -> None:
        if self._pack is None:
            self._pack = PackWriter(self._objects.folder / "pack")
            for oid, (kind, data) in self._waiting.items():
                self._pack.add(kind, oid, data)
            self._waiting.clear()
