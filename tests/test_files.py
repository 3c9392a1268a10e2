"""The door: each primitive against whatever can lie at a path, and against roots that are swapped."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import python

from pygent import file_trees, files

CANARY = "outside-canary"
LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder, beside one that nothing may come from or go to."""
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text(CANARY)
    (outside / "folder/file").write_text(CANARY)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


KINDS: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda path, outside: None,
    "file": lambda path, outside: path.write_text("inside"),
    "folder": lambda path, outside: path.mkdir(),
    "pipe": lambda path, outside: os.mkfifo(path),
    "link to a file": lambda path, outside: path.symlink_to(outside / "file"),
    "link to a folder": lambda path, outside: path.symlink_to(outside / "folder"),
    "dangling link": lambda path, outside: path.symlink_to(outside / "new"),
    "link to a device": lambda path, outside: path.symlink_to("/dev/zero"),
    "loop": lambda path, outside: path.symlink_to(path.name),
    "link to itself's folder": lambda path, outside: path.symlink_to("."),
}
CALLS: dict[str, Callable[[Path, Path], object]] = {
    "read": lambda path, root: files.read(path, root, LIMIT),
    "status": files.status,
    "is_file": files.is_file,
    "is_folder": files.is_folder,
    "link_target": files.link_target,
    "pinned": lambda path, root: os.close(files.pinned(path, root)),
    "scan": files.scan,
    "entries": files.entries,
    "write_atomic": lambda path, root: files.write_atomic(path, b"written", root=root),
    "copy from": lambda path, root: files.copy(path, root, root / "copied", root, LIMIT),
    "copy to": lambda path, root: files.copy(root / "plain", root, path, root),
    "make_link": lambda path, root: files.make_link(path, root, "elsewhere"),
    "make_folder": files.make_folder,
    "remove": files.remove,
    "walk": lambda path, root: list(file_trees.walk(path, root)),
    "copy_tree from": lambda path, root: file_trees.copy_tree(path, root, root / "copied", root),
    "copy_tree to": lambda path, root: file_trees.copy_tree(root / "tree", root, path, root),
    "remove_tree": file_trees.remove_tree,
}


@pytest.mark.parametrize("depth", ["x", "x/y", "x/file"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_nothing_comes_from_outside_and_nothing_goes_there(
    root: Path, call: str, kind: str, depth: str
) -> None:
    """Whatever lies at a path, or at the folder above it; and nothing waits."""
    outside = root.parent / "outside"
    before = contents(outside)
    (root / "plain").write_text("plain")
    (root / "tree/x").mkdir(parents=True)
    (root / "tree/file").write_text("tree")
    KINDS[kind](root / "x", outside)
    result: object = None
    try:
        result = CALLS[call](root / depth, root)
    except OSError as error:
        assert error.errno in (
            errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO, errno.EEXIST
        ), error  # fmt: skip
    assert contents(outside) == before
    assert CANARY not in repr(result)
    inside = {path: path.read_text() for path in root.rglob("*") if not path.is_symlink() and path.is_file()}
    assert CANARY not in repr(inside)
    assert list(root.rglob(".pygent-*")) == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("swapped", ["root", "parent"])
def test_a_root_that_was_swapped_for_a_link_is_refused(tmp_path: Path, call: str, swapped: str) -> None:
    """Both the root itself, and a folder above it."""
    root, outside = tmp_path / "above/root", tmp_path / "outside"
    root.mkdir(parents=True)
    (outside / "root").mkdir(parents=True)
    for folder in (outside, outside / "root"):
        (folder / "x").write_text(CANARY)
        (folder / "plain").write_text(CANARY)
    before = contents(outside)
    place, target = (root, outside) if swapped == "root" else (root.parent, outside)
    place.rename(tmp_path / "aside")
    place.symlink_to(target)
    if call == "remove_tree":  # says nothing of what stays
        file_trees.remove_tree(root / "x", root)
    elif call == "walk":
        assert list(file_trees.walk(root, root)) == []
    else:
        with pytest.raises(OSError, match="reached through a link") as caught:
            CALLS[call](root / "x", root)
        assert caught.value.errno == errno.ESTALE
    assert contents(outside) == before


def test_a_root_is_a_root_however_deep_or_named(tmp_path: Path) -> None:
    for name in ("a\nb", "ä" * 100, " ", "x (deleted)", os.fsdecode(b"\xff\xfe")):
        root = tmp_path / name / "inner"
        root.mkdir(parents=True)
        files.write_atomic(root / "f", b"1", root=root)
        assert files.read(root / "f", root, LIMIT) == b"1"
        assert files.is_folder(root, root)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", ["../outside/file", "x/../../outside/file", "..", "x/..", "../rooted/file"])
def test_a_path_that_leads_out_is_refused(root: Path, call: str, path: str) -> None:
    """Also for who did not resolve it before."""
    for name in ("x", "tree", "../rooted"):
        (root / name).mkdir()
    (root / "plain").touch()
    before = contents(root.parent / "outside")
    if call in ("walk", "remove_tree"):
        assert not CALLS[call](root / path, root)
    else:
        with pytest.raises(OSError, match=r"lies outside of|Is a directory"):
            CALLS[call](root / path, root)
    assert contents(root.parent / "outside") == before


def test_a_root_that_is_gone_is_not_there(root: Path) -> None:
    root.rmdir()
    assert files.status(root / "x", root) is None
    with pytest.raises(FileNotFoundError):
        files.read(root / "x", root, LIMIT)


def test_what_the_person_chose_may_be_a_link_and_still_is_a_plain_file(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "outside/file")
    assert files.read_chosen(root / "link", LIMIT) == CANARY.encode()
    assert files.read_chosen(root / "link", 3) == CANARY.encode()[:4]
    os.mkfifo(root / "pipe")
    (root / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="Not a plain file"):
            files.read_chosen(root / name, LIMIT)
    (root / "here").symlink_to(root.parent / "outside")
    files.write_chosen(root / "here/deep/new", b"mine", 0o600)
    assert (root.parent / "outside/deep/new").read_bytes() == b"mine"
    assert (root.parent / "outside/deep/new").stat().st_mode & 0o777 == 0o600


def test_a_chosen_path_is_opened_below_what_commands_can_write(root: Path) -> None:
    outside = root.parent / "outside"
    (root / "link").symlink_to(outside)
    (outside / "back").symlink_to(root)
    assert files.placed(root / "sub/file", root) == (root / "sub/file", root)
    assert files.placed(outside / "back/file", root) == (root / "file", root)
    assert files.placed(outside / "file", root) == (outside / "file", outside)
    place, below = files.placed(root / "link/file", root)
    with pytest.raises(OSError, match="Not a directory"):
        files.read(place, below, LIMIT)


def test_a_copy_has_a_limit_keeps_its_permissions_and_is_whole_or_nothing(root: Path) -> None:
    source = root / "source"
    source.write_bytes(b"x" * LIMIT)
    source.chmod(0o4751)
    os.utime(source, ns=(1, 2))
    files.copy(source, root, root / "deep/copy", root, LIMIT, times=True)
    found = (root / "deep/copy").stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (LIMIT, 0o751, 2)
    (root / "old").write_text("old")
    with pytest.raises(OSError, match="too large"):
        files.copy(source, root, root / "old", root, LIMIT - 1)
    assert (root / "old").read_text() == "old"
    with source.open("r+b") as file:
        file.truncate(1 << 40)  # as a command can claim, at no cost
    with pytest.raises(OSError, match="too large"):
        files.copy(source, root, root / "old", root, LIMIT)
    assert sorted(path.name for path in root.iterdir()) == ["deep", "old", "source"]


def test_a_tree_is_copied_with_its_links_and_empty_folders_but_no_pipes(root: Path) -> None:
    tree = root / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/er/file").write_text("1")
    (tree / "deep/link").symlink_to("/etc/passwd")
    (tree / "folder").symlink_to(root.parent / "outside")
    os.mkfifo(tree / "pipe")
    file_trees.copy_tree(tree, root, root / "copy", root)
    found = sorted(str(path.relative_to(root / "copy")) for path in (root / "copy").rglob("*"))
    assert found == ["deep", "deep/er", "deep/er/file", "deep/link", "empty", "folder"]
    assert os.readlink(root / "copy/deep/link") == "/etc/passwd"


NEST = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(3000):
    os.mkdir("d"); os.mkdir("e", 0); os.symlink("/etc", "l"); open("f", "w").close(); os.chdir("d")
"""


def test_folders_that_are_nested_without_end_are_walked_and_removed(root: Path) -> None:
    """Deeper than Python recurses, than a path may be long, and than handles may be open."""
    deep = root / "deep"
    deep.mkdir()
    subprocess.run(python("-c", NEST, str(deep)), check=True)
    found = list(file_trees.walk(deep, root))
    assert len(found) == 4 * (file_trees.MAX_DEPTH + 1)
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    program = "import sys; from pathlib import Path; from pygent.file_trees import remove_tree; " \
        "remove_tree(Path(sys.argv[1]), Path(sys.argv[1]).parent)"  # fmt: skip
    subprocess.run([*plain, *python("-c", program, str(deep))], check=True)
    assert list(root.iterdir()) == []
    assert Path("/etc/passwd").exists()


@given(names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40),
                      min_size=1, max_size=4), data=st.binary(max_size=200))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_listed_copied_and_removed(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: bytes
) -> None:
    names = [name for name in names if name not in (".", "..") and len(name.encode()) < 200] or ["x"]
    root = tmp_path_factory.mktemp("root")
    path = root.joinpath(*names)
    files.write_atomic(path, data, root=root)
    assert files.read(path, root, len(data)) == data
    assert files.read(path, root, 1) == data[:2]
    assert files.is_file(path, root)
    assert files.scan(path.parent, root) == [(path.name, stat.S_IFREG)]
    assert files.entries(root, root) == [names[0] + ("/" if len(names) > 1 else "")]
    files.copy(path, root, root / "the copy", root)
    assert (root / "the copy").read_bytes() == data
    files.remove(root / "the copy", root)
    files.remove(path, root)
    assert list(root.iterdir()) == []
