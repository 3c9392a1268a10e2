"""What the commands of one workspace may reach and use, whatever isolates them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pygent.config import Settings
from pygent.config.settings import SandboxSettings
from pygent.config.values import size_text
from pygent.records import Isolation
from pygent.sandbox import SandboxStatus
from pygent.workspace import PROTECTED, SECRETS

SECRET_NAMES = ("*KEY*", "*TOKEN*", "*SECRET*", "*PASS*", "*CREDENTIAL*", "*AUTH*", "*SOCK*")
"""Variables that a pattern in `sandbox.env` never takes; naming one in full does."""

NEVER = ("OPENAI_API_KEY", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV")
"""Variables that no command gets: our own key, and those that would change the sandbox's own programs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that `sandbox/` needs to know.

    `requested` is the person's word on Docker, `reason` why this isolation was taken.  `state` is our
    state folder; `secret` must not be in any output.
    """

    root: Path
    state: Path
    environ: Mapping[str, str]
    requested: str = "auto"
    reason: str | None = None
    image: str = ""
    secret: str | None = None
    limits: SandboxSettings = field(default_factory=SandboxSettings)

    @classmethod
    def of(cls, settings: Settings, root: Path, state: Path, environ: Mapping[str, str]) -> Profile:
        """The profile that settings ask for."""
        return cls(
            root=root,
            state=state,
            environ=environ,
            requested=settings.use_docker,
            image=settings.image,
            secret=settings.api_key,
            limits=settings.sandbox,
        )

    @property
    def outputs(self) -> Path:
        """Where whole outputs are kept that were too long for the model."""
        return self.state / "outputs"

    def guarded(self) -> tuple[list[Path], list[Path]]:
        """Entries of the workspace that commands must not change, and files that they must not read.

        Only what exists: a mount on a missing path would leave an empty file in the person's folder.
        """
        opened = {str(path) for path in self.limits.writable_paths}
        kept = [f"{self.root}/{name}" for name in PROTECTED]
        kept += [str(path) for path in self.limits.read_only_paths if self._within(path)]
        return (
            [Path(path) for path in kept if path not in opened and stat.S_IFMT(_mode(path)) in _PLAIN],
            [path for name in SECRETS if stat.S_ISREG(_mode(str(path := self.root / name)))],
        )

    def outside(self) -> tuple[list[Path], list[Path]]:
        """Paths outside the workspace that commands may read, and those that they may change too."""
        read = [path for path in self.limits.read_only_paths if not self._within(path) and path.exists()]
        write = [path for path in self.limits.writable_paths if not self._within(path) and path.exists()]
        return read, write

    def variables(self) -> dict[str, str]:
        """The variables that `sandbox.env` passes on."""
        return {
            name: value
            for name, value in self.environ.items()
            if name not in NEVER and any(_named(name, wanted) for wanted in self.limits.env)
        }

    def status(self, effective: Isolation, workspace: str, *limits: str, **more: Any) -> SandboxStatus:
        """The facts for people; `limits` names those that this kind keeps, `more` are facts of its own."""
        facts = {"network": self.limits.network, **more}
        return SandboxStatus(
            requested=self.requested,
            effective=effective,
            reason=self.reason,
            workspace=workspace,
            limits=self.describe(*limits),
            outside=tuple(map(str, self.outside()[1])),
            **facts,
        )

    def describe(self, *names: str) -> dict[str, str]:
        """Those of the limits that are in force, in words for people."""
        words = {
            "memory": size_text(self.limits.memory),
            "cpus": f"{min(self.limits.cpus, os.cpu_count() or 1):g}",
            "processes": str(self.limits.pids),
            "fileSize": size_text(self.limits.file_size),
        }
        return {name: words[name] for name in names}

    def _within(self, path: Path) -> bool:
        return path != self.root and self.root in path.parents


_PLAIN = (stat.S_IFREG, stat.S_IFDIR)


def _mode(path: str) -> int:
    """The mode of an entry itself; 0 where there is none."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _named(name: str, wanted: str) -> bool:
    if name == wanted:
        return True
    return fnmatchcase(name, wanted) and not any(fnmatchcase(name.upper(), one) for one in SECRET_NAMES)
