"""What the commands of one workspace may reach and use, whatever isolates them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

from pygent.config import Settings
from pygent.config.settings import SandboxSettings
from pygent.config.values import size_text
from pygent.programs import within
from pygent.records import Isolation
from pygent.sandbox import SandboxStatus

SECRET_NAMES = ("*KEY*", "*TOKEN*", "*SECRET*", "*PASS*", "*CREDENTIAL*", "*AUTH*", "*SOCK*")
"""Variables that a pattern in `sandbox.env` never takes; naming one in full does."""

NEVER = ("OPENAI_API_KEY", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV")
"""Variables that no command gets: our own key, and those that would change the sandbox's own programs."""


MOST_LINKS = 40
"""Links on the way of one path, as the kernel has it."""

Mounts: TypeAlias = dict[Path, Path]
"""The places of the host by their names in the sandbox."""


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

    def outside(self, report: Callable[[str], None] = lambda _: None) -> tuple[Mounts, Mounts]:
        """Paths outside the workspace that commands may read, and those that they may change too.

        By the name that commands know, with the real place; `report` hears of those that are left out
        because a command could have put another place there.
        """
        writable = [self.root, *self.limits.writable_paths]
        found: list[Mounts] = []
        for key in ("read_only_paths", "writable_paths"):
            mounts: Mounts = {}
            for path in getattr(self.limits, key):
                place = None if self._within(path) else _real(path, writable)
                if place is not None and place.exists():
                    mounts[path] = place
                elif place is None and not self._within(path):
                    report(
                        f"{path} in sandbox.{key} leads through a link in a folder that commands can change: "
                        "it is left out. Name the real path."
                    )
            found.append(mounts)
        return found[0], found[1]

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
            "disk": size_text(self.limits.disk),
        }
        return {name: words[name] for name in names}

    def _within(self, path: Path) -> bool:
        return path != self.root and self.root in path.parents


def _real(path: Path, writable: Sequence[Path]) -> Path | None:
    """The place that a path leads to; None if a link on the way lies where commands can write."""
    place, parts, links = Path("/"), list(path.parts[1:]), 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            place = place.parent
        elif not (place / part).is_symlink():
            place /= part
        elif within(place, writable) or (links := links + 1) > MOST_LINKS:
            return None
        else:
            target = (place / part).readlink()
            place = Path("/") if target.is_absolute() else place
            parts = [*target.parts[target.is_absolute() :], *parts]
    return place


def _named(name: str, wanted: str) -> bool:
    if name == wanted:
        return True
    return fnmatchcase(name, wanted) and not any(fnmatchcase(name.upper(), one) for one in SECRET_NAMES)
