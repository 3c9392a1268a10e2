"""Commands directly on the person's machine: no confinement, only order."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pygent.events import Isolation
from pygent.sandbox import CommandResult, OnOutput, SandboxStatus
from pygent.sandbox.environment import environment
from pygent.sandbox.output import Output
from pygent.sandbox.process import Spawn, run_process


def owner_of(root: Path) -> tuple[int, int] | None:
    """The user to become when root works for somebody else; None to stay who we are."""
    status = root.stat()
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 != status.st_uid else None


class LocalSandbox:
    """Runs commands as the person; `reason` says why nothing better is used."""

    kind: Isolation = "local"

    def __init__(
        self,
        root: Path,
        *,
        requested: str,
        reason: str,
        environ: Mapping[str, str],
        state: Path,
        secret: str | None = None,
    ) -> None:
        self.workdir = str(root)
        self._root = root
        self._requested = requested
        self._reason = reason
        self._outputs = state / "outputs"
        self._secret = secret
        self._env = environment(environ, "local", network=True)
        self._env |= {
            name: environ[name] for name in ("HOME", "USER", "LOGNAME", "TMPDIR") if name in environ
        }
        self._shell = next(
            (shell for shell in ("/bin/bash", "/usr/bin/bash") if Path(shell).exists()), "/bin/sh"
        )

    def status(self) -> SandboxStatus:
        """The facts for people."""
        return SandboxStatus(
            requested=self._requested,
            effective="local",
            reason=self._reason,
            network=True,
            workspace=self.workdir,
            limits={},
        )

    async def start(self) -> None:
        """Nothing to get ready."""

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a shell command, as `Sandbox.run`."""
        spawn = Spawn(
            [self._shell, "-c", command], self._root, {**self._env, **(env or {})}, owner_of(self._root)
        )
        mark = secrets.token_hex(8)
        output = Output(self._outputs, mark, on_output, self._secret)
        return await run_process(spawn, output=output, mark=mark, timeout=timeout)

    async def close(self) -> None:
        """Commands end with their calls: nothing is left."""
