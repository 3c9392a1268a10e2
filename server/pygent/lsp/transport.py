"""Bytes in and out: frames of the LSP base protocol, a thread that reads and a thread that writes.

The reader has a thread of its own so that busy handlers never make the server deaf, the writer so that a
client which stops reading never freezes it.  Nothing else can write to the protocol's file descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

MAX_MESSAGE = 64 * 1024 * 1024
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.I)


class BadFrame(Exception):
    """A header that no message can follow."""


class FrameReader:
    """Cuts a stream of bytes into message bodies.

    Header names in any case and bare line feeds are accepted; a length beyond `MAX_MESSAGE` is not.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now.  Raises BadFrame."""
        self._buffer += data
        bodies: list[bytes] = []
        while True:
            if self._length is None and not self._header():
                return bodies
            assert self._length is not None
            if len(self._buffer) < self._length:
                return bodies
            bodies.append(bytes(self._buffer[: self._length]))
            del self._buffer[: self._length]
            self._length = None

    def _header(self) -> bool:
        found = re.search(rb"\r?\n\r?\n", self._buffer)
        if found is None:
            if len(self._buffer) > 64 * 1024:
                raise BadFrame("the header has no end")
            return False
        head = bytes(self._buffer[: found.start()])
        del self._buffer[: found.end()]
        length = _LENGTH.search(head)
        if length is None:
            return self._header() if self._buffer else False
        if int(length[1]) > MAX_MESSAGE:
            raise BadFrame(f"a message of {int(length[1])} bytes is larger than {MAX_MESSAGE}")
        self._length = int(length[1])
        return True


def frame(body: bytes) -> bytes:
    """A message body with its header."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def claim_stdout() -> int:
    """A private copy of standard output; from now on whatever prints goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


class Writer:
    """Writes frames from a thread of its own, what is waiting in one go."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lsp-writer", daemon=True)
        self._thread.start()

    def send(self, body: bytes) -> None:
        """Queue a message."""
        self._queue.put(frame(body))

    def close(self, seconds: float = 2.0) -> None:
        """Write what is queued, but wait no longer than this for a client that does not read."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            pieces, last = [data], False
            while not self._queue.empty() and len(pieces) < 1000:
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                pieces.append(more)
            if not self._write(b"".join(pieces)) or last:
                return

    def _write(self, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError:
                return False
        return True


def read_in_thread(
    stream: BinaryIO,
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[bytes], None],
    ended: Callable[[str | None], None],
) -> None:
    """Read frames from a thread; `deliver` and `ended` are called on the loop.

    `ended` gets None at the end of the stream, or what was wrong with it.
    """

    def run() -> None:
        frames, problem = FrameReader(), None
        try:
            while data := os.read(stream.fileno(), 1 << 16):
                for body in frames.feed(data):
                    loop.call_soon_threadsafe(deliver, body)
        except BadFrame as error:
            problem = str(error)
        except OSError:
            pass
        with contextlib.suppress(RuntimeError):  # the loop ended first
            loop.call_soon_threadsafe(ended, problem)

    threading.Thread(target=run, name="lsp-reader", daemon=True).start()
