"""What changes in folders, told by the kernel (inotify(7)): which folder got, lost or renamed which name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterator

CREATE, DELETE, FROM, TO = 0x100, 0x200, 0x40, 0x80
NAMES = CREATE | DELETE | FROM | TO
ONLYDIR, DONT_FOLLOW, EXCL_UNLINK = 0x01000000, 0x02000000, 0x04000000
OVERFLOW, IGNORED, ISDIR = 0x4000, 0x8000, 0x40000000
MOST_READS = 16
"""Reads that take in the whole queue (`max_queued_events`), but not what comes while they are made."""
HEADER = struct.Struct("iIII")


class Inotify:
    """A queue of changes.  Raises OSError where there is none to be had: `max_user_instances` is 128."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("inotify is Linux's")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.handle = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder: int) -> int:
        """Hear of a folder from now on, given by a handle; a number that stands for it.

        Raises OSError where too many are heard of (`max_user_watches`).
        """
        place = os.fsencode(f"/proc/self/fd/{folder}")
        return self._checked(self._libc.inotify_add_watch(self.handle, place, NAMES | ONLYDIR | EXCL_UNLINK))

    def drop(self, number: int) -> None:
        """Hear of a folder no more."""
        self._libc.inotify_rm_watch(self.handle, number)

    def changes(self) -> Iterator[tuple[int, int, str]]:
        """What happened since the last call: the folder's number, flags, and the name in it."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(MOST_READS):
                data = os.read(self.handle, 1 << 16)
                at = 0
                while at < len(data):
                    number, flags, _, size = HEADER.unpack_from(data, at)
                    at += HEADER.size + size
                    yield number, flags, os.fsdecode(data[at - size : at].rstrip(b"\0"))

    def close(self) -> None:
        """End it."""
        os.close(self.handle)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
