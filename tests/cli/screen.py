"""A terminal with a program in it: a real pseudo-terminal, and an emulator that shows what a person sees."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte

PASTE = "\x1b[200~{}\x1b[201~"
"""How a terminal marks what is pasted, for a program that has asked for it."""


class _Emulator(pyte.HistoryScreen):
    """The screen and what has scrolled off it; answers the program's questions about the terminal."""

    def __init__(self, columns: int, lines: int, answer: Any) -> None:
        super().__init__(columns, lines, history=10_000, ratio=0.5)
        self.write_process_input = lambda data: answer(data.encode())

    def set_margins(self, *margins: Any, **_: Any) -> None:
        super().set_margins(*margins)


class Terminal:
    """A program on a terminal of its own, `columns` wide and `lines` high."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        columns: int = 100,
        lines: int = 40,
    ) -> None:
        self.master, slave = pty.openpty()
        self.emulator = _Emulator(columns, lines, lambda data: os.write(self.master, data))
        self._stream = pyte.ByteStream(self.emulator)
        self.raw = b""
        self.resize(columns, lines)
        sized = ("COLUMNS", "LINES")  # of the runner's own terminal
        self.process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                **{name: value for name, value in env.items() if name not in sized},
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C comes from a terminal
        )
        os.close(slave)

    def resize(self, columns: int, lines: int) -> None:
        """What a window manager does: the program gets SIGWINCH."""
        self.emulator.resize(lines, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def paste(self, text: str) -> None:
        self.type(PASTE.format(text))

    @property
    def screen(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self.emulator.display).rstrip()

    @property
    def text(self) -> str:
        """Everything that can be seen, by scrolling back too."""
        scrolled = [
            "".join(row[column].data for column in range(self.emulator.columns)).rstrip()
            for row in self.emulator.history.top
        ]
        return "\n".join([*scrolled, self.screen]).strip("\n")

    def read(self, seconds: float) -> bool:
        """Take in what the program writes; False if nothing came, or it has ended."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            return False
        self.raw += data
        self._stream.feed(data)
        return True

    def until(self, words: str, *, times: int = 1, seconds: float = 40) -> str:
        """Read until the words can be seen so many times; returns everything that can be seen."""
        deadline = time.monotonic() + seconds
        while _flat(self.text).count(_flat(words)) < times:
            assert time.monotonic() < deadline, f"no {words!r} in:\n{self.text}"
            if not self.read(0.2) and self.process.poll() is not None:
                assert _flat(self.text).count(_flat(words)) >= times, f"no {words!r} in:\n{self.text}"
        return self.text

    def gone(self, words: str, *, seconds: float = 40) -> None:
        """Read until the words no longer stand on the screen."""
        deadline = time.monotonic() + seconds
        while _flat(words) in _flat(self.screen):
            assert time.monotonic() < deadline, f"still {words!r} in:\n{self.screen}"
            self.read(0.2)

    def wait(self, seconds: float = 30) -> int:
        """The exit code of the program, once it has ended; everything that it wrote is taken in."""
        deadline = time.monotonic() + seconds
        try:
            while self.process.poll() is None:
                assert time.monotonic() < deadline, f"still running:\n{self.text}"
                self.read(0.1)
            while self.read(0):
                pass
        finally:
            self.close()
        return self.process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)


def _flat(text: str) -> str:
    """Text without regard to where lines are broken."""
    return re.sub(r"\s+", " ", text)
