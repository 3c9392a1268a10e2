"""Git over a repository of our own, with no configuration but ours.

A hostile repository's configuration would run programs: even `git diff` executes a filter that it names.
Processes run in a few threads of their own.  asyncio's cost a thread each before Python 3.12, and from 3.11
on a loop that is closed while one starts may wait for ever (github.com/python/cpython/issues/125502).
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pygent import programs
from pygent.errors import PygentError

OPTIONS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.logAllRefUpdates=false",
    "core.looseCompression=1",
    "core.bigFileThreshold=32m",
    "advice.addEmbeddedRepo=false",
    "gc.auto=0",
    "gc.cruftPacks=false",
    "protocol.allow=never",
)
AT_ONCE = 3
"""How many of git's processes run at the same time: they are short, and all of one folder's disk."""


def available() -> bool:
    """Whether git is installed."""
    return programs.find("git") is not None


class GitFailed(PygentError):
    """Git refused; `said` is all that it said, with the names of files as the file system has them."""

    def __init__(self, command: str, said: str) -> None:
        words = " ".join(said.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
        super().__init__("conflict", f"git {command} failed: {words[:400]}.")
        self.said = said


class Git:
    """Runs git with the repository `folder`, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(
        self,
        *arguments: str,
        root: Path | None = None,
        index: Path | None = None,
        given: bytes | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """What git says, with a work tree, an index, input, and a limit of seconds where they are named.

        Cancelled, it returns when the process has ended.  Raises PygentError: `limit` after `timeout`,
        `unsupported` without git; GitFailed, which is a `conflict`.
        """
        process = _Process(self._command(arguments), self._environment(root, index), root or self._folder)
        running = _threads().submit(process.run, given, timeout)
        answer = asyncio.wrap_future(running)
        try:
            code, out, errors = await asyncio.shield(answer)
        except asyncio.CancelledError:
            if not running.cancel():
                process.kill()
                await asyncio.wait({answer})
            raise
        if code != 0:
            raise GitFailed(arguments[0], os.fsdecode(errors))
        return out

    def _command(self, arguments: Sequence[str]) -> list[str]:
        program = programs.find("git")
        if program is None:
            raise PygentError(
                "unsupported", "git is not installed, so there are no snapshots.", "Install git."
            )
        return [program, *(word for option in OPTIONS for word in ("-c", option)), *arguments]

    def _environment(self, root: Path | None, index: Path | None) -> dict[str, str]:
        return {
            "PATH": f"{Path(programs.find('git') or '/').parent}:/usr/bin:/bin",
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_DIR": str(self._folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **({} if root is None else {"GIT_WORK_TREE": str(root)}),
            **({} if index is None else {"GIT_INDEX_FILE": str(index)}),
        }


class _Process:
    """A process that another thread may kill at any time, also before it has begun."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._command, self._env, self._cwd = command, env, cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def run(self, given: bytes | None, timeout: float | None) -> tuple[int, bytes, bytes]:
        """Run it to its end: exit code, output and errors.  Raises PygentError."""
        try:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise PygentError("conflict", f"git can't be started: {error}.") from error
        if self._killed:
            self.kill()
        try:
            out, errors = self._process.communicate(given, timeout)
        except subprocess.TimeoutExpired as error:
            self.kill()
            self._process.communicate()
            raise PygentError("limit", f"git took longer than {timeout:g} s.") from error
        return self._process.returncode, out, errors

    def kill(self) -> None:
        """End it and what it has started."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except OSError:
                self._process.kill()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="git")
