"""What a clean-up keeps and removes, beside snapshots under way, and what a crash or an older Pygent left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.conftest import python

from pygent.errors import PygentError
from pygent.shadow import Shadow

LONG_AGO = 1_000_000_000


def fsck(repository: Path) -> str:
    """What git finds wrong with a repository."""
    done = subprocess.run(
        ["git", "--git-dir", repository, "fsck", "--full", "--no-dangling"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"},
    )
    return "".join(line for line in done.stderr.splitlines() if not line.startswith("notice:")) + done.stdout


def age(repository: Path) -> None:
    """Let all objects be old."""
    for path in (repository / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


async def snapshots(shadow: Shadow, root: Path, count: int) -> list[str]:
    """Snapshots of a folder of which one file is different each time."""
    (root / "sub/deep").mkdir(parents=True)
    for number in range(150):
        (root / f"sub/file{number}").write_text(f"{number}\n" * 30)
    (root / "sub/deep/large").write_bytes(os.urandom(9 << 20))
    trees = []
    for number in range(count):
        (root / "sub/deep/changes").write_text("".join(f"line {line}\n" for line in range(500 + number)))
        trees.append(await shadow.take(root))
    return trees


async def kept(shadow: Shadow, tree: str, place: Path) -> bool:
    """Whether a snapshot is whole; one that is gone says so."""
    try:
        await shadow.check_out(tree, place / tree)
    except PygentError as error:
        assert error.code == "notFound"
        return False
    return len(list((place / tree).rglob("*"))) == 154


async def test_what_is_wanted_or_young_stays_and_the_rest_goes(workspace: Path, home: Path) -> None:
    shadow = Shadow(home / "shadow.git")
    trees = await snapshots(shadow, workspace, 4)
    assert await shadow.clean([], 1 << 30) > 9 << 20
    assert [await kept(shadow, tree, home / "young") for tree in trees] == [True] * 4
    age(home / "shadow.git")
    (workspace / "sub/deep/changes").write_text("young")
    young = await shadow.take(workspace)
    await shadow.clean([trees[1], trees[3], "0" * 40], 1 << 30)
    assert [await kept(shadow, tree, home / "some") for tree in [*trees, young]] == [
        *(False, True, False, True),
        True,
    ]
    assert fsck(home / "shadow.git") == ""
    before = sorted(home.glob("shadow.git/objects/pack/*.pack"))
    await shadow.clean([trees[1], trees[3]], 1 << 30)
    assert sorted(home.glob("shadow.git/objects/pack/*.pack")) == before  # nothing is packed twice
    age(home / "shadow.git")
    assert await shadow.clean([], 1 << 30) < 1 << 20
    assert not await kept(shadow, young, home / "none")
    assert await kept(shadow, await shadow.take(workspace), home / "anew")


async def test_where_there_is_no_room_the_last_ones_go(workspace: Path, home: Path) -> None:
    shadow = Shadow(home / "shadow.git")
    trees = await snapshots(shadow, workspace, 1)
    (workspace / "sub/deep/large").write_bytes(os.urandom(9 << 20))
    trees.append(await shadow.take(workspace))
    age(home / "shadow.git")
    assert await shadow.clean(trees, 12 << 20) < 12 << 20
    assert [await kept(shadow, tree, home / "out") for tree in trees] == [True, False]
    age(home / "shadow.git")
    await shadow.clean(trees, 0)
    assert not await kept(shadow, trees[0], home / "none")


async def test_many_packs_become_one(workspace: Path, home: Path) -> None:
    shadow, trees = Shadow(home / "shadow.git"), []
    for number in range(9):
        for file in range(120):
            (workspace / f"file{file}").write_text(f"{number} {file}\n" * 20)
        trees.append(await shadow.take(workspace))
    assert len(list(home.glob("shadow.git/objects/pack/*.pack"))) == 9
    age(home / "shadow.git")
    await shadow.clean(trees, 1 << 30)
    assert len(list(home.glob("shadow.git/objects/pack/*.pack"))) == 1
    for tree in trees:
        await shadow.check_out(tree, home / tree)
    assert fsck(home / "shadow.git") == ""


@pytest.mark.parametrize("steps", range(0, 12, 3))
async def test_a_snapshot_beside_a_clean_up_is_whole(workspace: Path, home: Path, steps: int) -> None:
    """Also where it needs only objects that the clean-up was about to remove."""
    shadow = Shadow(home / "shadow.git")
    for number in range(150):
        (workspace / f"file{number}").write_text(f"{number}\n" * 30)
        os.utime(workspace / f"file{number}", (LONG_AGO, LONG_AGO))
    for turn in range(6):
        (workspace / "file0").write_text(str(turn % 2))
        await shadow.take(workspace)
        age(home / "shadow.git")
        cleaning = asyncio.create_task(shadow.clean([], 0))
        for _ in range(steps):
            await asyncio.sleep(0)
        trees = await asyncio.gather(*(Shadow(home / "shadow.git").take(workspace) for _ in range(2)))
        await cleaning
        assert len(set(trees)) == 1
        await shadow.check_out(trees[0], home / f"out{turn}")
        assert len(list((home / f"out{turn}").iterdir())) == 150
        assert fsck(home / "shadow.git") == ""


FIRST = """
import asyncio, pathlib, sys
from pygent.shadow import Shadow
asyncio.run(Shadow(pathlib.Path(sys.argv[1])).take(pathlib.Path(sys.argv[2])))
"""


@pytest.mark.parametrize("sign", ["objects/pack/tmp_pack_*", "objects/pack/tmp_idx_*", "objects/pack/*.pack"])
def test_a_killed_snapshot_leaves_a_usable_repository(workspace: Path, home: Path, sign: str) -> None:
    for number in range(3000):
        (workspace / f"file{number}").write_text(f"{number}\n" * 30)
    program = python("-c", FIRST, str(home / "shadow.git"), str(workspace))
    with subprocess.Popen(program) as process:
        while process.poll() is None and not list(home.glob(f"shadow.git/{sign}")):
            pass
        process.send_signal(signal.SIGKILL)
    shadow = Shadow(home / "shadow.git")
    tree = asyncio.run(shadow.take(workspace))
    asyncio.run(shadow.check_out(tree, home / "out"))
    assert len(list((home / "out").iterdir())) == 3000
    assert fsck(home / "shadow.git") == ""
    for path in home.glob("shadow.git/objects/pack/tmp_*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    asyncio.run(shadow.clean([tree], 1 << 30))
    assert not list(home.glob("shadow.git/objects/pack/tmp_*"))


@pytest.mark.parametrize("packed", [False, True])
async def test_a_repository_that_git_made_goes_on(workspace: Path, home: Path, packed: bool) -> None:
    """As state folders of an older Pygent hold it: refs, packs with deltas and an index of git's included."""
    repository, trees = home / "shadow.git", []
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_DIR": str(repository)}
    environ["GIT_WORK_TREE"] = str(workspace)
    shadow = Shadow(repository)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], env=environ, check=True, capture_output=True, text=True
        ).stdout.strip()

    subprocess.run(["git", "init", "-q", "--bare", "--template=", str(repository)], check=True)
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info/attributes").write_text("* -text -filter\n")
    for number in range(4):
        (workspace / "file").write_text("".join(f"line {line}\n" for line in range(2000 + number)))
        git("add", "-A")
        trees.append(git("write-tree"))
        git("update-ref", f"refs/snapshots/{trees[-1]}", trees[-1])
    (repository / "index").replace(shadow._kept(workspace))
    if packed:
        git("gc", "-q")
    assert await shadow.take(workspace) == trees[-1]
    (entry,) = await shadow.entries(trees[0], trees[3])
    assert (entry.added, entry.removed) == (3, 0)
    age(repository)
    await shadow.clean(trees[:2], 1 << 30)
    await shadow.check_out(trees[1], home / "out")
    assert (home / "out/file").read_text().count("\n") == 2001
    with pytest.raises(PygentError, match="no longer kept"):
        await shadow.check_out(trees[3], home / "none")
    assert fsck(repository) == ""


async def test_strays_go_after_a_day_and_what_is_known_of_a_folder_after_a_month(
    workspace: Path, home: Path
) -> None:
    shadow = Shadow(home / "shadow.git")
    await shadow.take(workspace)
    (known,) = home.glob("shadow.git/index-*")
    stray = home / "shadow.git/index-0123.new"
    stray.touch()
    for days, left in ((0.9, {known, stray}), (1.1, {known}), (29, {known}), (31, set())):
        for path in (known, stray):
            if path.exists():
                os.utime(path, (time.time() - days * 86400,) * 2)
        await shadow.clean([], 0)
        assert set(home.glob("shadow.git/index-*")) == left
