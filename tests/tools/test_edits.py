"""Diffs that a person decides by: whole, and what git takes them for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pygent.tools.edits import MAX_DIFF, kept, unified_diff

LONG = "".join(f"line {number}\n" for number in range(6_000))
CASES = {
    "odd lines": ("-- a\n++ b\n@@ -1 +1 @@\nx\n", "-- c\n++ d\n@@ -1 +1 @@\n--- y\n"),
    "no end": ("a\nb", "a\nc"),
    "an end that comes": ("a", "a\n"),
    "other ends of lines": ("a\x0cb\u2028c\x85d\n", "a\x0cb\u2028d\x85d\re\n"),
    "long, in the middle": (LONG, LONG.replace("line 3000\n", "--- line\n+++ line\n")),
    "long, at the end": (LONG, LONG + "more"),
    "long, at the beginning": (LONG, "more\n" + LONG),
    "long, all of it": (LONG, LONG.upper()),
    "long, shorter": (LONG, LONG[: len(LONG) // 2 + 3]),
}


@pytest.mark.parametrize("case", CASES)
def test_git_makes_the_same_of_it(case: str, tmp_path: Path) -> None:
    before, after = CASES[case]
    path = tmp_path / "x"
    path.write_bytes(before.encode())
    command = ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"]
    subprocess.run(command, input=unified_diff("x", before, after).encode(), cwd=tmp_path, check=True)
    assert path.read_bytes() == after.encode()


def test_a_new_file_is_shown_whole() -> None:
    diff = unified_diff("x", None, LONG)
    assert diff.count("\n+") == 6_000 + 1
    assert diff.endswith("+line 5999\n")
    assert kept(diff) == diff


def test_of_a_huge_change_the_size_is_kept() -> None:
    diff = unified_diff("x", None, "y" * MAX_DIFF)
    assert kept(diff) == f"--- /dev/null\n+++ b/x\n@@ too long to keep: {len(diff)} characters @@\n"
