"""Repositories inside a workspace are data: whatever their configuration names, nothing of it runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import missing, python

from pygent.gitignore import walk
from pygent.shadow import Shadow

CONFIG = """
[core]
    fsmonitor = {run}
    hooksPath = {hooks}
    sshCommand = {run}
    pager = {run}
    editor = {run}
    gitProxy = {run}
    attributesFile = {attributes}
[filter "x"]
    clean = {run}
    smudge = {run}
    process = {run}
    required
[diff]
    external = {run}
[diff "x"]
    textconv = {run}
    command = {run}
[merge "x"]
    driver = {run}
[alias]
    status = !{run}
[include]
    path = ../evil
"""
ATTRIBUTES = "* filter=x diff=x merge=x text eol=crlf ident working-tree-encoding=UTF-16\n"
HOOKS = ("post-checkout", "post-index-change", "fsmonitor-watchman", "reference-transaction", "pre-commit")


def git(*arguments: str | Path) -> None:
    clean = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-c", "protocol.file.allow=always"]
    subprocess.run([*clean, *map(str, arguments)], check=True, capture_output=True)


class Place:
    """A workspace, a program that leaves a mark where anybody starts it, and a folder outside."""

    def __init__(self, root: Path) -> None:
        self.root, self.outside, self.mark = root, root.parent / "outside", root.parent / "ran"
        self.outside.mkdir()
        (self.outside / "secret").write_text("of the host")
        self.canary = root.parent / "canary"
        self.canary.write_text(f"#!/bin/sh\ntouch {self.mark}\ncat\n")
        self.canary.chmod(0o755)

    def repository(self, name: str, *, commit: bool = True) -> Path:
        """One with all the configuration that runs programs."""
        inner = self.root / name
        git("init", "-q", inner)
        (inner / "file").write_text("inner\n")
        if commit:
            git("-C", inner, "add", "-A")
            git("-C", inner, "commit", "-qm", "m")
        self.spoil(inner / ".git")
        return inner

    def spoil(self, folder: Path) -> None:
        """Let a repository run the canary at every occasion."""
        config = CONFIG.format(run=self.canary, hooks=folder / "hooks", attributes=folder / "attributes")
        with (folder / "config").open("a") as file:
            file.write(config)
        (folder / "evil").write_text(config.replace("../evil", "nowhere"))
        (folder / "attributes").write_text(ATTRIBUTES)
        (folder / "info").mkdir(exist_ok=True)
        (folder / "info/attributes").write_text(ATTRIBUTES)
        (folder / "hooks").mkdir(exist_ok=True)
        for hook in HOOKS:
            shutil.copy(self.canary, folder / "hooks" / hook)
        (folder.parent / ".gitattributes").write_text(ATTRIBUTES)


def plain(place: Place) -> None:
    place.repository("inner")


def unborn(place: Place) -> None:
    place.repository("inner", commit=False)


def deep(place: Place) -> None:
    for name in ("a", "a/b", "a/b/c", "a/b/c/d"):
        place.repository(name)


def itself(place: Place) -> None:
    git("init", "-q", place.root)
    place.spoil(place.root / ".git")


def submodule(place: Place) -> None:
    source = place.repository("source")
    inner = place.root / "inner"
    git("init", "-q", inner)
    git("-C", inner, "submodule", "add", source / ".git", "sub")
    git("-C", inner, "commit", "-qm", "m")
    place.spoil(inner / ".git")
    place.spoil(inner / ".git/modules/sub")
    with (inner / ".gitmodules").open("a") as file:
        file.write(f"\tupdate = !{place.canary}\n")


def worktree_outside(place: Place) -> None:
    git("init", "-q", place.outside / "repo")
    git("-C", place.outside / "repo", "commit", "--allow-empty", "-qm", "m")
    git("-C", place.outside / "repo", "worktree", "add", place.root / "inner")
    place.spoil(place.outside / "repo/.git")


def pointed_back(place: Place) -> None:
    inner = place.repository("inner")
    other = place.root / "other"
    other.mkdir()
    (other / ".git").write_text(f"gitdir: {inner}/.git\n")
    (other / "file").write_text("x")


def alternates(place: Place) -> None:
    inner = place.repository("inner")
    (inner / ".git/objects/info/alternates").write_text(f"{place.outside}\n")
    (inner / ".git/commondir").write_text(f"{place.outside}\n")


def bare(place: Place) -> None:
    git("init", "-q", "--bare", place.root / "bare.git")
    place.spoil(place.root / "bare.git")


def head_is(make: Callable[[Path, Place], None]) -> Callable[[Place], None]:
    def kind(place: Place) -> None:
        inner = place.repository("inner")
        (inner / ".git/HEAD").unlink()
        make(inner / ".git/HEAD", place)

    return kind


def ref_is(make: Callable[[Path, Place], None]) -> Callable[[Place], None]:
    def kind(place: Place) -> None:
        inner = place.repository("inner")
        (inner / ".git/HEAD").write_text("ref: refs/heads/odd\n")
        make(inner / ".git/refs/heads/odd", place)
        make(inner / ".git/packed-refs", place)

    return kind


def dot_git_is(make: Callable[[Path, Place], None]) -> Callable[[Place], None]:
    def kind(place: Place) -> None:
        (place.root / "inner").mkdir()
        (place.root / "inner/file").write_text("x")
        make(place.root / "inner/.git", place)

    return kind


def up(path: Path, place: Place) -> None:
    path.write_text("ref: refs/../../../../outside/secret\n")


ODD: dict[str, Callable[[Path, Place], None]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "endless": lambda path, _: path.symlink_to("/dev/zero"),
    "huge": lambda path, _: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 20 << 30),
    "link out": lambda path, place: path.symlink_to(place.outside / "secret"),
    "loop": lambda path, _: path.symlink_to(path.name),
    "folder": lambda path, _: path.mkdir(),
    "up": up,
}
KINDS: dict[str, Callable[[Place], None]] = {
    **{
        kind.__name__: kind
        for kind in (plain, unborn, deep, itself, submodule, worktree_outside, pointed_back, alternates, bare)
    },
    **{f"HEAD: {name}": head_is(make) for name, make in ODD.items()},
    **{f"ref: {name}": ref_is(make) for name, make in ODD.items()},
    **{f".git: {name}": dot_git_is(make) for name, make in ODD.items()},
}

WORK = """
import asyncio, pathlib, sys
from pygent import shadow
root, state = map(pathlib.Path, sys.argv[1:])
async def work():
    one = shadow.Shadow(state)
    before = await one.take(root)
    (root / "file").write_text("changed\\n")
    for inner in root.rglob("file"):
        inner.write_text("INNER\\n")  # as long as before, so that git has to look into it
    after = await one.take(root)
    whole = await one.whole(root, {root / "text": "typed"})
    for old, new in ((before, after), (after, whole), (whole, before)):
        await one.entries(old, new), await one.diff(old, new), await one.patch(old, new)
    assert await one.merge(b"a\\nb\\nc\\n", b"A\\nb\\nc\\n", b"a\\nb\\nC\\n") == b"A\\nb\\nC\\n"
    await one.over(after, root, {root / "text": "typed"})
    await one.check_out(whole, state.parent / "out")
    await one.take(state.parent / "out")
    shadow.KEPT = 0.0
    await one.clean([after, whole], 1 << 30)
asyncio.run(work())
"""


@pytest.fixture
def place(workspace: Path) -> Place:
    (workspace / "file").write_text("own\n")
    (workspace / "text").write_text("own\n")
    (workspace / ".gitattributes").write_text(ATTRIBUTES)
    return Place(workspace)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs_and_nothing_outside_is_read(place: Place, kind: str, home: Path) -> None:
    strace = shutil.which("strace") or missing("strace is not installed")
    KINDS[kind](place)
    (home / ".gitconfig").write_text(CONFIG.format(run=place.canary, hooks=home, attributes=home / "a"))
    log = place.root.parent / "log"
    work = [*python("-c", WORK, str(place.root)), str(home / "shadow.git")]
    traced = [strace, "-f", "-qq", "-s", "4096", "-e", "trace=execve,execveat,openat,open", "-o", str(log)]
    done = subprocess.run([*traced, *work], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    calls = log.read_text().splitlines()
    assert sum("execve" in call for call in calls) == 1, [call for call in calls if "execve" in call]
    assert not [call for call in calls if str(place.outside) in call or ".gitconfig" in call]
    assert not place.mark.exists()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hostile_folder_can_be_taken_and_made_again(place: Place, kind: str, home: Path) -> None:
    KINDS[kind](place)
    shadow = Shadow(home / "shadow.git")
    whole = await shadow.whole(place.root, {})
    out = home / "out"
    await shadow.check_out(whole, out)
    assert (out / "text").read_text() == "own\n"
    assert not [path for path in out.rglob("*") if path.name == ".git"]
    for path in walk(place.root, place.root):
        if ".git" not in path.parts:
            assert (out / path.relative_to(place.root)).read_bytes() == path.read_bytes()


async def test_a_repository_inside_is_told_by_its_commit(place: Place, home: Path) -> None:
    inner = place.repository("inner")
    shadow, empty = Shadow(home / "shadow.git"), home / "empty"
    empty.mkdir()

    async def commit() -> str:
        entries = await shadow.entries(await shadow.take(empty), await shadow.take(place.root))
        (found,) = [entry.after for entry in entries if entry.path == "inner"]
        assert found is not None
        assert found.mode == "160000"
        return found.blob

    def head() -> str:
        said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=inner, capture_output=True, check=True)
        return said.stdout.decode().strip()

    (inner / ".git/config").write_text("[core]\n")
    (inner / ".gitattributes").unlink()
    assert await commit() == head()
    git("-C", inner, "pack-refs", "--all")
    assert await commit() == head()
    git("-C", inner, "checkout", "-q", "--detach")
    assert await commit() == head()
    git("-C", inner, "worktree", "add", place.root / "linked", "-b", "other")
    entries = await shadow.entries(await shadow.take(empty), await shadow.take(place.root))
    assert {entry.path for entry in entries if entry.after and entry.after.mode == "160000"} >= {"linked"}


def test_folders_that_are_swapped_for_links_lead_nowhere(place: Place, home: Path) -> None:
    """While a snapshot is made, another process swaps folders and files for links to the outside."""
    secret = b"only outside"
    for name in ("a", "b"):
        (place.outside / name).mkdir()
        (place.outside / name / "file").write_bytes(secret)
    (place.outside / ".gitignore").write_text("*\n")
    (place.root / "folder/a").mkdir(parents=True)
    (place.root / "folder/b").mkdir()
    for name in ("a", "b"):
        (place.root / "folder" / name / "file").write_text("inside")
    ended = threading.Event()

    def swap() -> None:
        folder, aside = place.root / "folder", place.root.parent / "aside"
        while not ended.is_set():
            folder.rename(aside)
            folder.symlink_to(place.outside)
            folder.unlink()
            aside.rename(folder)
            file = folder / "a/file"
            file.unlink()
            file.symlink_to(place.outside / "a/file")
            file.unlink()
            file.write_text("inside")

    async def look() -> None:
        shadow, empty = Shadow(home / "shadow.git"), home / "empty"
        empty.mkdir()
        nothing = await shadow.take(empty)
        for _ in range(300):
            entries = await shadow.entries(nothing, await shadow.take(place.root))
            for entry in entries:
                assert entry.after is not None
                assert await shadow.content(entry.after) != secret
            assert "secret" not in [path.name for path in walk(place.root, place.root)]

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        asyncio.run(look())
    finally:
        ended.set()
        swapping.join()


def test_a_large_file_is_not_held_in_memory(place: Place, home: Path) -> None:
    with (place.root / "large").open("wb") as file:
        file.truncate(600 << 20)
    measured = f"""
import asyncio, pathlib
from pygent.shadow import Shadow
asyncio.run(Shadow(pathlib.Path({str(home / "s.git")!r})).take(pathlib.Path({str(place.root)!r})))
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak[0].split()[1]) * 1024)
"""
    done = subprocess.run(python("-c", measured), capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200 << 20
