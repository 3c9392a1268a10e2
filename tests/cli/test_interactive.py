"""The interactive session on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Pygent
from tests.cli.program import Program
from tests.conftest import python
from tests.story import call

from pygent.replay import Reply

pytestmark = pytest.mark.e2e


class Terminal:
    """A terminal with `pygent` in it."""

    def __init__(self, program: Program, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            python("-m", "pygent.cli", *arguments),
            cwd=program.folder,
            env=program.environ(TERM="xterm-256color", COLUMNS="100", LINES="40"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen, self.at = "", 0

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, words: str, seconds: float = 30) -> str:
        """Read until the words stand on the screen; returns what came since the last call."""
        deadline, begin = time.monotonic() + seconds, self.at
        while words not in self.seen[begin:]:
            left = deadline - time.monotonic()
            assert left > 0, f"no {words!r} in:\n{self.seen[begin:]}"
            if select.select([self.master], [], [], min(left, 0.2))[0]:
                data = os.read(self.master, 65536).decode(errors="replace")
                if "\x1b[6n" in data:  # a terminal answers where its cursor is
                    os.write(self.master, b"\x1b[1;1R")
                self.seen += re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>])", "", data)
        self.at = self.seen.index(words, begin) + len(words)
        return self.seen[begin : self.at]

    def close(self) -> int:
        self.type("\x04")
        try:
            code = self.process.wait(20)
        finally:
            self.process.kill()
            os.close(self.master)
        return code


def test_what_a_model_says_is_no_instruction_to_the_terminal(pygent: Pygent) -> None:
    program = pygent(Reply(text="one\x1b]0;evil\x07two \x1b[2Jthree"))
    terminal = Terminal(program, "--cwd")
    terminal.until("Pygent>")
    terminal.type("hello\r")
    terminal.until("one]0;eviltwo [2Jthree")
    terminal.until("Pygent>")
    assert terminal.close() == 0


def test_the_table_of_tasks_follows_them(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="until [ -e go ]; do sleep 0.05; done"), Reply(text="Done."))
    work = subprocess.Popen(
        python("-m", "pygent.cli", "--cwd", "--no-confirm-bash", "delegate", "wait for it"),
        cwd=program.folder,
        env=program.environ(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert work.stderr is not None
    lines = iter(work.stderr.readline, "")
    folder = next(re.findall(r" in (/\S+)", line)[0] for line in lines if line.startswith("Task "))
    table = Terminal(program, "--cwd", "tasks")
    table.until("running")
    table.until("Ctrl-C leaves")
    Path(folder, "go").touch()
    table.until("completed")
    assert table.process.wait(20) == 0
    os.close(table.master)
    assert work.wait(20) == 0


def test_a_conversation_with_consent_and_slash_commands(pygent: Pygent) -> None:
    program = pygent(
        call("bash", cmd="touch made"),
        call("bash", cmd="touch not-made"),
        Reply(text="Some **bold** words."),
        Reply(text="Second answer."),
    )
    terminal = Terminal(program, "--cwd")
    terminal.until("Pygent>")
    terminal.type("hello\r")
    terminal.until("[c]ancel > ")
    terminal.type("y\r")
    terminal.until("[c]ancel > ")
    terminal.type("n not that one\r")
    terminal.until("bold words.")
    terminal.until("Pygent>")
    assert (program.folder / "made").exists()
    assert not (program.folder / "not-made").exists()
    terminal.type("/help\r")
    terminal.until("/exit")
    terminal.type("/cmd echo by hand\r")
    terminal.until("by hand\r\n")
    terminal.type("/confirm-bash off\r")
    terminal.until("unasked")
    terminal.type("/nonsense\r")
    terminal.until("no command /nonsense")
    terminal.type("again\r")
    terminal.until("Second answer.")
    terminal.until("tokens in")
    terminal.type("/cost\r")
    terminal.until("tokens in")
    terminal.until("Pygent>")
    assert terminal.close() == 0


def test_ctrl_c_cancels_the_turn_and_not_the_session(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="echo running; sleep 600"), Reply(text="Still here."))
    terminal = Terminal(program, "--cwd", "--no-confirm-bash")
    terminal.until("Pygent>")
    terminal.type("hello\r")
    terminal.until("running")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.until("Pygent>")
    terminal.type("and now?\r")
    terminal.until("Still here.")
    terminal.until("Pygent>")
    assert terminal.close() == 0
