"""The files that `.gitignore` leaves, compared with git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pygent.gitignore import walk

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
