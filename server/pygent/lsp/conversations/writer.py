"""Writes into an open document while a person types in it: only insertions, never over what stands there.

Only words of ours that went astray are taken away, when the person asks for something and so types nothing.

Words are put at a place that moves with the text around it.  One edit is on its way at a time, at most ten a
second; the next is made for the text in which the last one was seen.  An edit that the client refuses is made
anew for the newer text.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from pygent.lsp.conversations.following import (
    Change,
    Insertion,
    Landed,
    change,
    ending_at,
    landed,
    moved,
    taken,
)
from pygent.lsp.conversations.markdown import normalised

PAUSE = 0.1
"""Seconds between two edits."""
QUIET, MAX_QUIET = 0.4, 2.0
"""Seconds without typing above the place before a client without versioned edits gets one, and how long to
wait for that: such clients tell up to 150 ms late, and a line more above would lead the edit astray."""
REFUSALS = 6
"""Refusals of the same text, with growing pauses, until the writer waits for the text to change."""
PATIENCE = 5.0
"""Seconds for a client to tell of an edit that it has made; editors wait for an idle moment."""

Apply = Callable[[Insertion], Awaitable[bool]]


@dataclass(eq=False)
class Piece:
    """Text for one place of the document.

    While it is `live`, what an undo takes from its end is written again.  `tail` gives its last words once
    all others are written, from the text that follows.  `points` are names for positions in `text`, which
    become places of the document when they are written.
    """

    place: str
    text: str = ""
    written: int = 0
    live: bool = False
    tail: Callable[[str], str] | None = None
    points: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Flight:
    """An edit on its way."""

    piece: Piece
    start: int
    sent: Insertion
    last: bool


class Writer:
    """The writing side of one open document.

    `apply` sends an insertion and says whether the client made it; with `versioned` the client makes one
    only in the text that it was made for.  `stuck` is called when the client goes on refusing.  `places`
    are indices into `text`, the document as the client last told of it.
    """

    def __init__(self, text: str, apply: Apply, *, versioned: bool, stuck: Callable[[], None]) -> None:
        self.text = normalised(text)
        self.places: dict[str, int] = {}
        self._open = True
        self._apply = apply
        self._versioned = versioned
        self._stuck = stuck
        self._pieces: list[Piece] = []
        self._live: list[Piece] = []
        self._unread: list[str] = []
        self._strays: dict[str, str] = {}
        self._cleaning = False
        self._kept = 0
        self._flight: _Flight | None = None
        self._news = asyncio.Event()
        self._rest = asyncio.Event()
        self._still = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refusals = 0
        self._last = self._typed = 0.0

    def put(self, piece: Piece, text: str = "") -> None:
        """Write more of a piece, after all that is waiting."""
        piece.text += text
        if piece not in self._pieces:
            self._pieces.append(piece)
        if piece.live and piece not in self._live:
            self._live.append(piece)
        self._start()

    def _start(self) -> None:
        if self._open and (self._task is None or self._task.done()):
            self._rest.clear()
            self._task = asyncio.ensure_future(self._run())

    @property
    def astray(self) -> bool:
        """Whether words of ours stand in the wrong place."""
        return bool(self._strays)

    async def clean(self) -> bool:
        """Take such words away; false if some stay, because somebody has changed them.

        Only while nobody types: an edit without a version takes away whatever stands there by then.
        """
        self._kept = 0
        if self._strays:
            self._cleaning = True
            self._start()
            await self.written()
        return not self._kept

    def seen(self, text: str) -> None:
        """The document has changed."""
        self._unread.append(normalised(text))
        if self._flight is None:
            self._catch_up()
        self._news.set()

    def close(self) -> None:
        """The document is closed; what is waiting stays unwritten."""
        self._open = False
        for event in (self._news, self._rest, self._still):
            event.set()

    async def written(self) -> bool:
        """Wait until everything is written, or can't be; whether it is."""
        if self._task is not None:
            await self._rest.wait()
        return not self._pieces

    async def calm(self) -> None:
        """Wait, a second at most, for a moment with no edit on its way, in which `text` is the document."""
        end = time.monotonic() + 1.0
        while self._flight is not None and self._open and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._still.wait(), left)

    # -- one edit after the other ----------------------------------------------------------------

    async def _run(self) -> None:
        while self._open and (self._pieces or self._cleaning):
            if self._cleaning:
                await self._clean()
                continue
            await self._pause()
            flight = self._next(self._pieces[0])
            if flight is None:
                self._done(self._pieces.pop(0))
                continue
            self._flight, self._last = flight, time.monotonic()
            self._still.clear()
            if await self._apply(flight.sent):
                self._refusals = 0
                await self._landing()
            else:
                await self._refused()
        self._rest.set()

    async def _clean(self) -> None:
        self._cleaning = False
        while self._strays:
            place, words = self._strays.popitem()
            at = self.places.pop(place)
            line, character = self._line(at)
            gone = Insertion(at, "", line, character, self._line(at + len(words)))
            if self.text.startswith(words, at) and await self._apply(gone):
                await self._hear(PATIENCE)
            else:
                self._kept += 1

    def _line(self, at: int) -> tuple[int, int]:
        """An index as a line and a character of it."""
        return self.text.count("\n", 0, at), at - (self.text.rfind("\n", 0, at) + 1)

    async def _pause(self) -> None:
        """Wait for the next edit's time, and for the person to stop typing where it matters."""
        await asyncio.sleep(max(0.0, self._last + PAUSE - time.monotonic()))
        end = time.monotonic() + MAX_QUIET
        while not self._versioned and self._open:
            now = time.monotonic()
            left = min(self._typed + QUIET, end) - now
            if left <= 0:
                return
            await asyncio.sleep(left)

    def _next(self, piece: Piece) -> _Flight | None:
        """The next words of a piece; None if it has none."""
        at = self.places.setdefault(piece.place, len(self.text))
        chunk, last = piece.text[piece.written :], False
        if not chunk and piece.tail is not None:
            chunk, last = piece.tail(self.text[at:]), True
        if not chunk:
            return None
        return _Flight(piece, piece.written, Insertion(at, chunk, *self._line(at)), last)

    def _done(self, piece: Piece) -> None:
        if piece.tail is not None:
            piece.tail, piece.live = None, False
        if not piece.live and piece in self._live:
            self._live.remove(piece)

    async def _landing(self) -> None:
        """Wait for the text in which our words are; if it doesn't come they are written again."""
        while self._open and self._flight is not None:
            while self._unread and self._flight is not None:
                self._take(self._unread.pop(0))
            if self._flight is not None and not await self._hear(PATIENCE):
                break
        self._over()

    async def _refused(self) -> None:
        """Wait for the newer text that must have been the reason, or for a while."""
        newer = bool(self._unread)
        self._over()
        self._refusals = 0 if newer else self._refusals + 1
        if newer or not self._open:
            return
        if self._refusals < REFUSALS:
            await self._hear(PAUSE * 2**self._refusals)
            return
        self._stuck()
        self._rest.set()
        await self._hear(None)
        self._rest.clear()

    def _over(self) -> None:
        """No edit is on its way any more."""
        self._flight = None
        self._catch_up()
        self._still.set()

    async def _hear(self, seconds: float | None) -> bool:
        """Wait for a change of the document; false if none came in time."""
        self._news.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
            return True
        return False

    # -- following the text ----------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take in changes that have nothing of ours."""
        while self._unread:
            self._follow(self._unread.pop(0))

    def _follow(self, new: str) -> None:
        old, by = self.text, change(self.text, new)
        for piece in self._live:
            by = ending_at(by, old, self.places.get(piece.place, 0))
        self._rewind(by)
        self.places = {name: moved(place, by, old) for name, place in self.places.items()}
        self.text = new

    def _rewind(self, by: Change) -> None:
        """Write again what a change took from the end of what is being written."""
        for piece in self._live:
            place = self.places.get(piece.place, len(self.text))
            if by.size and by.start < place:
                self._typed = time.monotonic()
            gone = taken(place, by, self.text, piece.text[: piece.written])
            if gone:
                piece.written -= gone
                self.places[piece.place] = place - gone
                self.put(piece)

    def _take(self, new: str) -> None:
        """Take in a text that may have the words in it that are on their way."""
        assert self._flight is not None
        flight, sent = self._flight, self._flight.sent
        got = landed(self.text, new, sent)
        if got is None:
            self._follow(new)
            sent = Insertion(self.places[flight.piece.place], sent.text, sent.line, sent.character)
            self._flight = replace(flight, sent=sent)
            return
        self._flight = None
        self._rewind(got.other)
        self.places = {name: got.moved(place, self.text) for name, place in self.places.items()}
        self.text = new
        if got.astray:
            place = f"stray {got.at} {time.monotonic()}"
            self.places[place], self._strays[place] = got.at, sent.text
        elif flight.piece.written == flight.start:
            self._count(flight, got)

    def _count(self, flight: _Flight, got: Landed) -> None:
        """Our words are where they belong."""
        piece, start = flight.piece, flight.start
        if flight.last:
            self.places[piece.place] = got.at
            self._done(piece)
            return
        piece.written += len(flight.sent.text)
        self.places[piece.place] = got.end
        for name, position in piece.points.items():
            if start <= position < piece.written:
                self.places[name] = got.at + position - start
