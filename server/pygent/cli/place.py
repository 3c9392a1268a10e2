"""Where the agent works: the folder whose settings count, and the workspace."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pygent.app import App
from pygent.cli.grammar import UsageError
from pygent.config import Config, Layers, Standing, Trust
from pygent.errors import PygentError
from pygent.folder import Folder
from pygent.paths import state_folder
from pygent.saved import check_source
from pygent.workspace import check_root


@dataclass(frozen=True, slots=True)
class Place:
    """An open App with its folder; `temporary` is the workspace that is removed at the end."""

    app: App
    folder: Folder
    temporary: Path | None


@contextlib.contextmanager
def place(
    given: argparse.Namespace,
    environ: Mapping[str, str],
    ask: Callable[[Config], bool] | None = None,
) -> Iterator[Place]:
    """Open the App of a command line; a temporary workspace goes when the block ends.

    The workspace is the one of `--workspace` or `--cwd`, else that of the settings, else a fresh one.
    `ask` is whether the folder's files are trusted, where they want what only a trusted folder gets.
    Raises PygentError and UsageError.
    """
    if given.load is not None:
        given.load = str(check_source(Path(given.load).expanduser()))
    environ = {**environ, **_variables(given.env)}
    home = Path(environ.get("HOME") or Path.home())
    root, flags, temporary = Path.cwd(), _flags(given), None
    if given.workspace:
        root = Path(given.workspace).expanduser()
        root.mkdir(parents=True, exist_ok=True)
        root = root.resolve()
        flags["workspace"] = str(root)
    elif given.cwd:
        flags["workspace"] = str(root)
    layers = Layers(environ, home, flags, given.config and given.config.absolute())
    config = _settings(root, layers, given, ask)
    if "workspace" not in flags and config.settings.workspace is None:
        temporary = Path(tempfile.mkdtemp(prefix="pygent-workspace-"))
        flags["workspace"] = str(temporary)
    try:
        app = App(environ=environ, home=home, flags=flags, config_file=given.config, trust=given.trust)
        yield Place(app, _folder(app, root, temporary, given.ban_cmd), temporary)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _settings(
    root: Path, layers: Layers, given: argparse.Namespace, ask: Callable[[Config], bool] | None
) -> Config:
    """The settings of a folder, before anything is done with them; with the person's word if they give it."""
    standing = Standing(root.resolve(), layers, Trust(state_folder()), sure=given.trust)
    config = standing.load(None)
    waits = any(value.origin.layer != "snapshot" for value in config.withheld)
    if ask is None or not waits or not _can_be_workspace(root, layers.home) or not ask(config):
        return config
    standing.accept(standing.look, keep=True)
    return standing.load(config)


def _can_be_workspace(root: Path, home: Path) -> bool:
    try:
        check_root(root, home)
    except PygentError:
        return False
    return True


@contextlib.asynccontextmanager
async def opened(given: argparse.Namespace, environ: Mapping[str, str]) -> AsyncIterator[Place]:
    """The current folder's App, without a fresh workspace: these commands look at what is there."""
    given.cwd = not given.workspace
    with place(given, environ) as where:
        try:
            yield where
        finally:
            await where.app.close()


def _folder(app: App, root: Path, temporary: Path | None, banned: list[str]) -> Folder:
    try:
        folder = app.sessions.folder(root)
    except PygentError:
        if temporary is None:
            raise
        # The home folder can't be a workspace, but a fresh one may be used from there.
        folder = app.sessions.folder(temporary)
    if banned:  # in addition to what the settings ban, never in its place
        known = folder.settings.banned_commands
        folder.launch.flags["banned_commands"] = [*known, *banned]
        folder.reload()
    return folder


def _flags(given: argparse.Namespace) -> dict[str, object]:
    flags: dict[str, object] = {
        "model": given.model,
        "confirm_bash": given.confirm_bash,
        "snapshot": given.load,
        "use_docker": None if given.docker is None else str(int(given.docker)),
    }
    return {key: value for key, value in flags.items() if value is not None}


def _variables(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"-e takes NAME=VALUE, not {pair!r}")
        found[name] = value
    return found
