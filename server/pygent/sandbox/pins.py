"""Mounts for bubblewrap of exactly what was looked at, whatever takes its place under that name."""

from __future__ import annotations

import errno
import functools
import os
import subprocess
from pathlib import Path

from pygent import files
from pygent.errors import SandboxUnavailable


class Pins:
    """Handles that are open until the end of a command, or of a sandbox; for a bwrap that takes them."""

    def __init__(self, program: str) -> None:
        self._by_handle = takes_handles(program)
        self.handles: list[int] = []

    def __enter__(self) -> Pins:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bind(self, place: Path, root: Path, target: str, *, writable: bool) -> list[str]:
        """The arguments that mount what lies at a place below `root`; none if nothing does any more.
        Raises SandboxUnavailable.

        bwrap mounts by name what a handle is on, compares the two and ends if they are not the same.  One
        that can't mounts by name, a moment after the look.
        """
        try:
            handle = files.pinned(place, root)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return []
            raise SandboxUnavailable(
                f"{place} can't be looked at for the sandbox: {error.strerror}.",
                "Raise the limit of open files (ulimit -n)." if error.errno == errno.EMFILE else None,
            ) from error
        self.handles.append(handle)
        option = "--bind" if writable else "--ro-bind"
        if not self._by_handle:
            return [option, str(place), target]
        return [f"{option}-fd", str(handle), target]

    def close(self) -> None:
        """Close them."""
        while self.handles:
            os.close(self.handles.pop())


@functools.cache
def takes_handles(program: str) -> bool:
    """Whether a bwrap mounts by handle: since 0.10, and older ones that Debian and Ubuntu have mended."""
    said = subprocess.run([program, "--help"], capture_output=True, check=False, cwd="/", env={})
    return b"--ro-bind-fd" in said.stdout + said.stderr
