"""What a task can leave behind on purpose or by accident, and a person who saves at the wrong moment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.story import call, story
from tests.test_takeover import DONE, delegated

from pygent.shadow import Shadow, Version
from pygent.takeover import Takeover
from pygent.workspace import Workspace


class Meanwhile(Shadow):
    """The real one, beside a person who saves a file while it reads."""

    file: Path
    left = 2

    async def content(self, version: Version) -> bytes:
        if self.left:
            self.left -= 1
            with self.file.open("a") as file:
                file.write(f"typed {self.left}\n")
        return await super().content(version)


@pytest.mark.parametrize("change", ["sed -i s/one/ONE/ file", "rm file; ln -s other file"])
async def test_what_is_saved_while_it_is_taken_over_is_kept(
    workspace: Path, state: Path, change: str
) -> None:
    shadow = Meanwhile(state / "shadow.git")
    shadow.file = workspace / "file"
    shadow.file.write_text("one\ntwo\nthree\nfour\n")
    before = await shadow.take(workspace)
    subprocess.run(change, shell=True, cwd=workspace, check=True)
    after = await shadow.take(workspace)
    shadow.file.unlink(missing_ok=True)
    shadow.file.write_text("one\ntwo\nthree\nfour\n")
    takeover = Takeover(shadow, Workspace(workspace), named=False, preview=False)
    done = await takeover.run(await shadow.entries(before, after))
    text = shadow.file.read_text()
    if change.startswith("sed"):
        assert (done.applied, text) == (["file"], "ONE\ntwo\nthree\nfour\ntyped 1\ntyped 0\n")
    else:
        assert [conflict.path for conflict in done.conflicts] == ["file"]
        assert text == "one\ntwo\nthree\nfour\ntyped 1\ntyped 0\n"


SWAPS = """
rm -r folder; echo now a file > folder
rm file; mkdir -p file/deep; echo now a folder > file/deep/one
rm -r linked; mkdir real; echo r > real/r; ln -s real linked
mv Case case; rm -r emptied/inner
"""


async def test_files_and_folders_change_places(workspace: Path) -> None:
    for name in (
        "folder/a/b",
        "folder/c",
        "file",
        "linked/x",
        "Case",
        "emptied/inner/deep/x",
        "emptied/stays",
    ):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(name)
    async with story(workspace, call("bash", cmd=SWAPS), DONE) as tale:
        task = await delegated(tale)
        preview = await tale.app.tasks.results.apply(task.id, preview=True)
        done = await tale.app.tasks.results.apply(task.id)
        assert (preview.applied, done.conflicts) == (done.applied, [])
        files = {str(p.relative_to(workspace)) for p in workspace.rglob("*") if p.is_file()}
        theirs = Path(task.workspace)
        assert files == {str(p.relative_to(theirs)) for p in theirs.rglob("*") if p.is_file()}
        assert (workspace / "folder").read_text() == "now a file\n"
        assert os.readlink(workspace / "linked") == "real"
        assert not (workspace / "emptied/inner").exists()


async def test_a_folder_with_something_of_a_persons_is_not_replaced(workspace: Path) -> None:
    for name in ("folder/a", "file"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text(name)
    async with story(workspace, call("bash", cmd=SWAPS + "true"), DONE) as tale:
        task = await delegated(tale)
        (workspace / "folder/mine").write_text("typed")
        (workspace / "file").write_text("typed")
        for preview in (True, False):
            done = await tale.app.tasks.results.apply(task.id, preview=preview)
            assert {one.path: one.reason for one in done.conflicts} == {
                "folder": "is a folder here",
                "file": "was changed here, and the task deleted it",
                "file/deep/one": "lies in a folder that is a file here",
            }
    assert (workspace / "folder/mine").read_text() == (workspace / "file").read_text() == "typed"


@pytest.mark.parametrize("commit", ["", "; git -c user.name=n -c user.email=e@e commit -qm m"])
async def test_a_folder_that_becomes_a_repository_is_not_deleted(workspace: Path, commit: str) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub/file").write_text("a person's")
    work = f"cd sub && git init -q && echo new > new && git add . {commit}"
    async with story(workspace, call("bash", cmd=work), DONE) as tale:
        task = await delegated(tale)
        done = await tale.app.tasks.results.apply(task.id)
        assert (done.applied, done.conflicts) == (["sub/new"], [])
        assert (workspace / "sub/file").read_text() == "a person's"
        assert not (workspace / "sub/.git").exists()


async def test_a_turn_that_makes_a_repository_is_taken_back_and_made_again(workspace: Path) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub/file").write_text("a person's")
    identity = "-c user.name=n -c user.email=e@e"
    work = f"cd sub && git init -q && git add . && git {identity} commit -qm m; echo y > ../y"
    async with story(workspace, call("bash", cmd=work), DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("work")
        for redo in (False, True, False):
            await session.undo(redo=redo)
            assert (workspace / "sub/file").read_text() == "a person's"
            assert (workspace / "y").exists() == redo


async def test_a_large_file_is_taken_over_whole_or_not_at_all(workspace: Path) -> None:
    line = b"0123456789abcde\n"
    large = line * (7 << 20)  # 112 MiB, without a NUL
    (workspace / "large").write_bytes(large)
    (workspace / "both").write_bytes(large)
    work = "sed -i '1s/.*/first/' large both"
    async with story(workspace, call("bash", cmd=work), DONE) as tale:
        task = await delegated(tale)
        with (workspace / "both").open("ab") as file:
            file.write(b"typed\n")
        done = await tale.app.tasks.results.apply(task.id)
    assert done.applied == ["large"]
    assert "too large" in done.conflicts[0].reason
    assert (workspace / "large").stat().st_size == len(large) - len(line) + len(b"first\n")
    assert (workspace / "both").stat().st_size == len(large) + len(b"typed\n")
