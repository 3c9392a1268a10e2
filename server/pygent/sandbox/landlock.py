"""Commands under Landlock and seccomp by the library `sandlock`, for where no namespaces are to be had.

It confines by paths alone, so that within the workspace nothing can be kept read-only, `.git` neither.  Its
other mode, which maps paths, could: programs such as gcc and git break in it (sandlock 0.9).  A command costs
the start of a Python more than in bubblewrap.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pygent.errors import SandboxUnavailable
from pygent.records import Isolation
from pygent.sandbox import CommandResult, OnOutput, Report, SandboxStatus, credentials
from pygent.sandbox.environment import environment
from pygent.sandbox.guards import Guards
from pygent.sandbox.host import ETC, ETC_FOLDERS, Private, disk_of, tools
from pygent.sandbox.local import owner_of
from pygent.sandbox.output import Output
from pygent.sandbox.owner import new_mark, reap
from pygent.sandbox.process import Spawn, run_process
from pygent.sandbox.profile import Profile
from pygent.sandbox.shell import limited, set_up, told
from pygent.sandbox.survey import Taken

LAUNCHER = Path(__file__).with_name("confined.py")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/dev/random", "/dev/urandom", "/dev/zero")
NAMES = ("passwd", "group", "nsswitch.conf", "hosts")
DEVICES = ("/dev/null", "/dev/full")
SHELL = ("/bin/sh", "-c", '"$@"; exit $?', "sh", "/bin/bash", "-c")
"""A shell around the command's, which tells a signal by its exit code as the library does not."""


class LandlockSandbox:
    """Runs each command confined by `sandlock`.  Raises SandboxUnavailable without it."""

    kind: Isolation = "landlock"
    overlapping = True

    def __init__(self, profile: Profile, report: Report) -> None:
        if importlib.util.find_spec("sandlock") is None:
            raise SandboxUnavailable(
                "sandlock, which confines by Landlock, is not installed.",
                "pip install 'pygent-server[landlock]'",
            )
        self.workdir = str(profile.root)
        self._profile = profile
        self._report = report
        self._owner = owner_of(profile.root)
        self._guards = Guards(profile, confined=False)
        self._credentials: list[Path] | None = None
        self._private = Private(network=profile.limits.network, owner=self._owner)
        self._disk = disk_of(profile, self._private)
        own = {"HOME": f"{self._private.path}/home", "TMPDIR": f"{self._private.path}/tmp"}
        # Of a system configuration that may not be opened git makes an error.
        self._env = {**environment(profile, "landlock"), **own, "GIT_CONFIG_NOSYSTEM": "1"}
        self._env["PATH"] = ":".join(filter(self._within_reach, self._env["PATH"].split(":")))

    def status(self) -> SandboxStatus:
        """The facts for people."""
        return self._profile.status("landlock", self.workdir, "memory", "processes", "fileSize", "disk")

    async def start(self) -> None:
        """End what the dead left, and try a command: the kernel may be too old."""
        reap()
        if self._profile.limits.network:
            self._report("Commands share this machine's network under Landlock, with its local services.")
        try:
            done = await self.run("true", timeout=20)
            if done.exit_code != 0:
                last = (done.output.strip().splitlines() or ["no answer"])[-1]
                raise SandboxUnavailable(
                    f"Landlock does not work here: {last[:300]}.", "It needs Linux 6.12 or later."
                )
            await set_up(self._profile, lambda command, limit: self.run(command, timeout=limit), self._report)
        except BaseException:
            await self.close()
            raise

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
        env: Mapping[str, str] | None = None,
        outputs: Path | None = None,
        background: bool = False,
        on_notice: OnOutput | None = None,
    ) -> CommandResult:
        """Run a shell command, as `Sandbox.run`."""
        if self._credentials is None:
            self._credentials = await asyncio.to_thread(credentials.within, tools(self._profile))
        line = limited(command, self._profile, processes=False)
        taken = await self._guards.look()
        user = "" if self._owner is None else "{}:{}".format(*self._owner)
        argv = [sys.executable, "-I", str(LAUNCHER), user, json.dumps(self._policy(taken)), *SHELL, line]
        spawn = Spawn(
            argv,
            Path("/"),
            {**self._env, **(env or {})},
            limits=self._profile.limits,
            own_keys=True,
            disk=self._disk,
        )
        mark = new_mark()
        place = outputs or self._profile.outputs
        output = Output(place, mark.rpartition(":")[2], on_output, self._profile.secret)
        watch = partial(self._guards.watching, taken, background=background, on_notice=on_notice)
        done = await run_process(spawn, output=output, mark=mark, timeout=timeout, watch=watch)
        return told(command, done)

    async def close(self) -> None:
        """Remove the private folders."""
        self._guards.close()
        await self._private.remove()

    def _within_reach(self, folder: str) -> bool:
        """Whether programs in a folder can be started: one that is seen and can't ends a shell's search."""
        read, _ = self._profile.outside()
        roots = [*map(Path, SYSTEM), *tools(self._profile), *read.values(), self._profile.root]
        return any(root == Path(folder) or root in Path(folder).parents for root in roots)

    def _policy(self, taken: Taken) -> dict[str, Any]:
        """The arguments of `sandlock.Sandbox`."""
        place, limits = self._private.path, self._profile.limits
        hidden = (f"{self.workdir}/{name}" for name in taken.hidden)
        read, write = self._profile.outside()
        etc = (f"/etc/{name}" for name in (*ETC, *ETC_FOLDERS, *NAMES, *(["resolv.conf"] * limits.network)))
        seen = [*SYSTEM, *etc, *map(str, tools(self._profile)), *map(str, read.values())]
        return {
            "cwd": self.workdir,
            "fs_readable": seen,
            "fs_writable": [
                self.workdir,
                f"{place}/tmp",
                f"{place}/home",
                *DEVICES,
                *map(str, write.values()),
            ],
            "fs_denied": [*hidden, *map(str, self._credentials or [])],
            "net_allow": ["*:*", "udp://*:*"] if limits.network else [],
            "net_allow_bind": ["*"] if limits.network else [],
            "max_processes": limits.pids,
            "cpu_cores": list(range(min(math.ceil(limits.cpus), os.cpu_count() or 1))),
            "no_coredump": True,
        }
