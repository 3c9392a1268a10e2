"""Where the agent's commands run: Docker, bubblewrap or the local machine, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pygent.records import Isolation, Wire

NO_SANDBOX = "NO SANDBOX: commands run directly on this machine."
STRENGTH: tuple[Isolation, ...] = ("local", "landlock", "bubblewrap", "docker")
"""The kinds of isolation, the weakest first."""


class CommandResult(Wire, frozen=True, kw_only=True):
    """How a command ended.

    `output` is stdout and stderr in the order of arrival, decoded tolerantly, without terminal escapes,
    capped with head and tail; where it was cut, `full_output` names a file with all of it.
    `exit_code` is None when the command was killed by the time limit.  `duration_ms` is wall clock.
    """

    output: str
    timed_out: bool
    truncated: bool
    duration_ms: int
    exit_code: int | None = None
    full_output: str | None = None
    hint: str | None = None


class SandboxStatus(Wire, frozen=True, kw_only=True):
    """What isolation commands get, and why (`pygent.sandbox.status`).

    `outside` are the paths outside of the workspace that commands may change.
    """

    requested: str
    effective: Isolation
    network: bool
    workspace: str
    limits: dict[str, str]
    reason: str | None = None
    image: str | None = None
    container_id: str | None = None
    outside: tuple[str, ...] = ()


OnOutput = Callable[[str], None]
Report = Callable[[str], None]


class Sandbox(Protocol):
    """Runs commands in the workspace.  One sandbox serves one workspace."""

    @property
    def kind(self) -> Isolation:
        """Which isolation this is."""

    @property
    def workdir(self) -> str:
        """The workspace's path as commands see it (`/workspace` in Docker)."""

    @property
    def overlapping(self) -> bool:
        """Whether commands may run at the same time; otherwise each waits for the one before."""

    def status(self) -> SandboxStatus:
        """The facts for people; no waiting."""

    async def start(self) -> None:
        """Get ready, as far as that is not done; the first command does it otherwise.

        Raises SandboxUnavailable.
        """

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
        """Run a shell command to its end.

        `timeout` in seconds kills the whole process tree; cancelling the calling task does the same and
        lets CancelledError through.  `on_output` gets cleaned text as it is produced.  `outputs` is where an
        output too long for the model is kept whole.  `background` says that people go on working beside it:
        it is ended when a file with secrets comes up that it could read.  `on_notice` hears what became of
        protected files meanwhile, also of a call that is cancelled.
        Raises SandboxUnavailable when the sandbox itself fails.
        """

    async def close(self) -> None:
        """End every process and container of this sandbox; may be called twice."""


__all__ = ["NO_SANDBOX", "STRENGTH", "CommandResult", "OnOutput", "Report", "Sandbox", "SandboxStatus"]
