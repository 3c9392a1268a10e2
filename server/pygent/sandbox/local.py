"""Commands directly on the person's machine: no confinement, only order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pygent.records import Isolation
from pygent.sandbox import CommandResult, OnOutput, SandboxStatus
from pygent.sandbox.disk import Disk
from pygent.sandbox.environment import environment
from pygent.sandbox.guards import Guards
from pygent.sandbox.output import Output
from pygent.sandbox.owner import new_mark, reap
from pygent.sandbox.process import Spawn, run_process
from pygent.sandbox.profile import Profile
from pygent.sandbox.shell import limited


def owner_of(root: Path) -> tuple[int, int] | None:
    """The user to become when root works for somebody else; None to stay who we are."""
    status = root.stat()
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 != status.st_uid else None


class LocalSandbox:
    """Runs commands as the person; the profile's `reason` says why nothing better is used."""

    kind: Isolation = "local"
    overlapping = True

    def __init__(self, profile: Profile) -> None:
        self.workdir = str(profile.root)
        self._profile = profile
        self._guards = Guards(profile, confined=False)
        self._disk = Disk(profile.limits.disk, shared=(profile.root,))
        self._env = environment(profile, "local")
        self._env |= {
            name: value
            for name in ("HOME", "USER", "LOGNAME", "TMPDIR")
            if (value := profile.environ.get(name))
        }
        self._shell = next(
            (shell for shell in ("/bin/bash", "/usr/bin/bash") if Path(shell).exists()), "/bin/sh"
        )

    def status(self) -> SandboxStatus:
        """The facts for people."""
        return self._profile.status(
            "local", self.workdir, "memory", "processes", "fileSize", "disk", network=True
        )

    async def start(self) -> None:
        """End what the commands of a killed server left running."""
        reap()

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
        root = self._profile.root
        line = limited(command, self._profile, processes=False)
        spawn = Spawn(
            [self._shell, "-c", line],
            root,
            {**self._env, **(env or {})},
            owner_of(root),
            limits=self._profile.limits,
            disk=self._disk,
        )
        mark = new_mark()
        place = outputs or self._profile.outputs
        output = Output(place, mark.rpartition(":")[2], on_output, self._profile.secret)
        taken = await self._guards.look()
        watch = partial(self._guards.watching, taken, background=background, on_notice=on_notice)
        return await run_process(spawn, output=output, mark=mark, timeout=timeout, watch=watch)

    async def close(self) -> None:
        """Commands end with their calls: nothing is left of them."""
        self._guards.close()
