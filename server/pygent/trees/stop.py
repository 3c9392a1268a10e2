"""How work in a thread is told to end."""

from __future__ import annotations

import time

from pygent.errors import PygentError


class Stopped(Exception):
    """The work was cancelled; nobody waits for what it would have made."""


class Stop:
    """Asked at each file: ends the work when it was cancelled, or takes longer than the seconds given."""

    def __init__(self, seconds: float | None = None, what: str = "The snapshot") -> None:
        self._what = what
        self.cancelled = False
        self.begin(seconds)

    def begin(self, seconds: float | None) -> None:
        """Count the seconds from now."""
        self._seconds = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raises Stopped, and PygentError `limit`."""
        if self.cancelled:
            raise Stopped
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise PygentError("limit", f"{self._what} took longer than {self._seconds:g} s.")
