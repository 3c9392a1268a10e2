"""Completion, asked of the real shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cli.screen import Terminal
from tests.conftest import missing

from pygent.cli.completion import script
from pygent.cli.words import COMMANDS

pytestmark = pytest.mark.e2e

CASES = [
    ("pygent ta", "tasks"),
    ("pygent --cwd tasks di", "diff"),
    ("pygent --model m tasks di", "diff"),
    ("pygent --resume tasks di", "diff"),
    ("pygent tasks --fol", "--follow"),
    ("pygent config che", "check"),
    ("pygent --no-conf", "--no-confirm-bash"),
    ("pygent tasks --no-conf", "--no-confirm-bash"),
    ("pygent --config sett", "settings.toml"),
    ("pygent completion fi", "fish"),
]


def shell(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        missing(f"{name} is not installed")
    return str(program)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "settings.toml").touch()
    for name in ("bash", "zsh", "fish"):
        (tmp_path / name).write_text(script(name))
    return tmp_path


@pytest.mark.parametrize(("line", "word"), CASES)
def test_bash(folder: Path, line: str, word: str) -> None:
    program = f"""
source ./bash
COMP_WORDS=({line}) COMP_CWORD={len(line.split()) - 1}
_pygent
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [shell("bash"), "--norc", "-eu", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [word]


@pytest.mark.parametrize(("line", "word"), CASES)
def test_fish(folder: Path, line: str, word: str) -> None:
    done = subprocess.run(
        [shell("fish"), "--no-config", "-c", f"source ./fish; complete -C {line!r}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [found.split("\t")[0] for found in done.stdout.splitlines()] == [word]
    assert done.stderr == ""


def test_zsh(folder: Path) -> None:
    terminal = Terminal([shell("zsh"), "-f", "-i"], cwd=folder, env={"PS1": "%% ", "PATH": "/usr/bin:/bin"})
    terminal.type("autoload -U compinit && compinit -u -d ./dump && source ./zsh && echo rea''dy\r")
    terminal.until("ready")
    for line, word in CASES:
        terminal.type(line + "\t")
        terminal.until(line.rpartition(" ")[0] + " " + word)
        terminal.type("\x15")
    terminal.type("pygent \t")
    for name in COMMANDS:
        terminal.until(name)
    terminal.type("\x15exit\r")
    assert terminal.wait() == 0
