"""Trees, patches and merges are git's, compared with git itself over any folder."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pygent.shadow import Shadow
from pygent.trees.difference import MANY_LINES, is_hard
from pygent.trees.merge import merged

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "LC_ALL": "C",
}


class Git:
    """A clean repository of git's own over a folder."""

    def __init__(self, place: Path, root: Path) -> None:
        self._environ = {**ENV, "GIT_DIR": str(place), "GIT_WORK_TREE": str(root)}
        self.run("init", "-q")
        self.run("config", "core.excludesFile", "/dev/null")
        self.run("config", "core.quotePath", "false")

    def run(self, *arguments: str, given: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["git", *arguments], env=self._environ, input=given, capture_output=True, check=True
        )
        return done.stdout

    def took(self, root: Path) -> None:
        """Look at another folder from now on."""
        self._environ["GIT_WORK_TREE"] = str(root)

    def tree(self) -> str:
        self.run("add", "-A")
        return self.run("write-tree").decode().strip()

    def applied(self, tree: str, patch: bytes) -> str | None:
        """The tree that a patch makes of another; None if it can't be applied."""
        self.run("read-tree", tree)
        try:
            self.run("apply", "--cached", "--whitespace=nowarn", "--allow-empty", "-", given=patch)
        except subprocess.CalledProcessError:
            return None
        return self.run("write-tree").decode().strip()


NAMES = st.sampled_from(
    [
        b"a",
        b"b",
        b"a.b",
        b"a b",
        b"-a",
        b"a\nb",
        b"\xff\xfe",
        "żółw".encode(),
        b'"q"',
        b"tab\t",
        b"A",
        b"*",
        b"build",
        b"x.log",
        b"\\",
        b"a-",
        b"a0",
        b":(top)",
        b"\x01",
        b" ",
    ]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
LINES = st.lists(
    st.sampled_from([b"one", b"two", b"three", b"\r", b"$Id$", b"\xff", b"@@ -1 +1 @@"]), max_size=9
)
CONTENTS = st.one_of(
    LINES.map(b"\n".join),
    LINES.map(lambda lines: b"".join(line + b"\r\n" for line in lines)),
    st.binary(max_size=300),
)
PATTERNS = st.sampled_from(
    [
        "*.log",
        "!x.log",
        "build",
        "build/",
        "/a",
        "a/b",
        "**/b",
        "a/**",
        "!a",
        "*",
        "!*/",
        "[ab]",
        "a?b",
        "\\*",
        "#a",
        "!build",
        "b/",
        "/*/a",
        "a*",
        "!a/b",
        "żółw",
    ]
)
IGNORES = st.lists(PATTERNS, max_size=4).map(lambda lines: "\n".join(lines).encode())
THINGS = st.one_of(
    st.tuples(st.just("file"), CONTENTS),
    st.tuples(st.just("script"), CONTENTS),
    st.tuples(st.just("link"), st.sampled_from([b"a", b"../out", b"/etc/passwd", b"\xff", b"gone"])),
)
FOLDERS = st.dictionaries(PATHS, THINGS, max_size=12)
RULES = st.dictionaries(st.sampled_from([b"", b"a/", b"b/", b"a/b/"]), IGNORES, max_size=3)


def fill(root: bytes, things: dict[bytes, tuple[str, bytes]]) -> None:
    """Make a folder anew; a path below a file is passed over."""
    for name in os.listdir(root):
        path = root + b"/" + name
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    for name, (kind, data) in things.items():
        path = root + b"/" + name
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path) or os.path.lexists(path):
                continue
        except OSError:
            continue
        if kind == "link":
            os.symlink(data, path)
            continue
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o755 if kind == "script" else 0o644)


def with_rules(
    things: dict[bytes, tuple[str, bytes]], rules: dict[bytes, bytes]
) -> dict[bytes, tuple[str, bytes]]:
    return {**{folder + b".gitignore": ("file", text) for folder, text in rules.items()}, **things}


STATES = st.builds(with_rules, FOLDERS, RULES)


@settings(max_examples=80, deadline=None)
@given(st.lists(STATES, min_size=1, max_size=3))
def test_a_folder_is_the_tree_that_git_makes_of_it(states: list[dict[bytes, tuple[str, bytes]]]) -> None:
    """Also when it changes: what was taken before it was ignored stays in both."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root").resolve()
        root.mkdir()
        git, shadow = Git(Path(place, "git"), root), Shadow(Path(place, "shadow.git"))
        for state in states:
            fill(os.fsencode(root), state)
            tree = asyncio.run(shadow.take(root))
            assert tree == git.tree()
            assert tree == asyncio.run(shadow.take(root))
        out = Path(place, "out")
        asyncio.run(shadow.check_out(tree, out))
        assert asyncio.run(shadow.take(out)) == tree
        assert (
            asyncio.run(Shadow(Path(place, "other.git")).whole(out, {}))
            == Git(Path(place, "git2"), out).tree()
        )


def listed(data: bytes) -> Iterator[tuple[bytes, int | None, int | None]]:
    """The rows of `git diff-tree --numstat -z`."""
    for row in data.split(b"\0")[:-1]:
        added, removed, path = row.split(b"\t", 2)
        yield path, *((None, None) if added == b"-" else (int(added), int(removed)))


@settings(max_examples=80, deadline=None)
@given(FOLDERS, FOLDERS)
@example({b"a": ("file", b"x")}, {b"a/b": ("file", b"x")})
@example({b"a/b": ("file", b"x")}, {b"a": ("link", b"b")})
@example({b"a b": ("file", b"x\n" * 9)}, {b"a b": ("script", b"y\n" + b"x\n" * 8)})
@example({b"a": ("file", bytes(range(256)) * 9)}, {b"a": ("file", b"")})
def test_a_patch_is_one_that_git_applies(
    before: dict[bytes, tuple[str, bytes]], after: dict[bytes, tuple[str, bytes]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root").resolve()
        root.mkdir()
        shadow = Shadow(Path(place, "shadow.git"))
        trees = []
        for state in (before, after):
            fill(os.fsencode(root), state)
            trees.append(asyncio.run(shadow.take(root)))
        patch = asyncio.run(shadow.patch(*trees))
        out = Path(place, "out")
        asyncio.run(shadow.check_out(trees[0], out))
        git = Git(Path(place, "git"), out)
        assert git.tree() == trees[0]
        git.took(root)
        assert git.tree() == trees[1]
        applied = git.applied(trees[0], patch)
        own = git.run("diff-tree", "-r", "-p", "--binary", "--no-renames", "--full-index", *trees)
        if git.applied(trees[0], own) == trees[1]:  # git's can't be where a folder takes a file's place
            assert applied == trees[1]
        assert [row for row in patch.split(b"\n") if row.startswith(b"diff ")] == [
            row for row in own.split(b"\n") if row.startswith(b"diff ")
        ]
        entries = asyncio.run(shadow.entries(*trees))
        raw = git.run("diff-tree", "-r", "--no-renames", "--raw", "--no-abbrev", "-z", *trees)
        assert b"".join(os.fsencode(entry.path) + b"\0" for entry in entries) == b"".join(
            name + b"\0" for name in raw.split(b"\0")[1:-1:2]
        )
        told = git.run("diff-tree", "-r", "--no-renames", "--numstat", "-z", *trees)
        assert [(os.fsencode(one.path), one.added, one.removed) for one in entries] == list(listed(told))
        shown = asyncio.run(shadow.diff(*trees))
        assert shown.count("diff --git ") == patch.count(b"diff --git ")


TEXTS = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(lambda lines: "\n".join(lines).encode())


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
@example(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nB\nc\n")
@example(b"a\nb\nc\n", b"A\nB\nc\n", b"A\nB\nc\n")
@example(b"", b"a\n", b"b\n")
@example(b"a", b"a\nb", b"z\na")
@example(b"\xff\r\nb\r\nc\r\n", b"\xff\r\nb\r\nC\r\n", b"\xfe\r\nb\r\nc\r\n")
def test_texts_are_merged_as_git_merges_them(base: bytes, ours: bytes, theirs: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        names = []
        for name, text in (("ours", ours), ("base", base), ("theirs", theirs)):
            Path(place, name).write_bytes(text)
            names.append(str(Path(place, name)))
        done = subprocess.run(["git", "merge-file", "-p", "-q", *names], capture_output=True, check=False)
    assert merged(base, ours, theirs) == (done.stdout if done.returncode == 0 else None)


@pytest.mark.parametrize("data", [b"a\0b", b"a" * 8000 + b"\0"])
def test_what_is_no_text_is_not_merged(data: bytes) -> None:
    assert merged(data, data + b"1", data + b"2") is None


async def test_texts_that_take_too_long_to_compare_are_compared_as_a_whole(
    workspace: Path, home: Path
) -> None:
    """A million repeated lines in another order would hold up the server for minutes."""
    one, two = (bytes(random.Random(n).choices(b"abcdefgh\n", k=4_000_000)) for n in (1, 2))
    shadow, file = Shadow(home / "shadow.git"), workspace / "file"
    trees = []
    for text in (one, two):
        file.write_bytes(text)
        trees.append(await shadow.take(workspace))
    (entry,) = await shadow.entries(*trees)
    assert (entry.added, entry.removed) == (None, None)
    assert "Binary files a/file and b/file differ" in await shadow.diff(*trees)
    assert await shadow.merge(one, two, one[:-9]) is None
    git = Git(home / "git", workspace)
    git.tree()
    file.write_bytes(one)
    assert git.tree() == trees[0]
    assert git.applied(trees[0], await shadow.patch(*trees)) == trees[1]
    assert await shadow.merge(one, b"new\n" + one, one) == b"new\n" + one


LONG = b"same\n" * (MANY_LINES + 1)


@settings(deadline=None)
@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([b"", b"x\n" * (MANY_LINES + 9)]))
def test_what_texts_have_in_common_at_their_ends_counts_for_nothing(
    one: bytes, two: bytes, more: bytes
) -> None:
    old, new = LONG + b"-" + one + LONG, LONG + b"+" + two + more + LONG
    assert not is_hard(old, new)
    assert is_hard(old + b"1", new + b"2")
