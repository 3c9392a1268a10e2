"""What waits to be written to one client, bounded however long that client does not read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

SLOW = 4 * 1024 * 1024
"""Bytes above which a client counts as slow: what passes by is left out."""
FULL = 32 * 1024 * 1024
"""Bytes above which stored events are left out, too, and nothing more is read from the client."""
BATCH = 1 << 20
"""Bytes that are handed out at once."""

Kind = Literal["must", "stored", "passing"]


class Outbox:
    """Messages for a client, in order.

    Answers, requests and the like `must` arrive.  `stored` events can be read again with
    `pygent.session.events`, and are left out while the box is full.  `passing` ones (pieces of text,
    progress, log lines) are left out as soon as the client is slow.  `news` is called when there is
    something after there was nothing, and `caught_up` when a client that was slow has read up; both from the
    thread that puts or takes.
    """

    def __init__(self) -> None:
        self.news: Callable[[], None] = lambda: None
        self.caught_up: Callable[[], None] = lambda: None
        self._bodies: deque[bytes] = deque()
        self._size = 0
        self._slow = False
        self._closed = False
        self._changed = threading.Condition()

    def put(self, body: bytes, kind: Kind = "must") -> bool:
        """Add a message; False if it was left out."""
        with self._changed:
            limit = {"must": None, "stored": FULL, "passing": SLOW}[kind]
            if self._closed or (limit is not None and self._size > limit):
                self._slow = True
                return False
            self._bodies.append(body)
            self._size += len(body)
            first = len(self._bodies) == 1
            self._changed.notify_all()
        if first:
            self.news()
        return True

    def take(self) -> list[bytes]:
        """What waits, up to about `BATCH` bytes."""
        taken, size = [], 0
        with self._changed:
            while self._bodies and size < BATCH:
                taken.append(self._bodies.popleft())
                size += len(taken[-1])
            self._size -= size
            read_up = self._slow and self._size <= SLOW and not self._closed
            if read_up:
                self._slow = False
            self._changed.notify_all()
        if read_up:
            self.caught_up()
        return taken

    def wait(self) -> list[bytes]:
        """As `take`, once there is something; empty when the box is closed and has been emptied."""
        with self._changed:
            self._changed.wait_for(lambda: self._bodies or self._closed)
        return self.take()

    def wait_for_room(self) -> None:
        """Wait until the box is not full, or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._size <= FULL or self._closed)

    @property
    def full(self) -> bool:
        """Whether nothing more should be read from the client."""
        return self._size > FULL and not self._closed

    def close(self) -> None:
        """Take no more messages; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.news()
