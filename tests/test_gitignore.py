"""The files that `.gitignore` leaves, compared with git itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pygent.gitignore import walk
from pygent.shadow import Shadow

FILES = (
    *(
        "a.py",
        "a.log",
        "build/x.o",
        "build/keep.txt",
        "src/b.py",
        "src/b.log",
        "src/deep/c.log",
        "src/deep/d.py",
    ),
    *("docs/build/e.md", "docs/only/f.md", "docs/g.tmp", "node_modules/m/index.js", "ż/ü.py"),
)
RULES = {
    ".gitignore": "*.log\n/build/\nnode_modules\n# a comment\n\n[bad\n",
    "src/.gitignore": "!b.log\n*.tmp\n",
    "docs/.gitignore": "/only/\n*.tmp\n!g.tmp\n",
}


@pytest.fixture
def tree(workspace: Path) -> Path:
    for name in FILES:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for name, rules in RULES.items():
        (workspace / name).write_text(rules)
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    (workspace / "link.py").symlink_to("a.py")
    (workspace / "linked").symlink_to("src")
    return workspace


@pytest.mark.parametrize("start", [".", "src", "src/deep", "docs"])
def test_it_leaves_out_what_git_does(tree: Path, start: str) -> None:
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=off", "ls-files", "-co", "--exclude-standard", "--full-name", start],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    found = [path.relative_to(tree).as_posix() for path in walk(tree, tree / start)]
    assert sorted(found) == sorted(set(listed) - {"link.py", "linked"})


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert list(walk(tmp_path, tmp_path / "gone")) == []


ATOMS = (
    *(
        "a",
        "b",
        "foo",
        "*",
        "**",
        "?",
        "/",
        "/",
        ".",
        "[a-c]",
        "[!a]",
        "[^b]",
        "[]x]",
        "\\a",
        "\\*",
        "[[:alpha:]]",
    ),
    *("!", "#", " ", "\\ ", "ü", "[", "\\", "**/", "/**", "[b-a]", "[a-]", "[[:foo:]]", "[\\]x]", "\\/"),
)
PATTERNS = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=6).map("".join)
RULE_FILES = st.dictionaries(
    st.sampled_from(["", "a/", "a/b/", "foo/"]),
    st.lists(PATTERNS, min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)
ENDS = st.sampled_from(["\n", "\r\n", " \n"])
NAMES = ("a", "b", "ab", "a.b", "foo", ".x", "a b", "x]", "[a", "ü", "\\a", "#h", "!n", "foo ", "A")


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders three deep with files of odd names."""
    root = tmp_path_factory.mktemp("forest")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for first in ("a", "b", "foo", "ü", "x]"):
        for second in ("a", "b", "foo", ".x"):
            folder = root / first / second / "c"
            folder.mkdir(parents=True)
            for name in NAMES:
                if not (folder.parent / name).exists():
                    (folder.parent / name).touch()
                (folder / name).touch()
    return root


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RULE_FILES, ENDS)
@example({"": ["foo**/bar", "a**/c/a", "[b-a]"]}, "\n")
@example({"": ["*", "!*/", "!foo"], "a/": ["!a", "foo/"]}, "\r\n")
def test_any_patterns_are_gits(forest: Path, rules: dict[str, list[str]], end: str) -> None:
    for old in forest.rglob(".gitignore"):
        old.unlink()
    for folder, lines in rules.items():
        (forest / folder / ".gitignore").write_text("".join(line + end for line in lines))
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "-zco", "--exclude-standard"],
        cwd=forest,
        check=True,
        capture_output=True,
    ).stdout.split(b"\0")[:-1]
    assert sorted(os.fsencode(path.relative_to(forest)) for path in walk(forest, forest)) == sorted(listed)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


def link(path: Path) -> None:
    path.with_name("rules").write_text("*\n")
    path.symlink_to("rules")


def many(path: Path) -> None:
    path.write_text("".join(f"*{n}*\n" for n in range(40_000)))


@pytest.mark.parametrize("kind", [pipe, endless, folder, huge, link, many])
def test_rules_that_are_no_plain_file_of_sensible_size_are_passed_over(workspace: Path, kind: Any) -> None:
    (workspace / "inner").mkdir()
    (workspace / "inner/file").touch()
    (workspace / ".gitignore").write_text("left-out\n")
    (workspace / "inner/left-out").touch()
    kind(workspace / "inner/.gitignore")
    found = {path.name for path in walk(workspace, workspace)}
    assert "file" in found
    assert "left-out" not in found
    assert asyncio.run(Shadow(workspace.parent / "shadow.git").take(workspace))


EVIL = (
    "*a" * 60 + "b",
    "**/" + "*a*/" * 40 + "b",
    "**/a/" * 60 + "b",
    "?*" * 60 + "b",
    "[a-z]*" * 60 + "[!a]",
)


@pytest.mark.parametrize("pattern", EVIL)
def test_no_pattern_takes_for_ever(workspace: Path, pattern: str) -> None:
    """Each would need more steps than there are atoms if every division of a name were tried."""
    deep = workspace.joinpath(*["a"] * 60)
    deep.mkdir(parents=True)
    (deep / ("a" * 250)).touch()
    (workspace / ("a" * 250)).touch()
    (workspace / ".gitignore").write_text(f"{pattern}\n/{pattern}\n")
    assert len(list(walk(workspace, workspace))) == 3


def test_folders_swapped_for_links_are_not_entered(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (workspace / "folder").mkdir()
    found = walk(workspace, workspace)
    (workspace / "before").touch()
    assert next(found).name == "before"
    (workspace / "folder").rmdir()
    (workspace / "folder").symlink_to(tmp_path / "outside")
    assert list(found) == []
    assert list(walk(workspace, workspace / "folder")) == []
