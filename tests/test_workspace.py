"""Paths stay inside, texts keep their form, and the editor's buffer is truer than the file."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent.errors import PygentError, ToolError
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


FORMS = [b"a\nb\n", b"a\r\nb\r\n", b"\xef\xbb\xbfa\r\nb", b"a\r\nb\n", b"caf\xe9\n", b"", b"no end"]


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
