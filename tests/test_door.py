"""A command that swaps files for links and pipes while the host looks at them: nothing comes in or goes out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import select
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.conftest import python

from pygent import file_trees, files, initial_files, saved, snapshots
from pygent.errors import PygentError, ToolError
from pygent.shadow import Shadow
from pygent.workspace import Workspace

CANARY = b"outside-canary"
SWAPS = 500
"""In each example, of which there are forty: 20,000 in all."""
NAMES = ("x", "d/x", "d/x/y", "d")
KINDS = ("folder", "file", "pipe", "link to a folder", "link to a file", "link to nothing", "link inside")

SWAPPER = """
import itertools, json, os, sys

def make(path, kind, outside):
    if kind == "folder":
        os.makedirs(path + "/y")
        open(path + "/file", "w").close()
    elif kind == "file":
        open(path, "w").close()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.symlink({"link to a folder": outside, "link to a file": outside + "/file",
                    "link to nothing": outside + "/new", "link inside": "."}[kind], path)

def swap(place, spare, outside, kind, number):
    new, old = f"{spare}/new-{number}", f"{spare}/old-{number}"
    make(new, kind, outside)
    for _ in range(100):  # the host may be quicker and put something of its own there
        try:
            try:
                os.rename(place, old)
            except FileNotFoundError:
                pass
            os.rename(new, place)
            return True
        except OSError:
            old += "-"
    return False

for line in sys.stdin:
    work, done = json.loads(line), 0
    root, outside, spare = work["root"], work["outside"], work["spare"]
    for number, (name, kind) in zip(range(work["count"]), itertools.cycle(work["swaps"])):
        if name == "":  # the root itself
            os.rename(root, spare + "/root")
            os.symlink(outside, root)
            os.unlink(root)
            os.rename(spare + "/root", root)
            done += 1
        elif os.path.isdir(parent := os.path.dirname(f"{root}/{name}")) and os.path.realpath(parent) == parent:
            done += swap(f"{root}/{name}", spare, outside, kind, number)
        else:
            done += swap(f"{root}/d", spare, outside, "folder", number)
    print(done, flush=True)
"""


class World(NamedTuple):
    """A workspace, another, what lies outside of both, and what the person chose."""

    workspace: Workspace
    other: Path
    outside: Path
    chosen: Path


async def taken(world: World) -> list[bytes]:
    """What a snapshot of the workspace has, which is also checked out into the other one."""
    shadow = Shadow(world.other / "shadow.git")
    tree = await shadow.whole(world.workspace.root, {})
    await shadow.check_out(tree, world.other / f"all-{secrets.token_hex(4)}")
    empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    return [await shadow.patch(empty, tree)]


CALLS: dict[str, Callable[[World, Path], object]] = {
    "read": lambda w, path: w.workspace.read_bytes(path, 1000),
    "resolve and read": lambda w, path: w.workspace.read(w.workspace.resolve(str(path))),
    "list": lambda w, path: w.workspace.entries(path),
    "look": lambda w, path: (w.workspace.exists(path), w.workspace.is_folder(path)),
    "walk": lambda w, path: [*file_trees.walk(path, w.workspace.root)],
    "write": lambda w, path: files.write_atomic(path, b"written", root=w.workspace.root),
    "resolve and write": lambda w, path: files.write_atomic(
        w.workspace.resolve(str(path)), b"written", root=w.workspace.root
    ),
    "make": lambda w, path: files.make_folder(path, w.workspace.root),
    "link": lambda w, path: files.make_link(path, w.workspace.root, "file"),
    "remove": lambda w, path: files.remove(path, w.workspace.root),
    "remove all": lambda w, path: file_trees.remove_tree(path, w.workspace.root),
    "copy in": lambda w, path: file_trees.copy_tree(w.chosen, w.chosen.parent, path, w.workspace.root),
    "copy out": lambda w, path: file_trees.copy_tree(path, w.workspace.root, w.other / "out", w.other),
    "give to a task": lambda w, path: snapshots.copy_some(
        w.workspace.root, w.other / "given", [path], {path: "unsaved"}
    ),
    "take a snapshot": lambda w, path: asyncio.run(taken(w)),
    "collect from": lambda w, path: snapshots.collect(
        path, w.workspace.root, w.other / "collected", w.other
    ),
    "collect to": lambda w, path: snapshots.collect(
        w.chosen, w.chosen.parent, path, w.workspace.root
    ),
    "first files from": lambda w, path: initial_files.copy_in([path], w.workspace.root, w.other),
    "first files to": lambda w, path: initial_files.copy_in([w.chosen], w.other, w.workspace.root),
    "load": lambda w, path: saved.copy_in(w.chosen.parent / "snapshot", w.workspace.root, replace=True),
}  # fmt: skip


@pytest.fixture(scope="module")
def swapper() -> Iterator[subprocess.Popen[str]]:
    """The process that swaps; it reads what to do as lines of JSON."""
    program = python("-c", SWAPPER)
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def succeeded() -> Iterator[Counter[str]]:
    """How often each call did what it is for; a race that all of them lose shows nothing."""
    counts: Counter[str] = Counter()
    yield counts
    assert sorted(set(CALLS) - set(counts)) == []
    assert counts["swaps"] >= 10_000


def state_of(folder: Path) -> dict[str, object]:
    """All that is in a folder, with contents, permissions and times."""
    found: dict[str, object] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, data)
    return found


def holds_canary(folder: Path) -> bool:
    """Whether any plain file below a folder, links not followed, has what lies outside."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink() and CANARY in path.read_bytes():
                return True
    return False


def make_world(place: Path) -> World:
    for name in (
        "above/root",
        "other",
        "outside/x/y",
        "outside/d/x/y",
        "outside/y",
        "spare",
        "snapshot/workspace/d",
    ):
        (place / name).mkdir(parents=True)
    for name in ("file", "x/file", "x/y/file", "d/x/file", "d/file", "y/file"):
        (place / "outside" / name).write_bytes(CANARY)
    for name in ("x", "d/x"):
        (place / "snapshot/workspace" / name).write_text("loaded")
    (place / "x").write_text("chosen")
    return World(Workspace(place / "above/root"), place / "other", place / "outside", place / "x")


def ready(stream: IO[str]) -> bool:
    return bool(select.select([stream], [], [], 0)[0])


@given(
    swaps=st.lists(st.tuples(st.sampled_from(["", *NAMES]), st.sampled_from(KINDS)), min_size=3, max_size=12),
    calls=st.lists(st.tuples(st.sampled_from(list(CALLS)), st.sampled_from(NAMES)), min_size=10, max_size=30),
)
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate],  # a race is not to be replayed
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_nothing_comes_in_and_nothing_goes_out_whatever_is_swapped_meanwhile(
    tmp_path_factory: pytest.TempPathFactory,
    swapper: subprocess.Popen[str],
    succeeded: Counter[str],
    swaps: list[tuple[str, str]],
    calls: list[tuple[str, str]],
) -> None:
    place = tmp_path_factory.mktemp("place")
    world = make_world(place)
    before = state_of(world.outside)
    assert swapper.stdin is not None
    assert swapper.stdout is not None
    root = world.workspace.root
    work = {
        "root": str(root), "outside": str(world.outside), "spare": str(place / "spare"),
        "swaps": swaps, "count": SWAPS,
    }  # fmt: skip
    swapper.stdin.write(f"{json.dumps(work)}\n")
    swapper.stdin.flush()
    for call, name in itertools.cycle(calls):
        if ready(swapper.stdout):
            break
        with contextlib.suppress(OSError, ToolError, PygentError):
            result = CALLS[call](world, root / name)
            succeeded[call] += 1
            assert CANARY not in repr(result).encode()
    succeeded["swaps"] += int(swapper.stdout.readline())
    after = state_of(world.outside)
    assert {
        key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)
    } == {}
    assert not any(holds_canary(folder) for folder in (root, world.other, place / "spare"))
    assert sorted(path.name for path in place.iterdir()) == [
        "above", "other", "outside", "snapshot", "spare", "x"
    ]  # fmt: skip
