"""Every block of configuration on the pages is at least a program to the editor that it is for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.editors.seat import need

PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
READ = {
    "lua": ("nvim", "neovim", ["--clean", "--headless", "-c", "lua assert(loadfile('FILE'))", "-c", "qall"]),
    "vim": ("vim", "vim", ["-N", "-es", "-u", "NONE", "-c", "source FILE", "-c", "qall!"]),
    "elisp": (
        "emacs",
        "emacs-nox",
        ["-Q", "--batch", "--eval", '(with-temp-buffer (insert-file-contents "FILE") (check-parens))'],
    ),
}
BLOCKS = [
    pytest.param(language, block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (language, block) in enumerate(
        re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.S | re.M)
    )
    if language in READ
]


@pytest.mark.e2e
@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_a_block_is_read(language: str, block: str, tmp_path: Path) -> None:
    assert read(language, block, tmp_path)


@pytest.mark.e2e
@pytest.mark.parametrize(("language", "block"), [("lua", "f({"), ("vim", "throw 'x'"), ("elisp", "(a")])
def test_and_a_broken_one_is_not(language: str, block: str, tmp_path: Path) -> None:
    assert not read(language, block, tmp_path)


def read(language: str, block: str, folder: Path) -> bool:
    program, package, arguments = READ[language]
    need(program, package)
    file = folder / f"block.{language}"
    file.write_text(block)
    command = [program, *(one.replace("FILE", str(file)) for one in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0 and not re.search(r"^(E\d+|Error)", done.stderr, re.M)
