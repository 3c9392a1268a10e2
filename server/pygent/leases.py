"""Who lives: a process's claim to what it runs, which ends with the process and by nothing else."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class Owner:
    """This process's claim to life: a locked file that the system unlocks when the process dies.

    A lock needs no clock and no heartbeat, and a reused process number can't be taken for the owner.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.token = secrets.token_hex(8)
        handle = os.open(folder / self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(handle, "w")
        _try_lock(self._file.fileno())

    def alive(self, token: str) -> bool:
        """Whether the process that holds this token still runs."""
        if token == self.token:
            return True
        path = self._folder / token
        try:
            with path.open("r+") as file:
                if not _try_lock(file.fileno()):
                    return True
        except FileNotFoundError:
            return False
        except OSError:  # such as too many open files: who can't be asked is not dead
            return True
        path.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        """Give up every claim."""
        self._file.close()
        (self._folder / self.token).unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    """Lock a file for this process unless another one holds it."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        import msvcrt  # noqa: PLC0415 - only on Windows

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
