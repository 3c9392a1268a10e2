"""The documentation does what it says: its programs run, its commands exist, its site builds."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from tests.classic.scripts import run
from tests.conftest import REPOSITORY, python

from pygent.cli.parser import UsageError, parse
from pygent.replay import Reply

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.S | re.M)
INLINE = re.compile(r"`(pygent(?:-server)? [^`]+)`")
CHECKED = {"sh", "python", "toml", "json", "lua", "elisp", "vim"}
"""Here, and the last three by the editors themselves in tests/editors."""
PRODUCED = {"conversations": {""}}
"""Blocks without a language that a test compares with what a run produces."""


def blocks(*languages: str) -> list[object]:
    """The code blocks of all pages in these languages."""
    return [
        pytest.param(page, block, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, (language, block) in enumerate(BLOCK.findall(page.read_text()))
        if language in languages
    ]


@pytest.mark.e2e
@pytest.mark.parametrize(("page", "block"), blocks("python"))
async def test_programs_run(page: Path, block: str, tmp_path: Path) -> None:
    (tmp_path / "my-project").mkdir()
    await run(block, tmp_path, Reply(text="Done.", times=0))


def commands(block: str) -> list[str]:
    """The command lines of a shell block, without what follows a comment sign."""
    joined = block.replace("\\\n", " ")
    return [line.split(" #")[0].split(" > ")[0].strip() for line in joined.splitlines() if line.strip()]


def check(line: str) -> None:
    """Whether a `pygent` command line is one that the parser takes; `…` and capitals stand for values."""
    last = line.rsplit(" | ", maxsplit=1)[-1].rsplit(" && ", maxsplit=1)[-1]
    words = ["bash" if word == "SHELL" else word for word in shlex.split(last)]
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if words[:1] == ["pygent"] and len(words) > 1 and words[-1] not in ("--help", "--version"):
        parse(words[1:])


@pytest.mark.parametrize(("page", "block"), blocks("sh"))
def test_command_lines_exist(page: Path, block: str) -> None:
    for line in commands(block):
        words = line.removeprefix("$ ").split()
        if words and words[0].startswith("scripts/"):
            assert (REPOSITORY / words[0]).exists(), line
        try:
            check(line.removeprefix("$ "))
        except UsageError as error:
            pytest.fail(f"{page.name}: {line}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_exist(page: Path) -> None:
    for line in INLINE.findall(BLOCK.sub("", page.read_text())):
        if not line.startswith("pygent ") or any(sign in line for sign in "<>[|"):
            continue
        try:
            check(line)
        except UsageError as error:
            pytest.fail(f"{page.name}: {line}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_are_of_languages_that_something_checks(page: Path) -> None:
    used = {language for language, _ in BLOCK.findall(page.read_text())}
    assert used <= CHECKED | PRODUCED.get(page.stem, set())


def test_json_is_json() -> None:
    for page in PAGES:
        for language, block in BLOCK.findall(page.read_text()):
            if language == "json":
                json.loads(block)


@pytest.mark.parametrize(("page", "block"), blocks("toml"))
def test_toml_is_toml(page: Path, block: str) -> None:
    tomli.loads(block)


@pytest.mark.e2e
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        python("-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")),
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^(WARNING|ERROR)", done.stderr, re.M), done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 10
    for page in pages:  # a reader's visit tells nobody
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert [address for address in loaded if "canonical" not in address] == [], page


def test_the_api_page_shows_the_docstrings(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/api.md").read_text()
    for name in re.findall(r"^::: (\S+)", page, re.M):
        module, _, attribute = name.rpartition(".")
        program = f"import {module or name} as m; getattr(m, {attribute!r}, None) or __import__({name!r})"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
