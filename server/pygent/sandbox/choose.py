"""Which sandbox: what the person asked for, or the best there is, said once and clearly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pygent import programs
from pygent.config import Settings
from pygent.errors import SandboxUnavailable
from pygent.sandbox import NO_SANDBOX, Report, Sandbox, tree
from pygent.sandbox.bubblewrap import BubblewrapSandbox
from pygent.sandbox.docker import DockerSandbox
from pygent.sandbox.engine import connect
from pygent.sandbox.landlock import LandlockSandbox
from pygent.sandbox.local import LocalSandbox
from pygent.sandbox.profile import Profile

PROBE = 2
"""Seconds in which an engine must answer to be chosen by `auto`."""


async def open_sandbox(
    settings: Settings, root: Path, *, environ: Mapping[str, str], report: Report, state: Path
) -> Sandbox:
    """The sandbox that the settings ask for.

    `use_docker` 1 is Docker or nothing; 0 is bubblewrap, or plain local where that does not work; `auto`
    tries Docker first.  `report` hears of each step down and of waiting, in whole sentences.
    Raises SandboxUnavailable.
    """
    tree.conceal()
    profile = Profile.of(settings, root, state, environ)
    programs.avoid(root, *settings.sandbox.writable_paths)
    wanted = profile.requested
    if wanted == "0":
        return await _without_docker(profile, "Docker is switched off", report)
    docker = DockerSandbox(replace(profile, reason=None if wanted == "1" else "Docker is available."), report)
    try:
        if wanted == "auto":
            await asyncio.to_thread(connect, environ, PROBE)
        await docker.start()
    except SandboxUnavailable as error:
        if wanted == "1":
            raise SandboxUnavailable(
                f"PYGENT_USE_DOCKER=1, but {_lower(error.message)}",
                " ".join([error.fix or "", "PYGENT_USE_DOCKER=auto takes the next best sandbox."]).strip(),
            ) from error
        return await _without_docker(profile, error.message.rstrip("."), report)
    _tell_own_files(profile, report, kept=True)
    return docker


async def _without_docker(profile: Profile, why: str, report: Report) -> Sandbox:
    try:
        sandbox = BubblewrapSandbox(replace(profile, reason=f"{why}."), report)
        await sandbox.start()
    except SandboxUnavailable as error:
        return await _without_namespaces(profile, f"{why}; {_lower(error.message).rstrip('.')}", report)
    report(f"Commands run in a bubblewrap sandbox. {why}.")
    _tell_own_files(profile, report, kept=True)
    return sandbox


async def _without_namespaces(profile: Profile, why: str, report: Report) -> Sandbox:
    try:
        sandbox = LandlockSandbox(replace(profile, reason=f"{why}."), report)
        await sandbox.start()
    except SandboxUnavailable as error:
        reason = f"{why}; {_lower(error.message)}"
        report(f"{NO_SANDBOX} {reason}")
        local = LocalSandbox(replace(profile, reason=reason))
        await local.start()
        _tell_own_files(profile, report, kept=False)
        return local
    report(f"Commands run under Landlock and seccomp. {why}.")
    _tell_own_files(profile, report, kept=False)
    return sandbox


def _tell_own_files(profile: Profile, report: Report, *, kept: bool) -> None:
    """Say that commands could change the server's own code, or why they can't."""
    opened = profile.limits.writable_paths
    own = programs.own_files(profile.root)
    exposed = [path for path in own if not kept or any(one == path or one in path.parents for one in opened)]
    if exposed:
        report(
            f"Pygent itself is installed in this workspace ({_names(exposed)}), and nothing keeps commands "
            "from changing it: what they write there runs outside of any sandbox. Install it elsewhere, for "
            "example with `pipx install pygent-server`."
        )
    elif own:
        report(
            f"Pygent itself is installed in this workspace ({_names(own)}): commands see that read-only. "
            "Install it elsewhere, or name the folder in sandbox.writable_paths if you must."
        )


def _names(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def _lower(sentence: str) -> str:
    """A sentence that goes on after a comma; names keep their capital."""
    first, _, rest = sentence.partition(" ")
    return f"{first.lower()} {rest}" if first in ("The", "There", "A", "No") else sentence
