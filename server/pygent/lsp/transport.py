"""Bytes in and out: frames of the LSP base protocol, and threads of their own for reading and writing.

The reader has a thread of its own so that busy handlers never make the server deaf, the writer so that a
client which stops reading never freezes it.  Nothing else can write to the protocol's file descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable

from pygent.lsp.outbox import Outbox

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of the largest message that is taken in."""
MAX_HEADER = 64 * 1024
_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*([^\r\n]*)", re.I)
_HEADERS = re.compile(rb"\s*(?:[\w-]{1,64}[ \t]*:[^\r\n]*\r?\n)+(?:\r?\n)?")
_OWN_HEADERS = re.compile(
    rb"\s*(?:(?:content-(?:length|type)|authorization)[ \t]*:[^\r\n]*\r?\n)+(?:\r?\n)?", re.I
)
_BEARER = re.compile(rb"^authorization[ \t]*:[ \t]*bearer[ \t]+(\S+)", re.I | re.M)


class BadFrame(Exception):
    """What stands in the stream where a message should begin; the message says what is wrong."""


class FrameReader:
    """Cuts a stream of bytes into message bodies.

    Header names in any case and bare line feeds are accepted.  After a header that no message can follow,
    reported once as BadFrame, it goes on at the next good one: a JSON text has no line that looks like one.
    `strict` accepts the headers of the base protocol only, and `Authorization`: a request of HTTP begins with
    another line, and else any web page could speak to a socket on this machine.  `first` is the limit of the
    first message, in bytes.
    """

    def __init__(self, *, strict: bool = False, first: int = MAX_MESSAGE) -> None:
        self.bearer: str | None = None
        """The token in the header of the last message (`Authorization: Bearer …`)."""
        self._strict = strict
        self._limit = first
        self._buffer = bytearray()
        self._length: int | None = None
        self._lost = False

    def feed(self, data: bytes) -> list[bytes | BadFrame]:
        """The bodies that are complete now, in order, and what was wrong between them."""
        self._buffer += data
        found: list[bytes | BadFrame] = []
        while True:
            if self._length is None:
                try:
                    if not self._header():
                        return found
                except BadFrame as problem:
                    found += [] if self._lost else [problem]
                    self._lost = self._length is None
                    continue
            assert self._length is not None
            if len(self._buffer) < self._length:
                return found
            found.append(bytes(self._buffer[: self._length]))
            del self._buffer[: self._length]
            self._length = None
            self._limit = MAX_MESSAGE

    def _header(self) -> bool:
        """Whether the length of the next message is known.  Raises BadFrame, also if it is."""
        end = _END.search(self._buffer)
        if end is None:
            if len(self._buffer) <= MAX_HEADER:
                return False
            del self._buffer[:-256]  # what may be the beginning of a good header
            raise BadFrame("the header has no end")
        head = bytes(self._buffer[: end.end()])
        del self._buffer[: end.end()]
        if self._strict and not _OWN_HEADERS.fullmatch(head):
            raise BadFrame("the header is not one of the LSP base protocol")
        self._length = _length(head, self._limit)
        bearer = _BEARER.search(head) if self._strict else None
        self.bearer = bearer and bearer[1].decode("ascii", "replace")
        if not _HEADERS.fullmatch(head):
            raise BadFrame("something stands before the header")
        self._lost = False
        return True


def _length(head: bytes, limit: int) -> int:
    """The length in a header; the last one, as what was lost may stand before it.  Raises BadFrame."""
    given = _LENGTH.findall(head)
    if not given:
        raise BadFrame("the header has no Content-Length")
    text = given[-1].strip()
    if not text.isdigit():
        raise BadFrame("the Content-Length is no number of bytes")
    if len(text) > 12 or int(text) > limit:
        raise BadFrame(f"the message is larger than {limit} bytes")
    return int(text)


def frame(body: bytes) -> bytes:
    """A message body with its header."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def claim_streams() -> tuple[int, int]:
    """Private copies of standard input and output.

    From now on whatever prints goes to standard error, also from C and from child processes, and whatever
    reads standard input finds its end.
    """
    private = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


def write_in_thread(descriptor: int, outbox: Outbox, gone: Callable[[], None]) -> threading.Thread:
    """Write what is in the outbox from a thread, until it is closed, or the client is `gone`."""

    def run() -> None:
        while bodies := outbox.wait():
            if not _write(descriptor, b"".join(map(frame, bodies))):
                outbox.close()
                gone()
                return

    thread = threading.Thread(target=run, name="lsp-writer", daemon=True)
    thread.start()
    return thread


def _write(descriptor: int, data: bytes) -> bool:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError:
            return False
    return True


def read_in_thread(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[bytes | BadFrame], None],
    ended: Callable[[], None],
    outbox: Outbox,
) -> None:
    """Read frames from a thread; `deliver` and `ended` are called on the loop.

    While the outbox is full nothing is read: a client that does not hear may not speak either.
    """

    def run() -> None:
        frames = FrameReader()
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the loop ended first
            while data := os.read(descriptor, 1 << 16):
                for one in frames.feed(data):
                    loop.call_soon_threadsafe(deliver, one)
                outbox.wait_for_room()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended)

    threading.Thread(target=run, name="lsp-reader", daemon=True).start()
