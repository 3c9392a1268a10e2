"""The one retry policy: what may pass is tried again, and every wait is announced and can be cancelled."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pygent.errors import ModelError
from pygent.events import Notice
from pygent.model import Listener
from pygent.records import now_ms


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how patiently: `first` is the first pause in seconds, which doubles up to `slowest`.

    A server that asks for more than `longest` seconds is not waited for: a person should know instead.
    """

    attempts: int = 6
    first: float = 0.5
    slowest: float = 20.0
    longest: float = 60.0


DROPPED, DROPS = "dropped", 4
"""A connection that was kept and that the server had closed meanwhile: no attempt of the server's, so it does
not count as one, up to so many times."""


class Again(Exception):
    """A failure that may pass: why, the error if it does not, and how long to wait (None: our own pace).

    `most` limits how often this `kind` of failure is met in one answer.
    """

    def __init__(
        self, reason: str, error: ModelError, wait: float | None = None, *, kind: str = "", most: int = 99
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.wait = wait
        self.kind = kind
        self.most = most


class Attempts:
    """The attempts at one answer."""

    def __init__(self, policy: Policy, listener: Listener) -> None:
        self._policy = policy
        self._listener = listener
        self._failed = 0
        self._kinds: Counter[str] = Counter()

    async def pause(self, again: Again) -> None:
        """Announce the next attempt and wait for it.  Raises the failure's ModelError if there is none."""
        self._kinds[again.kind] += 1
        if again.kind == DROPPED and self._kinds[DROPPED] < DROPS:
            text = f"Model: {again.reason}. Trying again at once."
            self._listener.notice(Notice(level="info", text=text, code="retry"))
            return
        self._failed += 1
        if self._failed >= self._policy.attempts or self._kinds[again.kind] >= again.most:
            raise again.error
        wait = self._pace() if again.wait is None else again.wait
        if wait > self._policy.longest:
            raise _too_long(again.error, wait)
        when = "at once" if wait < 0.05 else f"in {wait:.1f} s" if wait < 10 else f"in {wait:.0f} s"
        most = self._policy.attempts - 1
        self._listener.notice(
            Notice(
                level="warning",
                text=f"Model: {again.reason}. Trying again {when} ({self._failed} of {most}).",
                code="retry",
                retry_at=now_ms() + round(wait * 1000),
                attempt=self._failed,
                attempts=most,
            )
        )
        await asyncio.sleep(wait)

    def _pace(self) -> float:
        pause = min(self._policy.first * 2.0 ** (self._failed - 1), self._policy.slowest)
        return pause * random.uniform(0.75, 1.25)


def _too_long(error: ModelError, wait: float) -> ModelError:
    until = time.strftime("%H:%M", time.localtime(time.time() + wait))
    fix = f"The server asks to wait {wait:.0f} s, until {until}: send the message again then."
    return ModelError(error.message, fix, status=error.status)


class Shown:
    """Keeps what an attempt that failed has shown from being shown again by the next."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._text = _Once(listener.text)
        self._reasoning = _Once(listener.reasoning)

    def again(self) -> Listener:
        """The listener of the next attempt."""
        self._text.restart()
        self._reasoning.restart()
        return Listener(self._text.say, self._reasoning.say, self._listener.notice)


class _Once:
    """Passes text on, but for what an earlier attempt has already said in the same words."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._shown: list[str] = []
        self._before = ""
        self._same = 0

    def restart(self) -> None:
        """Begin the next attempt."""
        self._before, self._same = "".join(self._shown), 0
        self._shown = [self._before]

    def say(self, text: str) -> None:
        """A piece of this attempt."""
        if self._before:
            text = self._new(text)
        if text:
            self._shown.append(text)
            self._show(text)

    def _new(self, text: str) -> str:
        """What of the piece, or of all that was held back, has not been shown."""
        if self._before.startswith(text, self._same):
            self._same += len(text)
            return ""
        before, self._before = self._before, ""
        rest = before[self._same :]
        if text.startswith(rest):
            return text[len(rest) :]
        return "\n" + before[: self._same] + text  # another answer: it begins on a line of its own
