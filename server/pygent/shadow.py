"""The shadow repository: snapshots of folders as git trees, apart from the person's own git.

Its git folder lies in the state folder and the folder that is taken is only its work tree, so nothing of it
shows in the person's repository.  Git never runs with their configuration or the repository's: even
`git diff` executes a filter that a hostile repository names.  Everything raises PygentError.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pygent.errors import PygentError
from pygent.events import ChangeKind

OPTIONS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.logAllRefUpdates=false",
    "gc.auto=0",
    "protocol.allow=never",
)
ATTRIBUTES = "* -text -filter !diff !merge -ident -working-tree-encoding\n"
"""In the highest place that git looks for attributes: a `.gitattributes` of the folder changes no byte."""

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
        self._making = asyncio.Lock()

    @property
    def available(self) -> bool:
        """Whether git is installed."""
        return shutil.which("git") is not None

    async def take(self, root: Path) -> str:
        """The tree of a folder as it is, without what its `.gitignore` leaves out."""
        async with self._making:
            await self._make()
        index = self._folder / f"index-{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}"
        left_out: list[str] = []
        while True:
            try:
                await self._git("add", "-A", "--", ".", *left_out, root=root, index=index)
                break
            except PygentError as error:
                # A repository without a commit inside the folder can be neither added nor passed over.
                inner = re.search(r"'(.+?)/?' does not have a commit checked out", error.message)
                if inner is None or len(left_out) > 50:
                    raise
                left_out.append(f":(exclude,literal){inner[1]}")
        return (await self._git("write-tree", root=root, index=index)).decode().strip()

    async def entries(self, before: str, after: str) -> list[Entry]:
        """The files that differ between two trees."""
        raw = await self._compare("--raw", "--no-abbrev", "-z", before, after)
        lines = _lines(await self._compare("--numstat", "-z", before, after))
        return [Entry(path, old, new, *lines[path]) for path, old, new in _raw(raw)]

    async def diff(self, before: str, after: str) -> str:
        """The unified diff between two trees; binary files are only named."""
        return (await self._compare("-p", before, after)).decode("utf-8", "replace")

    async def content(self, version: Version) -> bytes:
        """The bytes of a file, or the target of a link."""
        return await self._git("cat-file", "blob", version.blob)

    async def merge(self, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
        """A text with the changes of both sides; None where they touch, or where it is no text."""
        if any(b"\0" in text[:8192] for text in (base, ours, theirs)):
            return None
        with tempfile.TemporaryDirectory(prefix="pygent-merge-") as place:
            names = _written(Path(place), {"ours": ours, "base": base, "theirs": theirs})
            process = await self._start("merge-file", "-p", "--quiet", *names)
            merged, _ = await process.communicate()
        return merged if process.returncode == 0 else None

    async def check_out(self, tree: str, target: Path) -> None:
        """Put the files of a tree into an empty folder."""
        await asyncio.to_thread(target.mkdir, mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pygent-index-") as place:
            index = Path(place, "index")
            await self._git("read-tree", tree, root=target, index=index)
            await self._git("checkout-index", "-a", root=target, index=index)

    async def _compare(self, *arguments: str) -> bytes:
        return await self._git(
            "diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", *arguments
        )

    async def _make(self) -> None:
        if not self.available:
            raise PygentError(
                "unsupported", "git is not installed, so there are no snapshots.", "Install git."
            )
        if not (self._folder / "HEAD").exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                await self._git("init", "--quiet", "--bare", "--template=", str(self._folder))
            except PygentError:
                if not (self._folder / "HEAD").exists():  # else another process made it meanwhile
                    raise
        (self._folder / "info").mkdir(exist_ok=True)
        (self._folder / "info" / "attributes").write_text(ATTRIBUTES)

    async def _git(self, *arguments: str, root: Path | None = None, index: Path | None = None) -> bytes:
        process = await self._start(*arguments, root=root, index=index)
        try:
            out, errors = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            if index is not None:
                index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
            raise
        if process.returncode != 0:
            said = " ".join(errors.decode("utf-8", "replace").split())[:400]
            raise PygentError("conflict", f"git {arguments[0]} failed: {said}.", None)
        return out

    async def _start(
        self, *arguments: str, root: Path | None = None, index: Path | None = None
    ) -> asyncio.subprocess.Process:
        program = shutil.which("git")
        assert program is not None
        options = [word for option in OPTIONS for word in ("-c", option)]
        env = {
            "PATH": f"{Path(program).parent}:/usr/bin:/bin",
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_DIR": str(self._folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **({} if root is None else {"GIT_WORK_TREE": str(root)}),
            **({} if index is None else {"GIT_INDEX_FILE": str(index)}),
        }
        return await asyncio.create_subprocess_exec(
            *(program, *options, *arguments),
            cwd=root or self._folder,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def _written(place: Path, texts: Mapping[str, bytes]) -> list[str]:
    """Put texts into files; their names."""
    for name, text in texts.items():
        (place / name).write_bytes(text)
    return [str(place / name) for name in texts]


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
