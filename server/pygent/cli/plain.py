"""Lines from a terminal that can do nothing but print (`TERM=dumb`): no editing, no drawing."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from pygent.cli.asking import forget_typed
from pygent.cli.console import Console


class PlainPrompt:
    """What `Prompt` does, without moving the cursor; Ctrl-C is a signal here."""

    echoes = True
    """Whether the terminal itself shows what is typed."""

    def __init__(
        self,
        console: Console,
        *,
        label: Callable[[int], str],
        interrupted: Callable[[], bool],
        working: Callable[[], bool],
    ) -> None:
        self.above = console.out
        self._console = console
        self._label, self._interrupted, self._working = label, interrupted, working
        self._due = False
        self._lines: asyncio.Queue[tuple[float, str | None]] = asyncio.Queue()
        self._early: list[tuple[float, str | None]] = []
        """Lines that were typed before what is asked now, and are no answers to it."""
        self._asked: float | None = None
        self._armed = False

    @property
    def columns(self) -> int:
        """How wide the terminal is now."""
        return shutil.get_terminal_size().columns

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take lines and Ctrl-C for as long as the block runs."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(self._lines.put_nowait, (time.monotonic(), line))
            loop.call_soon_threadsafe(self._lines.put_nowait, (time.monotonic(), None))

        threading.Thread(target=read, name="lines", daemon=True).start()
        with contextlib.suppress(NotImplementedError):  # on Windows Ctrl-C ends the program
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
        yield

    async def read(self) -> str:
        """The next line.  Raises EOFError to leave."""
        self._due = True
        self.redraw()
        when, line = await self._lines.get()
        while self._asked is not None and when < self._asked and line is not None:
            self._early.append((when, line))
            when, line = await self._lines.get()
        self._armed = False
        if line is None:
            raise EOFError
        return line.rstrip("\n")

    def redraw(self) -> None:
        """Say once that a line is waited for, when nothing runs any more."""
        if self._due and not self._working():
            self._say_label()

    def _say_label(self) -> None:
        self._due = False
        self._console.raw(self._label(self.columns), self._console.out)

    def set_aside(self) -> None:
        """Say what is asked; lines that were typed before are kept for later."""
        forget_typed(sys.stdin.fileno())
        self._asked = time.monotonic()
        self._say_label()

    def restore(self) -> None:
        """Go on with the lines that were typed before the question."""
        self._asked = None
        for early in self._early:
            self._lines.put_nowait(early)
        self._early.clear()

    def close(self) -> None:
        """Nothing waits to be written."""

    def _interrupt(self) -> None:
        if self._armed:
            self._lines.put_nowait((time.monotonic(), None))
        elif not self._interrupted():
            self._console.say("\nCtrl-C again, or Ctrl-D, leaves.")
        self._armed = True
