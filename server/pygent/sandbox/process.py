"""Commands as direct children of this process: how local and bubblewrap run them.

Spawned without a thread or a helper process, read by the event loop, ended as a tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pygent.config.settings import SandboxSettings
from pygent.config.values import size_text
from pygent.errors import SandboxUnavailable
from pygent.sandbox import CommandResult, keyring, tree
from pygent.sandbox.disk import LOOK, Disk, Growth
from pygent.sandbox.output import Output
from pygent.sandbox.shell import asked

CHUNK = 256 * 1024
DRAIN = 0.1
"""Seconds that output is waited for after the command itself has ended: a process that it left running
must not keep the call open."""
GRACE = 0.5
"""Seconds between the polite signal and the last."""

PAGE = os.sysconf("SC_PAGE_SIZE")

_leaders: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Spawn:
    """A command ready to start.

    `owner` is the user to become, None for our own.  `contained` says that the command's processes end with
    it by themselves, so that what is seen of them afterwards is not worth a word.  `limits` are looked
    after as far as the kernel does not enforce them.  `own_keys` gives it a session keyring of its own.
    `disk` watches what it writes.  `handles` stay open in the command's first program.
    """

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    owner: tuple[int, int] | None = None
    contained: bool = False
    limits: SandboxSettings = field(default_factory=SandboxSettings)
    handles: Sequence[int] = ()
    own_keys: bool = False
    disk: Disk | None = None


Watch: TypeAlias = Callable[[Callable[[str], None]], AbstractContextManager[None]]
"""Looks after something while a command runs, and ends it with a reason."""


async def run_process(
    spawn: Spawn,
    *,
    output: Output,
    mark: str,
    timeout: float | None,
    watch: Watch = lambda _: contextlib.nullcontext(),
) -> CommandResult:
    """Run a command to its end, as `Sandbox.run`; `mark` is a name of its own for its processes.

    Raises SandboxUnavailable when it can't be started.
    """
    began = time.monotonic()
    command = _start(spawn, mark, output)
    growth = spawn.disk.begin() if spawn.disk is not None else None
    limiting = asyncio.create_task(command.watch(spawn.limits, growth))
    try:
        with watch(command.end_at_once):
            timed_out = not await command.ended(timeout)
            if timed_out:
                await command.ask_to_end()
            else:
                await command.drained()
    finally:
        limiting.cancel()
        left = command.end()
        if growth is not None:
            growth.end()
    if timed_out:
        await command.ended(GRACE)
        await command.drained()
    said = await growth.settled() if growth is not None else ""
    why = " ".join(filter(None, [command.ended_for, said]))
    return result(output, began, None if timed_out else command.exit_code, left, why)


def result(
    output: Output, began: float, exit_code: int | None, left: int, ended_for: str = ""
) -> CommandResult:
    """The record of an ended command: None for a time limit; `left` counts the processes it left.

    `ended_for` says in a sentence why we ended it, if not for the time limit.
    """
    text, full = output.finish()
    hints = [ended_for] if ended_for else []
    if exit_code != 0 and asked(text):
        hints.append("It seems to have asked for input, and there is none: answer with its flags or a pipe.")
    if full is not None:
        hints.append(f"The output is shortened; read_file pages the whole of it: {full}")
    if left and exit_code is not None:
        what = "A process that was" if left == 1 else f"{left} processes that were"
        hints.append(f"{what} left running in the background ended with the command.")
    return CommandResult(
        output=text,
        timed_out=exit_code is None,
        truncated=full is not None,
        duration_ms=round((time.monotonic() - began) * 1000),
        exit_code=exit_code,
        full_output=full,
        hint=" ".join(hints) or None,
    )


class _Command:
    """A running command, watched by the event loop."""

    def __init__(
        self, process: subprocess.Popen[bytes], pipe: int, mark: str, output: Output, contained: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._pipe = pipe
        self._mark = mark
        self._output = output
        self._contained = contained
        self._closed = self._loop.create_future()
        self._ended = self._loop.create_future()
        self._pidfd = -1
        self.ended_for = ""
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)
        self._watch()

    @property
    def exit_code(self) -> int:
        """The code as a shell gives it: 128 and the number for a signal."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    async def ended(self, timeout: float | None) -> bool:
        """Wait for the first process to end; False if it did not in time."""
        await asyncio.wait([self._ended], timeout=timeout)
        return self._ended.done()

    async def drained(self) -> None:
        """Wait for the rest of the output, for a moment."""
        if not self._closed.done():
            await asyncio.wait([self._closed], timeout=DRAIN)

    async def ask_to_end(self) -> None:
        """Give the processes a chance to end by themselves."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGTERM)
        await self.ended(GRACE)

    async def watch(self, limits: SandboxSettings, growth: Growth | None) -> None:
        """End the command when its processes together use more than they may.

        No limit without privileges covers the memory of a tree, and none the number of root's processes.
        """
        while not self.ended_for:
            await asyncio.sleep(LOOK)
            pids = [self._process.pid, *tree.descendants(self._process.pid)]
            if len(pids) > limits.pids + 4:  # the sandbox's own among them
                self.ended_for = (
                    f"It was ended because it had more than {limits.pids} processes (sandbox.pids)."
                )
            elif _memory(pids) > limits.memory:
                size = size_text(limits.memory)
                self.ended_for = f"It was ended because it used more than {size} of memory (sandbox.memory)."
            elif growth is not None and growth.over(pids):
                self.ended_for = growth.words
        self._kill()

    def end_at_once(self, reason: str) -> None:
        """Kill it, with what it has said and nobody has read: that may be what it must not know."""
        self.ended_for = reason
        self._kill()
        self._close()

    def end(self) -> int:
        """Kill whatever is left and stop watching; returns how many processes that were."""
        pid = self._process.pid
        left = self._kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        _leaders.pop(pid, None)
        if not self._closed.done():
            self._read()
        self._close()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        return left

    def _kill(self) -> int:
        """Kill every process; returns how many others than the first that were, where that can be known."""
        pid = self._process.pid
        if not self._contained:
            return tree.end(pid, self._mark, _leaders, len(_leaders) == 1)
        # The first process inside takes its whole namespace with it, at once (pid_namespaces(7)).
        tree.send([*tree.children(pid), pid], signal.SIGKILL)
        return 0

    def _watch(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            waiting = self._loop.run_in_executor(None, self._process.wait)
            waiting.add_done_callback(lambda _: self._reap())
        else:
            self._loop.add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        if self._process.poll() is not None and not self._ended.done():
            self._ended.set_result(None)

    def _read(self) -> None:
        if self._pipe < 0:
            return
        try:
            data = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return
        if data:
            self._output.feed(data)
        else:
            self._close()

    def _close(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        if not self._closed.done():
            self._closed.set_result(None)


def _start(spawn: Spawn, mark: str, output: Output) -> _Command:
    if not _leaders:
        _become_subreaper()
    reading, writing = os.pipe()
    owner = spawn.owner

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            spawn.argv,
            cwd=spawn.cwd,
            env={**spawn.env, tree.MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            user=None if owner is None else owner[0],
            group=None if owner is None else owner[1],
            extra_groups=None if owner is None else [],
            pass_fds=spawn.handles,
        )

    try:
        process = keyring.with_own(start) if spawn.own_keys else start()
    except (OSError, ValueError) as error:
        os.close(reading)
        raise SandboxUnavailable(f"The command can't be started: {error}.") from error
    finally:
        os.close(writing)
    _leaders[process.pid] = process
    return _Command(process, reading, mark, output, spawn.contained)


def _memory(pids: Sequence[int]) -> int:
    """Bytes that processes have for themselves."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/statm").read_bytes().split()
            pages += int(fields[1]) - int(fields[2])
    return pages * PAGE


_subreaper: list[bool] = []


def _become_subreaper() -> None:
    if not _subreaper:
        _subreaper.append(tree.become_subreaper())
