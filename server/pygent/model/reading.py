"""Reading the body of an answer: a stream of events, a whole answer, or what is neither."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from pygent.model.deadlines import within
from pygent.model.fold import Truncated
from pygent.model.refusals import parsed
from pygent.model.sse import LONGEST, EventReader, TooLong
from pygent.model.wires import Fold

DRAIN = 0.1
"""Seconds that the end of a body may take after the last event of the answer."""
QUEUE = 900.0
"""Seconds that a server may keep a request waiting with comments (DeepSeek does for ten minutes)."""
_WHOLE = (b"{", b"[", b"<")
"""How a body begins that is no stream of events, whatever its type says."""


class Stalled(Exception):
    """Bytes come, or comments, and no event has been complete for too long."""


class NoApi(Exception):
    """What answered is no model server; `body` is what it sent."""

    def __init__(self, body: Any) -> None:
        super().__init__("not an API")
        self.body = body


async def read(response: Any, fold: Fold, stall: float) -> None:
    """Fold a response.  Raises Refused, Truncated, NoApi, and Stalled after `stall` seconds."""
    kind = response.headers.get("content-type", "")
    clock = _Clock(stall)
    pieces = response.aiter_bytes()
    if "json" in kind and "event-stream" not in kind:
        await _whole([], pieces, fold, clock)
        return
    reader = EventReader()
    begun = False
    async for data in pieces:
        if not begun and (first := data.lstrip(b"\xef\xbb\xbf \r\n")):
            begun = True
            if first.startswith(_WHOLE):
                await _whole([data], pieces, fold, clock)
                return
        for name, lines in _events(reader, data, clock):
            fold.event(name, lines)
        if fold.done:
            await _drain(pieces)
            return
    for name, lines in reader.finish():
        fold.event(name, lines)


def _events(reader: EventReader, data: bytes, clock: _Clock) -> list[tuple[bytes, list[bytes]]]:
    try:
        events = reader.feed(data)
    except TooLong:
        raise Truncated("an event of the answer had no end") from None
    clock.tick(spoke=bool(events), alive=data.startswith(b":") or b"\n:" in data or not data.strip())
    return events


class _Clock:
    """Notices a stream that only trickles; one that is silent runs into the connection's own limit."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._spoke = self._alive = time.monotonic()

    def tick(self, *, spoke: bool, alive: bool) -> None:
        """Take note of bytes, and whether they were an event or a sign of life.  Raises Stalled."""
        now = time.monotonic()
        if spoke:
            self._spoke = self._alive = now
        elif now - self._alive > self._stall or now - self._spoke > max(self._stall, QUEUE):
            raise Stalled
        elif alive:
            self._alive = now


async def _whole(got: list[bytes], pieces: AsyncIterator[bytes], fold: Fold, clock: _Clock) -> None:
    """A whole answer in place of a stream."""
    size = sum(map(len, got))
    async for data in pieces:
        clock.tick(spoke=False, alive=False)
        got.append(data)
        size += len(data)
        if size > LONGEST:
            raise Truncated("the answer had no end")
    text = b"".join(got).decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        raise NoApi(parsed(text))
    try:
        fold.chunk(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        raise Truncated("the answer broke off", empty=not text.strip()) from None


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, so that the next request finds the connection open.

    A server that does not end its answer is not waited for, and what fails now has no meaning any more.
    """
    import httpx2  # noqa: PLC0415 - heavy

    async def rest() -> None:
        async for _ in pieces:
            pass

    async def nothing(_: None) -> None:
        pass

    with contextlib.suppress(asyncio.TimeoutError, httpx2.HTTPError):
        await within(DRAIN, rest(), nothing)
