"""What a cloned folder or a command can leave in a workspace for the host to stumble over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lsp.desk import Desk
from tests.lsp.wire import editor
from tests.story import Person, call, story
from tests.test_takeover import delegated

from pygent import Runtime, initial_files, snapshots
from pygent.errors import PygentError, ToolError
from pygent.folder import Folder, Launch
from pygent.images import Images
from pygent.records import Decision
from pygent.replay import Reply
from pygent.workspace import Workspace

DONE = Reply(text="Done.", times=0)
PNG = b"\x89PNG\r\n\x1a\n"
SECRET = "of the host alone"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


def names_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- first files -------------------------------------------------------------------------------------

TARGETS: dict[str, Callable[[Path, Path], object]] = {
    "dangling link": lambda path, outside: path.symlink_to("../outside/new"),
    "link to a file": lambda path, outside: path.symlink_to(outside / "secret"),
    "link to a folder": lambda path, outside: path.symlink_to(outside),
    "pipe": lambda path, outside: os.mkfifo(path),
    "file": lambda path, outside: path.write_text("mine"),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("source", ["file", "folder"])
async def test_first_files_are_written_through_no_link(
    workspace: Path, outside: Path, tmp_path: Path, kind: str, source: str
) -> None:
    """A link that leads nowhere, as `.bash_login -> ../../.bash_login`, made a file in the home folder."""
    first = tmp_path / "first/begin"
    first.parent.mkdir()
    if source == "file":
        first.write_text("first")
    else:
        (first / "sub").mkdir(parents=True)
        (first / "sub/new").write_text("first")
    TARGETS[kind](workspace / "begin", outside)
    before = (workspace / "begin").lstat()
    async with story(workspace, DONE, initial_files=[str(first)]) as tale:
        assert tale.folder.problems == []
    assert names_of(outside) == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert (workspace / "begin").lstat() == before


@pytest.mark.parametrize("source", ["link", "sub/secret", "folder/secret"])
async def test_first_files_from_the_folder_itself_come_through_no_link(
    workspace: Path, outside: Path, source: str
) -> None:
    """Whatever the settings name: by the time that they are copied a command may have put a link there."""
    (workspace / "link").symlink_to(outside / "secret")
    (workspace / "sub").symlink_to(outside)
    (workspace / "folder").mkdir()
    (workspace / "folder/secret").symlink_to(outside / "secret")
    made = workspace / "made"
    made.mkdir()
    problems = initial_files.copy_in([workspace / source], workspace, made)
    assert len(problems) == 1
    assert names_of(made) == []


async def test_a_first_file_that_the_person_links_elsewhere_is_copied(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("first")
    (tmp_path / "real/inner").symlink_to("file")
    (tmp_path / "chosen").symlink_to("real")
    async with story(workspace, DONE, initial_files=[str(tmp_path / "chosen")]) as tale:
        assert tale.folder.problems == []
    assert (workspace / "chosen/file").read_text() == "first"
    assert os.readlink(workspace / "chosen/inner") == "file"


async def test_a_workspace_below_the_folder_is_made_through_no_link(workspace: Path, outside: Path) -> None:
    (workspace / "sub").symlink_to(outside)
    flags: dict[str, object] = {"workspace": str(workspace / "sub/new")}
    with pytest.raises(PygentError, match="can't be made"):
        Folder(workspace, Launch({}, outside.parent / "home", outside.parent / "state", flags))
    assert names_of(outside) == ["secret"]


# -- tools -------------------------------------------------------------------------------------------

HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a link to a pipe": lambda path, outside: (os.mkfifo(path.parent / "p"), path.symlink_to("p")),
    "a link to a device": lambda path, outside: path.symlink_to("/dev/zero"),
    "a link outside": lambda path, outside: path.symlink_to(outside / "secret"),
    "a link to itself": lambda path, outside: path.symlink_to(path.name),
    "a huge file": lambda path, outside: (path.touch(), os.truncate(path, 1 << 40)),
    "a folder": lambda path, outside: path.mkdir(),
    "a link to the root": lambda path, outside: path.symlink_to("."),
}
USES = [
    call("read_file", path="odd"),
    call("download_file", path="odd"),
    call("download_file", path="odd", binary=True),
    call("edit_file", path="odd", old="a", new="b"),
    call("write_file", path="odd", content="b"),
    call("read_image", path="odd"),
    call("grep", pattern="host", path="odd"),
    call("grep", pattern="host"),
    call("glob", pattern="*"),
    call("read_file", path="."),
    call("edit_file", path=".", old="a", new="b"),
    call("write_file", path=".", content="b"),
]


@pytest.mark.parametrize("kind", HOSTILE)
async def test_every_file_tool_answers_whatever_lies_there(workspace: Path, outside: Path, kind: str) -> None:
    HOSTILE[kind](workspace / "odd", outside)
    (workspace / "plain").write_text("a host of things\n")
    async with story(workspace, *USES, DONE, person=Person(Decision(decision="accept"))) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "completed"
        told = [one["content"] for one in tale.server.requests[-1]["messages"] if one["role"] == "tool"]
    assert len(told) == len(USES)
    assert SECRET not in repr(told)
    assert "internal" not in repr(told)
    assert "plain:1:a host of things" in told[7]
    assert (outside / "secret").read_text() == SECRET


def test_a_workspace_that_was_swapped_for_a_link_is_named(workspace: Path, outside: Path) -> None:
    """As a command can whose workspace is a folder above."""
    (workspace / "secret").write_text("plain")
    opened = Workspace(workspace)
    path = opened.resolve("secret")
    workspace.rename(workspace.parent / "aside")
    workspace.symlink_to(outside)
    for look in (opened.read, opened.is_file, opened.exists):
        with pytest.raises(ToolError, match="reached through a link"):
            look(path)
    with pytest.raises(ToolError, match="reached through a link"):
        opened.entries(opened.root)
    with pytest.raises(ToolError, match="outside the workspace"):
        opened.resolve("secret")


# -- images and open documents -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["a pipe", "a link to a pipe", "a link to a device", "a link outside", "a huge file"]
)
async def test_an_image_of_the_workspace_is_a_plain_file_in_it(
    workspace: Path, outside: Path, kind: str
) -> None:
    (outside / "secret").write_bytes(PNG + SECRET.encode())
    HOSTILE[kind](workspace / "odd", outside)
    async with story(workspace, DONE) as tale:
        with pytest.raises(ToolError):
            await tale.app.sessions.new(tale.folder).chat("look", images=[workspace / "odd"])
        assert tale.server.requests == []


async def test_an_image_from_elsewhere_is_the_persons_and_may_be_a_link(
    workspace: Path, outside: Path
) -> None:
    (outside / "image").write_bytes(PNG)
    (outside / "link").symlink_to("image")
    os.mkfifo(outside / "pipe")
    async with story(workspace, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("look", images=[outside / "link"])
        assert "data:image/png;base64," in repr(tale.server.requests[-1])
        for name in ("pipe", "missing"):
            with pytest.raises(ToolError, match="can't be read"):
                await session.chat("look", images=[outside / name])


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["a pipe", "a link to a device", "a link to itself", "a huge file"])
async def test_an_open_document_whose_file_became_something_else_stops_nothing(
    workspace: Path, outside: Path, kind: str
) -> None:
    """The server compares open documents with their files before each command."""
    path = workspace / "odd"
    path.write_text("text\n")
    free = {"trusted": True, "config": {"confirm_bash": False}}
    async with editor(workspace, call("bash", cmd="echo hello"), DONE, **free) as wire:
        desk = Desk(wire)
        desk.open(path, "text\n")
        path.unlink()
        HOSTILE[kind](path, outside)
        result = await asyncio.wait_for(wire.command("pygent.chat", "go"), 60)
        assert result["status"] == "completed"
        assert "hello" in str(wire.model.requests[-1]["messages"][-1]["content"])  # type: ignore[attr-defined]


def test_an_image_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    name = images.add(PNG, "png")
    assert (tmp_path / "images" / name).stat().st_mode & 0o777 == 0o600
    assert str(images.url(name)).startswith("data:image/png;base64,")


# -- what tasks and scripts copy -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_a_task_leaves_is_collected_as_plain_files_or_refused(
    workspace: Path, outside: Path, kind: str
) -> None:
    async with story(workspace, DONE) as tale:
        task = await delegated(tale)
        theirs = Path(task.workspace)
        (theirs / "folder").mkdir(parents=True)
        (theirs / "folder/plain").write_text("made")
        HOSTILE[kind](theirs / "odd", outside)
        HOSTILE[kind](theirs / "folder/odd", outside)
        collect = tale.app.tasks.results.collect
        if kind == "a link to the root":
            assert collect(task.id, "odd", "taken") == ["taken/folder/plain"]
        else:
            with pytest.raises(PygentError):
                collect(task.id, "odd")
        if kind == "a huge file":
            with pytest.raises(PygentError, match="too large"):
                collect(task.id, "folder")
        else:
            assert collect(task.id, "folder") == ["folder/plain"]
    assert SECRET not in repr([path.read_text() for path in workspace.rglob("*") if path.is_file()])


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_task_is_given_plain_files_or_nothing(
    workspace: Path, outside: Path, tmp_path: Path, kind: str
) -> None:
    (workspace / "folder").mkdir()
    (workspace / "folder/plain").write_text("plain")
    HOSTILE[kind](workspace / "folder/odd", outside)
    place = tmp_path / "task/workspace"
    giving = snapshots.give(Workspace(workspace), place, ["folder"])
    if kind == "a huge file":
        with pytest.raises(PygentError, match="folder/odd: File too large") as caught:
            await giving
        assert caught.value.fix == "Add it to .gitignore."
        assert not place.exists()
    else:
        await giving
        assert [path.name for path in place.rglob("*") if not path.is_dir()] == ["plain"]


def test_scripts_copy_in_and_out_through_no_link(workspace: Path, outside: Path, tmp_path: Path) -> None:
    begin = tmp_path / "begin"
    begin.write_text("begin")
    (workspace / "folder").mkdir()
    (workspace / "folder/begin").symlink_to(outside / "new")
    (workspace / "folder/secret").symlink_to(outside / "secret")
    os.mkfifo(workspace / "folder/pipe")
    (workspace / "folder/plain").write_text("plain")
    runtime = Runtime(use_docker=False, workspace=workspace)
    try:
        with pytest.raises(PygentError, match="Not a plain file"):
            runtime.upload_file(begin, "folder")
        with pytest.raises(PygentError, match="outside the workspace"):
            runtime.upload_file(begin, "folder/secret")
        assert runtime.export_file("folder", tmp_path / "exported") == "Exported folder"
        assert runtime.upload_file(begin) == "Uploaded begin"
    finally:
        runtime.cleanup()
    assert names_of(outside) == ["secret"]
    assert names_of(tmp_path / "exported") == ["begin", "plain", "secret"]
    assert os.readlink(tmp_path / "exported/secret") == str(outside / "secret")
    assert (workspace / "begin").read_text() == "begin"
