"""The shadow repository: snapshots of folders as git trees, apart from the person's own git.

Its git folder lies in the state folder and the folder that is taken is only its work tree, so nothing of it
shows in the person's repository.  Everything raises PygentError.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygent.errors import PygentError
from pygent.git import Git, GitFailed
from pygent.records import ChangeKind

ATTRIBUTES = "* -text -filter !diff !merge -ident -working-tree-encoding\n"
"""In the highest place that git looks for attributes: a `.gitattributes` of the folder changes no byte."""

DAY = 24 * 60 * 60.0
KEPT = "20.hours.ago"
"""A snapshot that nothing refers to is kept so long: it may be that of a turn that still runs."""
UNBORN = re.compile(r"error: '(.+?)/?' does not have a commit checked out", re.DOTALL)
UNREADABLE = re.compile(
    r"error: open\(\"(.+?)\"\): Permission denied\nerror: unable to index file '\1'", re.DOTALL
)
"""What git says of a file that it may not read; not of one for which there is no room."""
LINK, REPOSITORY = "120000", "160000"
"""Modes of a symbolic link and of a repository within the tree."""


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
        self._git = Git(folder).run

    async def take(self, root: Path, timeout: float | None = None) -> str:
        """The tree of a folder as it is, without what its `.gitignore` leaves out.

        Raises PygentError `limit` if git works longer than `timeout` seconds.
        """
        async with self._index(root) as index:
            return (await self._tree_of(root, index, timeout))[0]

    async def over(self, tree: str, root: Path, texts: Mapping[Path, str]) -> str:
        """A tree of `root` with these texts in the place of their files."""
        async with self._index(None) as index:
            await self._git("read-tree", tree, index=index)
            for file, text in texts.items():
                await self._lay_over(file, root, text, index)
            return await self._tree(index)

    async def whole(self, root: Path, texts: Mapping[Path, str]) -> str:
        """The tree of a folder for somebody else: with the files of repositories inside it, and these texts
        in the place of their files.
        """
        async with self._index(root) as index:
            tree, inner = await self._tree_of(root, index)
            entries = (await self._git("ls-files", "--stage", "-z", index=index)).split(b"\0")
        links = [os.fsdecode(entry.partition(b"\t")[2]) for entry in entries if entry[:6] == b"160000"]
        if not (inner or links or texts):
            return tree
        async with self._index(None) as index:
            await self._git("read-tree", tree, index=index)
            for link in links:
                await self._git("update-index", "--force-remove", "--", link, root=root, index=index)
            for path in [*inner, *links]:
                within = await self.whole(root / path, {})
                await self._git("read-tree", f"--prefix={path}/", within, root=root, index=index)
            for file, text in texts.items():
                await self._lay_over(file, root, text, index)
            return await self._tree(index)

    async def _lay_over(self, path: Path, root: Path, text: str, index: Path) -> None:
        data = text.encode("utf-8", "surrogateescape")
        blob = (await self._git("hash-object", "-w", "--stdin", given=data)).decode().strip()
        mode = "100755" if os.access(path, os.X_OK) else "100644"
        entry = f"{mode},{blob},{path.relative_to(root).as_posix()}"
        await self._git("update-index", "--add", "--replace", "--cacheinfo", entry, root=root, index=index)

    async def _tree_of(self, root: Path, index: Path, timeout: float | None = None) -> tuple[str, list[str]]:
        """The tree of a folder, and the repositories inside that it passes over.

        The folder's index may name contents that a clean-up has removed meanwhile: they are added anew.
        """
        try:
            return await self._added(root, index, timeout)
        except PygentError as error:
            if error.code == "limit":
                raise
        await self._renew(root, index)
        return await self._added(root, index, timeout)

    async def _added(self, root: Path, index: Path, timeout: float | None) -> tuple[str, list[str]]:
        left_out = await self._add(root, index, timeout)
        return await self._tree(index), left_out

    async def _renew(self, root: Path, index: Path) -> None:
        """Let an index know no more than its paths, which stay in it where they are ignored by now."""
        try:
            listed = await self._git("ls-files", "--stage", "-z", root=root, index=index)
        except PygentError:
            listed = b""
        await asyncio.to_thread(index.unlink, missing_ok=True)
        await self._git("update-index", "-z", "--index-info", root=root, index=index, given=listed)

    async def _add(self, root: Path, index: Path, timeout: float | None = None) -> list[str]:
        """Bring an index up to the folder; returns repositories inside that can't be added.

        A repository without a commit can be neither added nor passed over; nor can a file that we may not
        read, such as a container's, which stays in the index as it was.
        """
        left_out, unreadable = list[str](), list[str]()
        while True:
            exclude = [f":(exclude,literal){path}" for path in [*left_out, *unreadable]]
            try:
                await self._git("add", "-A", "--", ".", *exclude, root=root, index=index, timeout=timeout)
            except GitFailed as error:
                unborn, closed = UNBORN.search(error.said), UNREADABLE.search(error.said)
                if (unborn or closed) is None or len(exclude) > 50:
                    raise
                left_out += [unborn[1]] if unborn else []
                unreadable += [closed[1]] if closed else []
            else:
                return left_out

    async def _tree(self, index: Path) -> str:
        return (await self._git("write-tree", index=index)).decode().strip()

    @contextlib.asynccontextmanager
    async def _index(self, root: Path | None) -> AsyncIterator[Path]:
        """A private index, begun as the folder's last one and then kept as that; without a folder empty.

        Git would take a lock on a common one, and a snapshot beside another, or after a kill -9, would fail.
        """
        await self._make()
        kept = None if root is None else self._kept(root)
        private = self._folder / f"index-{secrets.token_hex(8)}.new"
        try:
            if kept is not None and kept.exists():
                await asyncio.to_thread(shutil.copy2, kept, private)
            yield private
            if kept is not None and private.exists():
                private.replace(kept)
        except OSError as error:
            raise PygentError("conflict", f"A snapshot can't be kept: {error}.") from error
        finally:
            for left in (private, private.with_name(f"{private.name}.lock")):
                left.unlink(missing_ok=True)

    def _kept(self, root: Path) -> Path:
        return self._folder / f"index-{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}"

    def forget(self, root: Path) -> None:
        """Keep no index of a folder that is no longer there."""
        self._kept(root).unlink(missing_ok=True)

    async def entries(self, before: str, after: str) -> list[Entry]:
        """The files that differ between two trees, a repository within them as one.

        Files of a folder that became a repository are not gone.
        """
        raw = _raw(await self._compare("--raw", "--no-abbrev", "-z", before, after))
        lines = _lines(await self._compare("--numstat", "-z", before, after))
        found = (f"{path}/" for path, *versions in raw if any(v and v.mode == REPOSITORY for v in versions))
        inner = tuple(found)
        return [Entry(path, old, new, *lines[path]) for path, old, new in raw if not path.startswith(inner)]

    async def diff(self, before: str, after: str) -> str:
        """The unified diff between two trees; binary files are only named."""
        return (await self._compare("-p", before, after)).decode("utf-8", "replace")

    async def patch(self, before: str, after: str) -> bytes:
        """The diff as `git apply` takes it, to the byte and with binary files."""
        return await self._compare("-p", "--binary", before, after)

    async def content(self, version: Version) -> bytes:
        """The bytes of a file, or the target of a link."""
        return await self._git("cat-file", "blob", version.blob)

    async def merge(self, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
        """A text with the changes of both sides; None where they touch, or where it is no text."""
        if any(b"\0" in text[:8192] for text in (base, ours, theirs)):
            return None
        with tempfile.TemporaryDirectory(prefix="pygent-merge-") as place:
            names = _written(Path(place), {"ours": ours, "base": base, "theirs": theirs})
            try:
                return await self._git("merge-file", "-p", "--quiet", *names)
            except PygentError:
                return None

    async def check_out(self, tree: str, target: Path) -> None:
        """Put the files of a tree into a folder that is not there yet, whole or not at all."""
        making = target.with_name(f"{target.name}.new")
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        await asyncio.to_thread(making.mkdir, mode=0o700, parents=True)
        async with self._index(target) as index:
            await self._git("read-tree", "--reset", "-u", tree, root=making, index=index)
            making.replace(target)

    async def clean(self, wanted: Sequence[str], limit: int) -> int:
        """Keep the wanted snapshots and those of the last hours; returns how many bytes are left.

        Where the wanted ones need more than `limit` bytes, the last of them go, half of them at a time.
        """
        if not (self._folder / "HEAD").exists():
            return 0
        await asyncio.to_thread(self._remove_indexes)
        known = await self._git("cat-file", "--batch-check", given="\n".join(wanted).encode())
        trees = [line.split()[0] for line in known.decode().splitlines() if not line.endswith("missing")]
        while trees and await self._usage(trees) > limit:
            trees = trees[: len(trees) // 2]
        await self._refer(trees)
        await self._git("gc", "--quiet", f"--prune={KEPT}")
        return await asyncio.to_thread(_size, self._folder)

    async def _usage(self, trees: Sequence[str]) -> int:
        """Bytes on disk of everything in these trees."""
        given = "\n".join([*trees, ""]).encode()
        return int(await self._git("rev-list", "--objects", "--disk-usage", "--stdin", given=given))

    async def _refer(self, trees: Sequence[str]) -> None:
        """Let git know what is in use: what no ref leads to goes in the next clean-up."""
        old = (await self._git("for-each-ref", "--format=%(refname)", "refs/snapshots")).decode().split()
        names = {f"refs/snapshots/{tree}": tree for tree in trees}
        orders = [f"delete {name}" for name in old if name not in names]
        orders += [f"update {name} {tree}" for name, tree in names.items()]
        await self._git("update-ref", "--stdin", given="\n".join([*orders, ""]).encode())

    def _remove_indexes(self) -> None:
        """Remove what killed snapshots left, and indexes of folders that nobody has used for a month."""
        for path in self._folder.glob("index-*"):
            age = time.time() - path.stat().st_mtime
            if age > (DAY if ".new" in path.name else 30 * DAY):
                path.unlink(missing_ok=True)

    async def _compare(self, *arguments: str) -> bytes:
        options = ("-r", "--no-renames", "--no-ext-diff", "--no-textconv")
        try:
            return await self._git("diff-tree", *options, *arguments)
        except PygentError as error:
            if "bad object" in error.message or "unable to read tree" in error.message:
                raise PygentError("notFound", "The snapshot is no longer kept.") from error
            raise

    async def _make(self) -> None:
        """Make the repository unless it is there: beside its place, so that nobody sees it half made."""
        if (self._folder / "info" / "attributes").exists():
            return
        with tempfile.TemporaryDirectory(prefix="shadow-", dir=_made(self._folder.parent)) as place:
            making = _made(Path(place) / "git")
            await Git(making).run(
                "init", "--quiet", "--bare", "--template=", "--object-format=sha1", str(making)
            )
            (making / "info").mkdir(exist_ok=True)
            (making / "info" / "attributes").write_text(ATTRIBUTES)
            try:
                making.replace(self._folder)
            except OSError as error:
                if (self._folder / "info" / "attributes").exists():
                    return  # another session or process was quicker
                fix = "Move it away; earlier turns can't be undone then."
                raise PygentError("conflict", f"{self._folder} is no repository of ours.", fix) from error


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _written(place: Path, texts: Mapping[str, bytes]) -> list[str]:
    """Put texts into files; their names."""
    for name, text in texts.items():
        (place / name).write_bytes(text)
    return [str(place / name) for name in texts]


def blob_of(data: bytes) -> str:
    """The id that git gives to a content."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _raw(data: bytes) -> list[tuple[str, Version | None, Version | None]]:
    """The files of `diff-tree --raw -z`: path, and the versions before and after."""
    words = data.decode("utf-8", "surrogateescape").split("\0")[:-1]
    found = []
    for head, path in zip(words[::2], words[1::2], strict=True):
        old_mode, new_mode, old, new, _ = head.lstrip(":").split(" ")
        found.append((path, _version(old_mode, old), _version(new_mode, new)))
    return found


def _version(mode: str, blob: str) -> Version | None:
    return None if mode == "000000" else Version(mode, blob)


def _lines(data: bytes) -> dict[str, tuple[int | None, int | None]]:
    """Of `diff-tree --numstat -z`: the lines added and removed by path; None for binary files."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for row in data.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        added, removed, path = row.split("\t", 2)
        found[path] = (None, None) if added == "-" else (int(added), int(removed))
    return found
