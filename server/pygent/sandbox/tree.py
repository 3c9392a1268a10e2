"""Finding and ending everything that a command started.

Standard library only: the same text runs in the server for local commands and inside a container as a
part of its first process.  A descendant can leave its process group and session, but not its line of
parents while they live; once they die it comes to the nearest subreaper, which is us, and still carries
the command's mark in its environment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable

MARK = "PYGENT_COMMAND"


def become_subreaper() -> bool:
    """Let orphans of commands come to this process; False where the kernel has no such thing."""
    try:
        import ctypes  # noqa: PLC0415 - ten milliseconds, once

        return bool(ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def conceal() -> bool:
    """Keep this process's memory and environment from commands that run as the same user.

    An undumpable process can be read and traced only with capabilities that nobody but root has (ptrace(2),
    proc(5)).  False where the kernel has no such thing.
    """
    try:
        import ctypes  # noqa: PLC0415 - ten milliseconds, once

        return bool(ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0)  # PR_SET_DUMPABLE
    except (ImportError, OSError, AttributeError):
        return False


def children(pid: int) -> list[int]:
    """The children of a process, by any of its threads; empty where the kernel does not tell."""
    found: list[int] = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread), "rb") as file:
                found += [int(child) for child in file.read().split()]
    except OSError:
        pass
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    found: dict[int, None] = {}
    queue = [pid]
    while queue:
        new = [child for child in children(queue.pop()) if child not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return list(found)


def session_and_state(pid: int) -> tuple[int, str]:
    """The session of a process and its state letter (`Z` once it has ended); (0, "") when it is gone."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[3]), fields[0].decode()
    except (OSError, IndexError, ValueError):
        return 0, ""


def marked(pid: int) -> str:
    """The mark of the command that a process comes from; empty if it has none that can be read."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return ""
    start = (MARK + "=").encode()
    return next((entry[len(start) :].decode() for entry in entries if entry.startswith(start)), "")


def orphans(mark: str, leaders: Collection[int], alone: bool) -> list[int]:
    """Adopted children that come from the command of `mark`; those that have ended are reaped.

    `leaders` are the commands' first processes, which others wait for.  `alone` says that no other command
    runs, so that an orphan without a mark is this command's too.  Children in our own session are not
    commands' at all.
    """
    own, found = os.getsid(0), list[int]()
    for pid in children(os.getpid()):
        if pid in leaders:
            continue
        session, state = session_and_state(pid)
        if session == own:
            continue
        if state == "Z":
            _reap(pid)
        elif marked(pid) == mark or (alone and not marked(pid)):
            found.append(pid)
    return found


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def group_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def end(leader: int, mark: str, leaders: Collection[int], alone: bool) -> int:
    """Kill what is left of a command; returns how many processes that were.

    Everything is stopped before it is killed, so that nothing can fork away in between.
    """
    killed: set[int] = set()
    for _ in range(25):
        roots = orphans(mark, leaders, alone)
        tree = set(roots) | set(descendants(leader))
        for root in roots:
            tree |= set(descendants(root))
        tree = {pid for pid in tree if session_and_state(pid)[1] not in ("Z", "")}
        if not tree and not (group_alive(leader) and leader not in killed):
            break
        send(tree, signal.SIGSTOP)
        send(tree, signal.SIGKILL)
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass
        killed |= tree | {leader}
    orphans(mark, leaders, alone)
    return len(killed - {leader})


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        pass
