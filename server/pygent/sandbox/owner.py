"""Who made a container or started a command: what the dead left is told from what the living use."""

from __future__ import annotations

import os
import platform
import signal
import sys
from pathlib import Path

from pygent.sandbox import tree


def process_identity(pid: int) -> str | None:
    """What names a process on this machine for ever: its id and start time; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()}:{boot}:{pid}:{fields[19].decode()}"
    except (OSError, IndexError):
        return f"{platform.node()}:::" if sys.platform != "linux" else None


def abandoned(owner: str) -> bool:
    """Whether the process of an identity is surely dead: on this machine, and no longer there."""
    host, _, rest = owner.partition(":")
    fields = rest.split(":")
    if host != platform.node() or len(fields) != 3 or not fields[1].isdigit():
        return False
    return process_identity(int(fields[1])) != owner


def new_mark() -> str:
    """A mark for a command's processes that tells later whose they were."""
    return f"{process_identity(os.getpid())}:{os.urandom(8).hex()}"


def reap() -> int:
    """End what commands of dead owners left running on this machine; returns how many processes that were."""
    try:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return 0
    left = [pid for pid in pids if abandoned(tree.marked(pid).rpartition(":")[0])]
    tree.send(left, signal.SIGSTOP)
    tree.send(left, signal.SIGKILL)
    return len(left)
