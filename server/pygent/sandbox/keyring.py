"""A session keyring of their own for commands, so that the keys of whoever started us are not theirs.

Keys in a session keyring (Kerberos tickets, passwords of network drives, disk encryption) are read by every
process that inherits it, in whatever namespaces (session-keyring(7)).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

JOIN_SESSION_KEYRING = 1
KEYCTL = {
    "x86_64": 250,
    "i686": 288,
    "armv7l": 311,
    "ppc64le": 271,
    "s390x": 280,
    **dict.fromkeys(("aarch64", "riscv64", "loongarch64"), 219),
}
"""The number of keyctl(2) by `uname -m`; the C library has no function for it."""


def _join() -> None:
    """Give this thread a new keyring; without effect where the kernel has none."""
    if (number := KEYCTL.get(platform.machine())) is not None:
        import ctypes  # noqa: PLC0415 - ten milliseconds, once

        ctypes.CDLL(None).syscall(number, JOIN_SESSION_KEYRING, None)


_apart = ThreadPoolExecutor(1, "pygent-commands", initializer=_join)
"""One thread that lives as long as we do: credentials are a thread's, and bubblewrap's processes end with the
thread that started them (prctl(2), PR_SET_PDEATHSIG)."""


def with_own(start: Callable[[], Result]) -> Result:
    """Call a function so that the processes it starts have a session keyring that nobody else has."""
    return _apart.submit(start).result()
