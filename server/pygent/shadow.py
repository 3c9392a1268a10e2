"""The shadow repository: snapshots of folders as git trees, apart from the person's own git.

It lies in the state folder, in git's own format, and nothing of it shows in the person's repository.  Git is
not run, nor any other program: `trees` makes and reads the objects.  Everything raises PygentError.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pygent import files
from pygent.errors import PygentError
from pygent.records import ChangeKind
from pygent.trees import cache, cleanup, difference, scan
from pygent.trees.checkout import check_out
from pygent.trees.edit import Changes, edited
from pygent.trees.merge import merged
from pygent.trees.objects import EXECUTABLE, FILE, FOLDER, Objects, Writer, id_of
from pygent.trees.pack import BLOB
from pygent.trees.stop import Stop

ATTRIBUTES = "* -text -filter !diff !merge -ident -working-tree-encoding\n"
"""For a person who looks at the repository with git: a `.gitattributes` of the folder changes no byte."""
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"

DAY = 24 * 60 * 60.0
KEPT = 20 * 60 * 60.0
"""A snapshot that nothing refers to is kept for so many seconds: it may be that of a turn that still runs."""
AT_ONCE = 2
"""How many snapshots are made at the same time: all are of one folder's disk."""
PATIENCE = 60.0
"""Seconds that a clean-up waits for a moment without a snapshot under way."""
LINK, REPOSITORY = "120000", "160000"
"""Modes of a symbolic link and of a repository within the tree."""

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Version:
    """A file in a snapshot: git's mode, and the id of its content."""

    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that differs between two snapshots; `added` and `removed` lines are None for binary files."""

    path: str
    before: Version | None
    after: Version | None
    added: int | None
    removed: int | None

    @property
    def kind(self) -> ChangeKind:
        """What happened to the file."""
        return "created" if self.before is None else "deleted" if self.after is None else "edited"

    def summary(self) -> dict[str, str | int | None]:
        """The file as `pygent.task.diff` lists it."""
        return {"path": self.path, "kind": self.kind, "added": self.added, "removed": self.removed}


class Shadow:
    """The snapshots of one state folder, by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def take(self, root: Path, timeout: float | None = None) -> str:
        """The tree of a folder as it is, without what its `.gitignore` leaves out.

        Raises PygentError `limit` if it takes longer than `timeout` seconds.
        """
        return await _in_thread(lambda stop: self._take(root, "", stop)[0].hex(), timeout)

    async def over(self, tree: str, root: Path, texts: Mapping[Path, str]) -> str:
        """A tree of `root` with these texts in the place of their files."""
        return await _in_thread(lambda stop: self._over(bytes.fromhex(tree), root, texts, {}, stop).hex())

    async def whole(self, root: Path, texts: Mapping[Path, str]) -> str:
        """The tree of a folder for somebody else: with the files of repositories inside it, and these texts
        in the place of their files.
        """

        def work(stop: Stop) -> str:
            tree = self._whole(root, "", stop)
            return (self._over(tree, root, texts, {}, stop) if texts else tree).hex()

        return await _in_thread(work)

    def _whole(self, root: Path, inside: str, stop: Stop) -> bytes:
        tree, repositories = self._take(root, inside, stop)
        trees = {
            path: (FOLDER, self._whole(root, f"{inside}/{os.fsdecode(path)}".lstrip("/"), stop))
            for path in repositories
        }
        return self._over(tree, root, {}, trees, stop) if trees else tree

    def _over(self, tree: bytes, root: Path, texts: Mapping[Path, str], trees: Changes, stop: Stop) -> bytes:
        """A tree with others in the place of its repositories, and texts in that of their files."""
        self._make()
        with self._shared(stop), _writing(Objects(self._folder)) as (objects, writer):
            changes = dict(trees)
            for file, text in texts.items():
                found = files.status(file, root)
                mode = EXECUTABLE if found is not None and found.st_mode & 0o100 else FILE
                name = os.fsencode(file.relative_to(root))
                changes[name] = (mode, writer.blob(text.encode("utf-8", "surrogateescape")))
            return edited(tree, changes, objects, writer)

    def _take(self, root: Path, inside: str, stop: Stop) -> tuple[bytes, list[bytes]]:
        """The tree of a folder, and the repositories in it that it does not hold the files of."""
        self._make()
        kept = self._kept(root / inside)
        with self._shared(stop):
            cleaned = self._cleaned()
            known, doubtful = cache.load(kept, cleaned)
            with _writing(Objects(self._folder)) as (objects, writer):
                if doubtful or (known.tree and not objects.exists(known.tree)):
                    known = scan.doubted(known, objects)
                scanned = scan.Scan(root, inside, writer, stop)
                found = scanned.run(known)
                tree = scan.written(found, writer)
            if scanned.changed or doubtful:
                cache.save(kept, found, cleaned)
        return tree, scanned.repositories

    def _kept(self, root: Path) -> Path:
        return self._folder / f"index-{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}"

    def _cleaned(self) -> int:
        """When objects were removed last."""
        try:
            return (self._folder / "cleaned").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def forget(self, root: Path) -> None:
        """Know nothing of a folder that is no longer there."""
        self._kept(root).unlink(missing_ok=True)

    async def entries(self, before: str, after: str) -> list[Entry]:
        """The files that differ between two trees, a repository within them as one.

        Files of a folder that became a repository are not gone.
        """

        def work(stop: Stop) -> list[Entry]:
            objects = Objects(self._folder)
            found = difference.changes(bytes.fromhex(before), bytes.fromhex(after), objects)
            inner = tuple(
                change.path + b"/"
                for change in found
                if any(side and f"{side.mode:o}" == REPOSITORY for side in (change.old, change.new))
            )
            made = []
            for change in found:
                stop.check()
                if not change.path.startswith(inner):
                    added, removed = difference.lines(change, objects) or (None, None)
                    path, sides = os.fsdecode(change.path), (_version(change.old), _version(change.new))
                    made.append(Entry(path, *sides, added, removed))
            return made

        return await _in_thread(work)

    async def diff(self, before: str, after: str) -> str:
        """The unified diff between two trees; binary files are only named."""
        return (await self._compare(before, after, binary=False)).decode("utf-8", "replace")

    async def patch(self, before: str, after: str) -> bytes:
        """The diff as `git apply` takes it, to the byte and with binary files."""
        return await self._compare(before, after, binary=True)

    async def _compare(self, before: str, after: str, *, binary: bool) -> bytes:
        def work(stop: Stop) -> bytes:
            objects = Objects(self._folder)
            made = []
            for change in difference.changes(bytes.fromhex(before), bytes.fromhex(after), objects):
                stop.check()
                made.append(difference.text(change, objects, binary=binary))
            return b"".join(made)

        return await _in_thread(work)

    async def content(self, version: Version) -> bytes:
        """The bytes of a file, or the target of a link."""
        return await _in_thread(lambda stop: Objects(self._folder).read(bytes.fromhex(version.blob)))

    async def merge(self, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
        """A text with the changes of both sides; None where they touch, or where it is no text."""
        return await _in_thread(lambda stop: merged(base, ours, theirs))

    async def check_out(self, tree: str, target: Path) -> None:
        """Put the files of a tree into a folder that is not there yet, whole or not at all."""
        await _in_thread(lambda stop: self._check_out(bytes.fromhex(tree), target, stop))

    def _check_out(self, tree: bytes, target: Path, stop: Stop) -> None:
        self._make()
        making = target.with_name(f"{target.name}.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        with self._shared(stop):
            cleaned = self._cleaned()
            handle = files.open_folder(making)
            try:
                known = check_out(tree, handle, Objects(self._folder), stop)
            finally:
                os.close(handle)
            cache.save(self._kept(target), cache.released(known, cache.now()), cleaned)
        making.replace(target)

    async def clean(self, wanted: Sequence[str], limit: int) -> int:
        """Keep the wanted snapshots and those of the last hours; returns how many bytes are left.

        Where the wanted ones need more than `limit` bytes, the last of them go, half of them at a time.
        """

        def work(stop: Stop) -> int:
            if not (self._folder / "HEAD").exists():
                return 0
            self._remove_strays()
            patience = Stop(PATIENCE, "Waiting for a moment without a snapshot")
            alone = functools.partial(self._locked, fcntl.LOCK_EX, patience)
            return cleanup.clean(self._folder, wanted, limit, KEPT, alone)

        return await _in_thread(work)

    def _remove_strays(self) -> None:
        """Remove what killed snapshots left, and what is known of folders not used for a month."""
        strays = ("index-*.new*", "objects/pack/tmp_*", "objects/??/tmp_*", "objects/tmp_clean_*/*")
        for path in (path for pattern in strays for path in self._folder.glob(pattern)):
            _remove_older(path, DAY)
        for path in self._folder.glob("index-*"):
            _remove_older(path, 30 * DAY)
        for path in self._folder.glob("objects/tmp_clean_*"):
            with contextlib.suppress(OSError):
                path.rmdir()

    def _shared(self, stop: Stop) -> contextlib.AbstractContextManager[None]:
        """While objects are looked for and added none is removed."""
        return self._locked(fcntl.LOCK_SH, stop)

    @contextlib.contextmanager
    def _locked(self, how: int, stop: Stop) -> Iterator[None]:
        with (self._folder / "lock").open("a") as file:
            while True:
                try:
                    fcntl.flock(file, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    stop.check()
                    time.sleep(0.01)
            yield

    def _make(self) -> None:
        """Make the repository unless it is there: beside its place, so that nobody sees it half made."""
        if (self._folder / "info" / "attributes").exists():
            return
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shadow-", dir=self._folder.parent) as place:
            making = Path(place) / "git"
            for folder in ("objects/pack", "refs/heads", "info"):
                (making / folder).mkdir(mode=0o700, parents=True)
            (making / "HEAD").write_text("ref: refs/heads/main\n")
            (making / "config").write_text(CONFIG)
            (making / "info" / "attributes").write_text(ATTRIBUTES)
            try:
                making.replace(self._folder)
            except OSError as error:
                if (self._folder / "info" / "attributes").exists():
                    return  # another session or process was quicker
                fix = "Move it away; earlier turns can't be undone then."
                raise PygentError("conflict", f"{self._folder} is no repository of ours.", fix) from error


@contextlib.contextmanager
def _writing(objects: Objects) -> Iterator[tuple[Objects, Writer]]:
    with Writer(objects) as writer:
        yield objects, writer


def _remove_older(path: Path, seconds: float) -> None:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > seconds:
            path.unlink()


def _version(side: difference.Side | None) -> Version | None:
    return None if side is None else Version(f"{side.mode:06o}", side.oid.hex())


def blob_of(data: bytes) -> str:
    """The id that git gives to a content."""
    return id_of(BLOB, data).hex()


async def _in_thread(work: Callable[[Stop], Made], timeout: float | None = None) -> Made:
    """Do work in a thread.  Cancelled, it returns when the work has ended.  Raises PygentError."""
    stop = Stop()
    running = _threads().submit(_guarded, work, stop, timeout)
    answer = asyncio.wrap_future(running)
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        stop.cancelled = True
        if not running.cancel():
            await asyncio.wait({answer})
            if not answer.cancelled():
                answer.exception()  # asked for, so that asyncio does not log it as lost
        raise


def _guarded(work: Callable[[Stop], Made], stop: Stop, timeout: float | None) -> Made:
    stop.begin(timeout)
    try:
        return work(stop)
    except OSError as error:
        raise PygentError("conflict", f"A snapshot can't be kept: {error}.") from error


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="snapshot")
