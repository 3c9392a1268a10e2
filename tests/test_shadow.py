"""Snapshots beside each other, cancelled, or of a file that changes while the clock stands still."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.conftest import python

from pygent.errors import PygentError
from pygent.shadow import Shadow


def fill(folder: Path, files: int) -> None:
    for n in range(files):
        (folder / f"file{n}").write_text(f"{n}\n" * 50)


async def test_many_snapshots_of_one_folder_at_once(workspace: Path, home: Path) -> None:
    fill(workspace, 300)
    for time_ in range(3):  # the first makes the repository, and eight do so together
        shadows = [Shadow(home / f"{time_}.git") for _ in range(8)]
        trees = await asyncio.gather(*(shadow.take(workspace) for shadow in shadows))
        assert len(set(trees)) == 1
    (home / "0.git" / "index.lock").touch()  # of a git that was killed, when it was run
    assert await Shadow(home / "0.git").take(workspace) == trees[0]
    assert not list(home.glob("0.git/index-*.new*"))
    assert not list(home.glob("shadow-*"))


@pytest.mark.parametrize("steps", range(0, 40, 3))
def test_a_loop_that_ends_ends_the_snapshots_that_begin(workspace: Path, home: Path, steps: int) -> None:
    fill(workspace, 20)
    shadow = Shadow(home / "shadow.git")

    async def begin() -> None:
        jobs = [asyncio.create_task(shadow.take(workspace)) for _ in range(4)]
        for _ in range(steps):
            await asyncio.sleep(0)
        assert len(jobs) == 4

    asyncio.run(begin())
    assert not list(home.glob("shadow.git/index-*.new*"))
    assert asyncio.run(shadow.take(workspace))


async def test_a_cancelled_snapshot_ends_before_it_is_done(workspace: Path, home: Path) -> None:
    fill(workspace, 3000)
    shadow = Shadow(home / "shadow.git")
    jobs = [asyncio.create_task(shadow.take(workspace)) for _ in range(8)]  # more than run at the same time
    while not list(home.glob("shadow.git/objects/pack/tmp_*")):
        await asyncio.sleep(0)
    for job in jobs:
        job.cancel()
    ended = await asyncio.gather(*jobs, return_exceptions=True)
    assert any(isinstance(error, asyncio.CancelledError) for error in ended)
    assert not list(home.glob("shadow.git/objects/pack/tmp_*"))
    assert not list(home.glob("shadow.git/index-*.new*"))
    with pytest.raises(PygentError, match="longer than 0 s") as told:
        await shadow.take(workspace, 0)
    assert told.value.code == "limit"
    assert await shadow.take(workspace)


async def test_a_change_of_the_same_size_in_the_same_second_is_seen(workspace: Path, home: Path) -> None:
    shadow, file = Shadow(home / "shadow.git"), workspace / "file"
    file.write_text("..")
    await shadow.take(workspace)
    while True:
        began = int(time.time())
        file.write_text("aa")
        before = await shadow.take(workspace)
        file.write_text("bb")
        if int(file.stat().st_mtime) == began:
            break
    while int(time.time()) == began:
        await asyncio.sleep(0.05)
    assert await shadow.take(workspace) != before


async def test_a_folder_that_is_no_repository_of_ours_is_left_alone(workspace: Path, home: Path) -> None:
    (home / "shadow.git").mkdir()
    (home / "shadow.git" / "mine").touch()
    with pytest.raises(PygentError, match=r"shadow\.git is no repository of ours"):
        await Shadow(home / "shadow.git").take(workspace)
    assert [path.name for path in (home / "shadow.git").iterdir()] == ["mine"]


async def test_a_folder_is_taken_after_a_clean_up_has_removed_what_its_index_names(
    workspace: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of a folder is no snapshot: what nothing but it names goes, and is made anew."""
    fill(workspace, 5)
    (workspace / "build").write_text("tracked before it was ignored")
    old = time.time() - 60
    for path in workspace.iterdir():
        os.utime(path, (old, old))  # so that they need not be read again
    shadow = Shadow(home / "shadow.git")
    before = await shadow.take(workspace)
    (workspace / ".gitignore").write_text("build\n")
    monkeypatch.setattr("pygent.shadow.KEPT", 0.0)
    await shadow.clean([], 0)
    after = await shadow.take(workspace)
    await shadow.check_out(after, home / "out")
    assert (home / "out/file4").read_text() == "4\n" * 50
    assert (home / "out/build").exists()
    with pytest.raises(PygentError, match="no longer kept"):
        await shadow.entries(before, after)


async def test_a_broken_index_is_made_anew(workspace: Path, home: Path) -> None:
    fill(workspace, 5)
    shadow = Shadow(home / "shadow.git")
    before = await shadow.take(workspace)
    (index,) = home.glob("shadow.git/index-*")
    index.write_bytes(index.read_bytes()[:50])
    assert await shadow.take(workspace) == before


NAMES = [b"-rf", b"a\nb", b"\xff\xfe", b" sp  ace ", b'"q"', b"it's", b"tab\t", b":(exclude)x", b"*", b"\\"]


async def test_odd_names_are_names_also_of_repositories_inside(workspace: Path, home: Path) -> None:
    root = os.fsencode(workspace)
    for name in NAMES:
        inner = root + b"/repo" + name
        subprocess.run(["git", "init", "-q", inner], check=True)
        for file in (root + b"/" + name, inner + b"/file"):
            with open(file, "w") as opened:
                opened.write("x")
    os.mkfifo(workspace / "pipe")
    (workspace / "lost").mkdir()
    (workspace / "lost/.git").write_text("gitdir: ../.git/modules/gone\n")
    (workspace / "lost/file").write_text("x")
    shadow, empty = Shadow(home / "shadow.git"), home / "empty"
    empty.mkdir()
    entries = await shadow.entries(await shadow.take(empty), await shadow.take(workspace))
    own = {*NAMES, b"lost/file"}
    assert {os.fsencode(entry.path) for entry in entries} == own
    entries = await shadow.entries(await shadow.take(empty), await shadow.whole(workspace, {}))
    assert {os.fsencode(entry.path) for entry in entries} == own | {
        b"repo" + name + b"/file" for name in NAMES
    }


TAKE = """
import asyncio, pathlib, sys
from pygent.shadow import Shadow
root = pathlib.Path(sys.argv[1])
shadow = Shadow(root.parent / "shadow.git")
tree = asyncio.run(shadow.take(root))
assert tree == asyncio.run(shadow.whole(root, {}))
asyncio.run(shadow.check_out(tree, root.parent / "out"))
"""


def test_files_that_we_may_not_read_are_left_out(workspace: Path) -> None:
    """As a container's data are, which another user owns."""
    fill(workspace, 3)
    (workspace / "data").mkdir()
    for name in ("closed", "it's closed", "data/inner"):
        (workspace / name).write_text("secret")
        (workspace / name).chmod(0)
    (workspace / "data").chmod(0)
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    subprocess.run([*plain, *python("-c", TAKE, str(workspace))], check=True)
    (workspace / "data").chmod(0o700)
    taken = sorted(path.name for path in (workspace.parent / "out").iterdir())
    assert taken == ["file0", "file1", "file2"]
