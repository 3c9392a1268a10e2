"""How much of the machine's disks commands take (`sandbox.disk`).

No limit that is to be had without privileges covers many files, so their growth is watched.  Two cheap signs
are looked at all the time: what the processes wrote by the kernel's account (proc(5), `io`), and how much
less is free (statvfs(3)).  Either may be wrong: a file that is written over and over takes no more room, and
other programs fill the same disk.  Where a sign is seen the folders are measured; what can't be
measured is believed of both signs together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pygent import files
from pygent.config.values import size_text

LOOK = 0.1
"""Seconds between two looks."""
SLACK = 2.0
"""Seconds by which the clock of a file system may be behind ours."""
MEASURING = 3.0
"""Seconds that one measurement may take."""
PART = 16
"""A measurement is worth it once this part of the limit was perhaps added to what is known."""


class Disk:
    """The disks that one sandbox's commands write to.

    `kept` are folders of the sandbox itself, whose contents count from command to command and are thrown away
    when they are too much; `shared` are the person's, where what a command changes counts.
    """

    def __init__(self, limit: int, *, kept: Sequence[Path] = (), shared: Sequence[Path]) -> None:
        self.limit = limit
        self.kept, self.shared = kept, shared
        self.known = 0
        """Bytes in `kept` when they were last measured."""
        self.unsure = 0
        """Bytes that may have been added since."""
        self.running = 0
        """Commands; while one runs its `/tmp` stays."""

    def begin(self) -> Growth:
        """Watch one command."""
        return Growth(self)

    def free(self) -> dict[int, int]:
        """Free bytes by device."""
        found: dict[int, int] = {}
        for path in (*self.kept, *self.shared):
            with contextlib.suppress(OSError):
                disk = os.statvfs(path)
                found[path.stat().st_dev] = disk.f_bfree * disk.f_frsize
        return found

    def measure(self, since: float) -> tuple[int, bool]:
        """Bytes in `kept`, and those in `shared` that changed since a time; whether everything was seen."""
        total, whole = 0, True
        for folders, start in ((self.kept, 0.0), (self.shared, since)):
            for path in folders:
                size, complete = _usage(path, start, self.limit + 1)
                total, whole = total + size, whole and complete
        return total, whole

    def emptied(self, most: int) -> bool:
        """Measure `kept`, and empty it if it holds more than `most` bytes; whether it did."""
        self.unsure = 0
        self.known = sum(_usage(path, 0.0, self.limit + 1)[0] for path in self.kept)
        if self.known <= most:
            return False
        for path in self.kept:
            _empty(path)
        self.known = 0
        return True


class Growth:
    """What one command adds."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.running += 1
        self._since = time.time() - SLACK
        self._free = disk.free()
        self._written = 0
        self._due = max(disk.limit - disk.known, disk.limit // PART)
        self._measuring: asyncio.Future[tuple[int, bool]] | None = None
        self._ended = False

    @property
    def words(self) -> str:
        """Why the command was ended."""
        return f"It was ended because it wrote more than {size_text(self._disk.limit)} (sandbox.disk)."

    def over(self, pids: Sequence[int]) -> bool:
        """Look once whether the command, as far as its processes are known, has added more than it may."""
        self._ended = self._ended or self._is_over(pids)
        return self._ended

    def _is_over(self, pids: Sequence[int]) -> bool:
        limit, fallen = self._disk.limit, self._fallen()
        self._written = max(self._written, _written(pids))
        if self._measuring is None:
            if max(self._written, fallen) > self._due:
                self._due = max(self._written, fallen) + limit // PART
                self._measuring = asyncio.ensure_future(asyncio.to_thread(self._disk.measure, self._since))
            return False
        if not self._measuring.done():
            return False
        (measured, whole), self._measuring = self._measuring.result(), None
        both = min(self._written, fallen) > limit
        return measured + _removed(pids, self._free) > limit or (both and not whole)

    async def exceeded(self, pids: Callable[[], Sequence[int]]) -> None:
        """Come back when the command, whose processes can be asked for, has added more than it may."""
        await asyncio.sleep(LOOK)  # most commands have ended by then
        while not self.over(pids()):  # noqa: ASYNC110 - no event tells of a fuller disk
            await asyncio.sleep(LOOK)

    def end(self) -> None:
        """Stop watching."""
        self._disk.running -= 1

    async def settled(self) -> str:
        """Take stock after the command; what there is to say about it."""
        disk, fallen = self._disk, self._fallen()
        disk.unsure += max(self._written, fallen)
        said, over = "", self._ended
        if not over and fallen > disk.limit:  # so fast that no look saw it
            over = (await asyncio.to_thread(disk.measure, self._since))[0] > disk.limit
            said = f"It wrote more than {size_text(disk.limit)} (sandbox.disk). " if over else ""
        if not disk.kept or disk.running or disk.unsure <= disk.limit // PART:
            return said.strip()
        if await asyncio.to_thread(disk.emptied, disk.limit // 2 if over else disk.limit):
            said += "What was in /tmp and in the home folder of the sandbox was too much, and is removed."
        return said.strip()

    def _fallen(self) -> int:
        """How many bytes less are free."""
        free = self._disk.free()
        return sum(max(0, before - free.get(device, before)) for device, before in self._free.items())


def _usage(folder: Path, since: float, enough: int) -> tuple[int, bool]:
    """Bytes on disk of what changed in a folder since a time, or `enough`; whether everything was seen."""
    total, seen, whole, end = 0, set[int](), True, time.monotonic() + MEASURING
    with contextlib.suppress(FileNotFoundError):
        for status in files.walk(folder):
            if status is None:
                whole = False
            elif status.st_ctime >= since and status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
            if total >= enough or time.monotonic() > end:
                return total, False
    return total, whole


def _written(pids: Iterable[int]) -> int:
    """Bytes that processes, and those of their children that have ended, wrote to disks and left there."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            account = Path(f"/proc/{pid}/io").read_bytes().split()
            total += int(account[11]) - int(account[13])  # write_bytes, cancelled_write_bytes
    return total


def _removed(pids: Iterable[int], devices: Iterable[int]) -> int:
    """Bytes of files that processes hold open although they were removed."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for handle in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    found = handle.stat()
                    if stat.S_ISREG(found.st_mode) and found.st_nlink == 0 and found.st_dev in devices:
                        sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def remove(folder: Path) -> None:
    """Remove a folder that commands filled.

    `rm` copes with a depth at which Python runs out of handles.  Folders that their owner may not open are
    opened first.
    """
    for argv in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if not folder.exists():
            break
        subprocess.run(
            [*argv, "--", folder],
            cwd="/",
            env={"PATH": "/usr/bin:/bin:/run/current-system/sw/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _empty(folder: Path) -> None:
    """Put an empty folder in the place of one that commands filled."""
    status, old = folder.stat(), folder.with_name(f"{folder.name}.old")
    folder.rename(old)
    folder.mkdir()
    os.chown(folder, status.st_uid, status.st_gid)
    folder.chmod(stat.S_IMODE(status.st_mode))
    remove(old)
