"""What a turn and a session may use, and what they have used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from pygent.config import Limits, Price
from pygent.context import Meter
from pygent.events import Emit, UsageReported
from pygent.records import NO_USAGE, Failure, Usage


def total(one: Usage, other: Usage) -> Usage:
    """What was used together; of the context, what was said last."""
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=(one.cached_tokens or 0) + (other.cached_tokens or 0) or None,
        context_tokens=other.context_tokens or one.context_tokens,
        context_window=other.context_window or one.context_window,
        cost=None if one.cost is None and other.cost is None else (one.cost or 0) + (other.cost or 0),
        estimated=one.estimated or other.estimated,
    )


def priced(usage: Usage, model: str, prices: Mapping[str, Price]) -> Usage:
    """The usage of one answer with its cost, if the model's price is known."""
    price = prices.get(model)
    if price is None:
        return usage
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    cost = (usage.prompt_tokens - cached) * price.input + cached * price.cached
    return msgspec.structs.replace(usage, cost=(cost + usage.completion_tokens * price.output) / 1e6)


def worded(usage: Usage) -> str:
    """What was used, in a few words; `~` stands before what is estimated."""
    about = "~" if usage.estimated else ""
    cached = f", {usage.cached_tokens:,} cached" if usage.cached_tokens else ""
    cost = "" if usage.cost is None else f" · cost {about}{usage.cost:.4g}"
    full = ""
    if usage.context_tokens and usage.context_window:
        full = f" · {about}{usage.context_tokens / usage.context_window:.0%} of the window"
    prompt, completion = f"{about}{usage.prompt_tokens:,}", f"{about}{usage.completion_tokens:,}"
    return f"{prompt} tokens in{cached}, {completion} out{cost}{full}"


@dataclass(slots=True)
class Budget:
    """What a turn may use, and what it has used.

    `before` is what the session used in its earlier turns, `usage` what the turn has, `steps` its model
    answers.  `meter` estimates where the server does not count.
    """

    limits: Limits
    prices: Mapping[str, Price]
    model: str
    session_id: str
    meter: Meter
    emit: Emit
    before: Usage = NO_USAGE
    usage: Usage = NO_USAGE
    steps: int = 0

    def spend(
        self, usage: Usage | None, size: int, text: str, *, window: int | None = None, step: bool = False
    ) -> None:
        """Count an answer `text` to a prompt of `size` bytes, and announce the sum.

        A `step` of the conversation itself tells how full the `window` is, as far as that is known.
        """
        own = (
            usage
            if usage is not None and usage.prompt_tokens
            else Usage(
                prompt_tokens=self.meter.tokens(size),
                completion_tokens=self.meter.tokens(len(text)),
                estimated=True,
            )
        )
        if step:
            used = own.prompt_tokens + own.completion_tokens
            own = msgspec.structs.replace(own, context_tokens=used, context_window=window)
        self.usage = total(self.usage, priced(own, self.model, self.prices))
        self.emit(UsageReported(**msgspec.structs.asdict(self.usage)))

    def exceeded(self) -> Failure | None:
        """Which limit is reached, and how to go on; None while there is room."""
        limits, turn, whole = self.limits, self.usage, total(self.before, self.usage)
        if limits.session_tokens is not None and _tokens(whole) >= limits.session_tokens:
            used = f"{limits.session_tokens:,} tokens (it used {_tokens(whole):,})"
            return self._session_reached("session_tokens", used)
        if limits.session_cost is not None and (whole.cost or 0) >= limits.session_cost:
            used = f"a cost of {limits.session_cost:g} (it cost {whole.cost:.4g})"
            return self._session_reached("session_cost", used)
        if self.steps >= limits.steps:
            return self._reached("steps", f"{limits.steps} steps")
        if limits.tokens is not None and _tokens(turn) >= limits.tokens:
            return self._reached("tokens", f"{limits.tokens:,} tokens (it used {_tokens(turn):,})")
        if limits.cost is not None and (turn.cost or 0) >= limits.cost:
            return self._reached("cost", f"a cost of {limits.cost:g} (it cost {turn.cost:.4g})")
        return None

    def out_of_time(self) -> Failure:
        """That the turn's seconds are over."""
        return self._reached("seconds", f"{self.limits.seconds:g} seconds of work")

    def paused(self, message: str) -> Failure:
        """A pause for another reason."""
        return Failure(code="limit", message=message, fix=self._how_to_go_on())

    def _reached(self, name: str, what: str) -> Failure:
        message = f"The turn is paused: it reached its limit of {what}."
        return Failure(code="limit", message=message, fix=f"{self._how_to_go_on()} limits.{name} sets it.")

    def _session_reached(self, name: str, what: str) -> Failure:
        message = f"The session is paused: it reached its limit of {what}."
        return Failure(
            code="limit", message=message, fix=f"Raise limits.{name} to go on, or begin a session."
        )

    def _how_to_go_on(self) -> str:
        return f"Send a message to go on, or run `pygent --resume {self.session_id} run`."


def _tokens(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


class Clock:
    """Calls `over` after so many seconds of work, None for never.

    While somebody is waited for it stands still.
    """

    def __init__(self, seconds: float | None, over: Callable[[], object]) -> None:
        self._left = seconds
        self._over = over
        self._waits = 0
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let it run."""
        if self._left is not None and not self._waits:
            self._began = time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._left), self._over)

    def stop(self) -> None:
        """Let it stand."""
        if self._timer is not None and self._left is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= time.monotonic() - self._began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Stand still while a person is waited for, perhaps by several calls at once."""
        self.stop()
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self.start()
