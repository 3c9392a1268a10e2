"""A control group for root's commands, whose number no resource limit binds (setrlimit(2), RLIMIT_NPROC)."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

ROOTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
"""Where the `pids` controller is: version 1 of control groups, version 2."""
PREFIX = "pygent-"
ENTER = 'echo 0 > "$0" && exec "$@"'


class Cgroup:
    """A group whose processes together are at most so many."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def make(cls, processes: int) -> Cgroup | None:
        """A new group; None for anybody but root, and where the kernel gives none (as in most containers)."""
        if os.geteuid() != 0:
            return None
        for root in ROOTS:
            _remove_abandoned(root)
            folder = root / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
            with contextlib.suppress(OSError):
                folder.mkdir()
                try:
                    (folder / "pids.max").write_text(str(processes))
                except OSError:
                    folder.rmdir()
                    raise
                return cls(folder)
        return None

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command that joins the group and then becomes `argv`."""
        return ["/bin/sh", "-c", ENTER, str(self._folder / "cgroup.procs"), *argv]

    def close(self) -> bool:
        """Remove the group; False while a process is still in it."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()
        return not self._folder.exists()


def _remove_abandoned(root: Path) -> None:
    """Remove the groups of processes that were killed before they could."""
    for folder in root.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            Cgroup(folder).close()
