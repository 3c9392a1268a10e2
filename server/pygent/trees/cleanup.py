"""What nobody needs any more goes from a repository of our own; what is kept is packed, with deltas.

Files of objects that are younger than some hours stay as they are, with all that their trees name: a turn
that still runs has its snapshot there.  `Writer.root` renews the time of one that is there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pygent.errors import PygentError
from pygent.trees.difference import LARGE
from pygent.trees.objects import FOLDER, REPOSITORY, Objects, library
from pygent.trees.pack import BLOB, PackWriter, sizes

MANY = 8
"""So many packs are made one: each makes looking for an object slower."""

Alone = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class _Stored:
    """A file of objects: a pack, or an object of its own; `sizes` are the bytes on disk by id."""

    path: Path
    sizes: dict[bytes, int]

    @property
    def is_pack(self) -> bool:
        return self.path.suffix == ".pack"

    def is_young(self, since: float) -> bool:
        """Whether it was made or renewed since then; False if it is gone."""
        try:
            return self.path.stat().st_mtime > since
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Remove it, the index first: a pack without one is not there."""
        for suffix in (".idx", ".rev", ".bitmap", ".mtimes"):
            if self.is_pack:
                self.path.with_suffix(suffix).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def clean(folder: Path, wanted: Sequence[str], limit: int, keep: float, alone: Alone) -> int:
    """Keep the wanted snapshots, and what is younger than `keep` seconds; returns how many bytes are left.

    Where the wanted ones need more than `limit` bytes, the last of them go, half of them at a time.  Within
    `alone` nobody makes a snapshot.  Raises OSError, PygentError.
    """
    objects, since = Objects(folder), time.time() - keep
    stored = _stored(objects.folder)
    needed = _affordable([bytes.fromhex(tree) for tree in wanted], limit, stored, objects)
    _mark(_young_trees(stored, since, objects), needed, objects)
    old = [one for one in stored if not one.is_young(since)]
    whole = [one for one in old if one.is_pack and one.sizes.keys() <= needed]
    whole = whole if len(whole) < MANY else []
    going = [one for one in old if one not in whole]
    staying = {oid for one in stored if one not in going for oid in one.sizes}
    packed = {oid for one in going for oid in one.sizes if oid in needed and oid not in staying}
    made = _pack(packed, objects, since)
    with alone():
        _remove(folder, going, needed | packed, made, since)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _stored(folder: Path) -> list[_Stored]:
    """Every file of objects that can be read."""
    found = []
    for index in (folder / "pack").glob("pack-*.idx"):
        with contextlib.suppress(OSError):  # such as a pack that goes meanwhile
            found.append(_Stored(index.with_suffix(".pack"), sizes(index)))
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        name = path.parent.name + path.name
        with contextlib.suppress(OSError, ValueError):
            found.append(_Stored(path, {bytes.fromhex(name): path.stat().st_size}))
    return found


def _affordable(
    trees: Sequence[bytes], limit: int, stored: Sequence[_Stored], objects: Objects
) -> set[bytes]:
    """The objects of as many snapshots, the first ones, as `limit` bytes have room for."""
    weights: dict[bytes, int] = {}
    for one in stored:
        weights.update(one.sizes)
    trees = [tree for tree in trees if tree in weights]
    while True:
        needed: set[bytes] = set()
        _mark(trees, needed, objects)
        if not trees or sum(weights.get(oid, 0) for oid in needed) <= limit:
            return needed
        trees = trees[: len(trees) // 2]


def _young_trees(stored: Iterable[_Stored], since: float, objects: Objects) -> list[bytes]:
    return [oid for one in stored if one.is_young(since) for oid in one.sizes if objects.is_tree(oid)]


def _mark(trees: Iterable[bytes], needed: set[bytes], objects: Objects) -> None:
    """Add trees and all that they name to what is needed."""
    left = [tree for tree in trees if tree not in needed]
    while left:
        tree = left.pop()
        try:
            entries = objects.tree(tree).values()
        except PygentError:
            continue
        needed.add(tree)
        for mode, oid in entries:
            if mode == FOLDER and oid not in needed:
                left.append(oid)
            elif mode not in (FOLDER, REPOSITORY):
                needed.add(oid)


def _pack(oids: set[bytes], objects: Objects, since: float) -> set[Path]:
    """Make packs of objects, as old as `since`; the paths of the packs."""
    large = {oid for oid in oids if objects.size(oid) > LARGE}
    place = objects.folder / f"tmp_clean_{secrets.token_hex(8)}"
    place.mkdir()
    try:
        if small := oids - large:
            _pack_with_deltas(small, objects, place)
        if large:  # libgit2 would hold ten of them in memory to find what they have in common
            writer = PackWriter(place)
            for oid in large:
                writer.add(BLOB, oid, objects.read(oid))
            writer.finish()
        return {_published(pack, objects.folder / "pack", since) for pack in sorted(place.glob("*.pack"))}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _pack_with_deltas(oids: Iterable[bytes], objects: Objects, place: Path) -> None:
    pygit2 = library()
    repository = pygit2.Repository()  # in memory, without any configuration
    repository.set_odb(objects.database)
    builder = pygit2.PackBuilder(repository)
    builder.set_threads(1)
    for oid in sorted(oids):
        builder.add(pygit2.Oid(raw=oid))
    builder.write(str(place))


def _published(pack: Path, folder: Path, since: float) -> Path:
    """Put a pack in its place, the index last."""
    folder.mkdir(exist_ok=True)
    for path in (pack, pack.with_suffix(".idx")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o444)
        os.utime(path, (since - 1, since - 1))
        path.replace(folder / path.name)
    return folder / pack.name


def _remove(folder: Path, going: Sequence[_Stored], safe: set[bytes], made: set[Path], since: float) -> None:
    """Remove files of objects, but for what was renewed, or is named by a snapshot that came meanwhile."""
    objects = Objects(folder)
    again: set[bytes] = set()
    _mark(_young_trees(_stored(objects.folder), since, objects), again, objects)
    (folder / "cleaned").touch()
    # An older Pygent told git by references what is wanted.
    shutil.rmtree(folder / "refs" / "snapshots", ignore_errors=True)
    (folder / "packed-refs").unlink(missing_ok=True)
    for one in going:
        saved = (again - safe) & one.sizes.keys()
        if not (saved or one.is_young(since) or one.path in made):
            one.remove()
