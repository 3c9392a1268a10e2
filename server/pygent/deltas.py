"""Pieces of streaming text, gathered for a moment so that no front end drowns in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from pygent.events import AnyEvent, ReasoningDelta, TextDelta, ToolOutput
from pygent.redaction import Redactor

PAUSE = 0.02
"""Seconds between two pieces; the first after a pause is shown at once."""

MAX_OUTPUT = 64 * 1024
"""Characters of a tool's output that are shown per piece; the middle of more is left out."""

Delta = TextDelta | ReasoningDelta | ToolOutput


class Deltas:
    """Joins neighbouring pieces of the same item and shows them at most fifty times a second."""

    def __init__(self, show: Callable[[AnyEvent], None], redactor: Callable[[], Redactor]) -> None:
        self._show = show
        self._redactor = redactor
        self._redacting = redactor()
        self._held: Delta | None = None
        self._parts: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delta: Delta) -> None:
        """Take in a piece; it is shown within `PAUSE`."""
        held = self._held
        if held is not None and (held.item_id != delta.item_id or type(held) is not type(delta)):
            self._out(final=True)
        if self._held is None:
            self._held = delta
        self._parts.append(delta.text)
        if self._timer is None:
            self._out()
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._tick)

    def flush(self) -> None:
        """Show what is held, now."""
        if self._held is not None:
            self._out(final=True)

    def _tick(self) -> None:
        self._timer = None
        if self._parts:
            self._out()
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._tick)

    def _out(self, *, final: bool = False) -> None:
        assert self._held is not None
        text, delta = self._redacting.feed("".join(self._parts), final=final), self._held
        self._parts = []
        if final:
            self._held, self._redacting = None, self._redactor()
        if not text:
            return
        if isinstance(delta, ToolOutput) and len(text) > MAX_OUTPUT:
            half = MAX_OUTPUT // 2
            text = f"{text[:half]}\n[… {len(text) - MAX_OUTPUT} characters …]\n{text[-half:]}"
        self._show(msgspec.structs.replace(delta, text=text))
