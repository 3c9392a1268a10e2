"""Paths stay inside, texts keep their form, and the editor's buffer is truer than the file."""

import os
import resource
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent.errors import PygentError, ToolError
from pygent.protected import is_protected
from pygent.workspace import Workspace, check_root


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "w").mkdir()
    return Workspace(tmp_path / "w")


ESCAPES = [
    "..",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "link/x",
    "/",
    "\0",
    "",
    "/proc/self/environ",
    "up",
    "~/../../x/../../..",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_leaves_the_workspace(workspace, tmp_path, path):
    (workspace.root / "link").symlink_to(tmp_path)
    (workspace.root / "up").symlink_to("..")
    with pytest.raises(ToolError):
        workspace.resolve(path)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["..", ".", "a", "link", "", "/", "\\", "~"])).map("/".join)
)
def test_whatever_the_path_the_place_is_inside(tmp_path_factory, path):
    root = tmp_path_factory.getbasetemp() / "fuzz"
    root.mkdir(exist_ok=True)
    if not (root / "link").is_symlink():
        (root / "link").symlink_to("/")
    workspace = Workspace(root)
    try:
        place = workspace.resolve(path)
    except ToolError:
        return
    assert place == workspace.root or workspace.root in place.parents


def test_paths_of_commands_are_understood(workspace):
    assert workspace.resolve("/workspace/a/b.py") == workspace.root / "a" / "b.py"
    assert workspace.resolve("/workspace") == workspace.root
    assert workspace.resolve(str(workspace.root / "a")) == workspace.root / "a"
    with pytest.raises(ToolError):
        workspace.resolve("/workspaces/a")


def test_odd_files_are_refused(workspace):
    os.mkfifo(workspace.root / "fifo")
    with pytest.raises(ToolError, match="neither a file nor a folder"):
        workspace.resolve("fifo")
    with pytest.raises(ToolError, match="can't be used"):
        workspace.resolve("x" * 5000)


FORMS = [
    "a\r\nü\r\n".encode("utf-16"),
    b"\xfe\xff" + "a\nb".encode("utf-16-be"),
    b"a\nb\n",
    b"a\r\nb\r\n",
    b"\xef\xbb\xbfa\r\nb",
    b"a\r\nb\n",
    b"caf\xe9\n",
    b"",
    b"no end",
]


@pytest.mark.parametrize("data", FORMS)
async def test_a_text_written_back_is_the_same_bytes(workspace, data):
    path = workspace.root / "f.txt"
    path.write_bytes(data)
    path.chmod(0o751)
    text = workspace.read(path)
    assert await workspace.write(path, text, text.content, "same") == "edited"
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o751


async def test_a_new_file_gets_its_folders(workspace):
    assert await workspace.write(workspace.root / "a" / "b.txt", None, "x\n", "new") == "created"
    assert (workspace.root / "a" / "b.txt").read_text() == "x\n"


def test_binary_missing_and_large_files_are_named(workspace):
    (workspace.root / "bin").write_bytes(b"\0" * 10)
    with pytest.raises(ToolError, match="bin is a binary file"):
        workspace.read(workspace.root / "bin")
    with pytest.raises(ToolError, match="There is no file none"):
        workspace.read(workspace.root / "none")
    with pytest.raises(ToolError, match="more than the 5"):
        workspace.read_bytes(workspace.root / "bin", 5)


class Editor:
    """An editor with open buffers that may refuse an edit."""

    def __init__(self, **buffers):
        self.buffers, self.refuses = buffers, False

    def text(self, path):
        return self.buffers.get(path.name)

    async def apply(self, path, before, after, label):
        if self.refuses or self.buffers[path.name] != before:
            return False
        self.buffers[path.name] = after
        return True

    def dirty(self):
        return []


async def test_an_open_document_is_read_and_edited_in_the_editor(workspace):
    workspace.documents = editor = Editor(a="unsaved\r\n")
    path = workspace.root / "a"
    path.write_text("on disk")
    text = workspace.read(path)
    assert text.content == "unsaved\n"
    await workspace.write(path, text, "new\n", "edit")
    assert editor.buffers["a"] == "new\r\n"
    assert path.read_text() == "on disk"
    editor.refuses = True
    with pytest.raises(ToolError, match="nothing was written"):
        await workspace.write(path, text, "newer\n", "edit")
    assert editor.buffers["a"] == "new\r\n"


def test_the_home_folder_and_the_whole_system_are_no_workspace(tmp_path):
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    for root in ("/", home, tmp_path):
        with pytest.raises(PygentError, match="can't be a workspace"):
            check_root(root, home)
    assert check_root(home / "project", home) == home / "project"


RACE = """
import os, sys
root, outside = sys.argv[1:]
while True:
    os.rename(root + "/folder", root + "/aside")
    os.symlink(outside, root + "/folder")
    os.unlink(root + "/folder")
    os.rename(root + "/aside", root + "/folder")
"""


async def test_a_folder_that_is_swapped_for_a_link_in_between_leads_nowhere(workspace, tmp_path):
    """Resolve, check, open lost this race a hundred times in three thousand."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (workspace.root / "folder").mkdir()
    (workspace.root / "folder/file").write_text("plain")
    swapping = subprocess.Popen([sys.executable, "-c", RACE, str(workspace.root), str(outside)])
    read, written = 0, 0
    try:
        for number in range(1500):
            try:
                path = workspace.resolve("folder/file")
                assert workspace.read(path).content != "secret"
                read += 1
                await workspace.write(path, workspace.read(path), f"plain {number}", "race")
                written += 1
            except ToolError:
                pass
    finally:
        swapping.kill()
        swapping.wait()
    assert read > 0
    assert written > 0
    assert {path.name for path in outside.iterdir()} == {"file"}
    assert (outside / "file").read_text() == "secret"


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(workspace):
    path = workspace.root / "f"
    path.write_text("x")
    place = workspace.resolve("f")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ToolError, match="Not a plain file"):
        workspace.read(place)


async def test_a_failed_write_leaves_the_file_and_nothing_else(workspace):
    path = workspace.root / "f"
    path.write_bytes(b"as it was")
    text = workspace.read(path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(ToolError, match="can't be written"):
            await workspace.write(path, text, "x" * 10_000, "too much")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"as it was"
    assert [entry.name for entry in workspace.root.iterdir()] == ["f"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work for somebody else")
async def test_root_leaves_no_files_of_its_own(workspace):
    os.chown(workspace.root, 12345, 12345)
    await workspace.write(workspace.root / "a/b", None, "x", "new")
    assert {(workspace.root / name).stat().st_uid for name in ("a", "a/b")} == {12345}


ODD = [
    "CON",
    "a" * 255,
    "ä" * 127,
    "with\nline",
    " lead",
    "trail ",
    "-rf",
    "..x",
    "...",
    "a\u202eb",
    "%2e%2e",
    "~",
    "$HOME",
]


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_names(workspace, name):
    place = workspace.resolve(name)
    await workspace.write(place, None, "x", "odd")
    assert [entry.name for entry in workspace.root.iterdir()] == [name]


PROTECTED = [
    ".git/hooks/pre-commit",
    ".GIT/config",
    "sub/.git/config",
    "pygent.toml",
    ".vscode/tasks.json",
    ".env",
    ".Envrc",
    "src/pygent.toml",
]


@pytest.mark.parametrize("name", PROTECTED)
def test_what_runs_code_outside_is_protected(name):
    assert is_protected(name)


@pytest.mark.parametrize(
    "name", ["git", ".gitignore", "src/pygent.toml.md", "environment", ".github/workflows/ci.yml"]
)
def test_what_is_merely_alike_is_not(name):
    assert not is_protected(name)
