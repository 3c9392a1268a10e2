"""What the blocking API has once per process: its event loop, and the settings that scripts named."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli

from pygent import files
from pygent.blocking import LoopThread
from pygent.config import Settings, load
from pygent.config.look import MAX_FILE
from pygent.errors import ConfigInvalid

_config: list[Path] = []
_snapshot: dict[str, str] = {}


@functools.cache
def loop_thread() -> LoopThread:
    """The process's loop, started at the first call."""
    return LoopThread()


def environ() -> Mapping[str, str]:
    """The environment as it is now, over what a loaded snapshot says."""
    return {**_snapshot, **os.environ}  # noqa: TID251 - scripts change it between calls


def config_file() -> Path | None:
    """The settings file that `load_config` named last; None for those of the folder."""
    return _config[-1] if _config else None


def settings() -> Settings:
    """The settings of the current folder, which is not trusted: it can't send the key elsewhere."""
    read = load(Path.cwd(), environ=environ(), home=Path.home(), config_file=config_file(), trusted=False)
    return read.settings


def load_config(path: str | Path | None = None) -> dict[str, Any]:
    """Use a settings file for every agent from now on, and return what it says.

    Without a path it is the current folder's `pygent.toml`, if there is one; the home folder's is used in
    any case.  The environment is stronger than the file, and is not changed.  Raises ConfigInvalid for a
    file that can't be read.
    """
    found = Path("pygent.toml") if path is None else Path(path)
    if path is None and not found.is_file():
        return {}
    read = _read(found)
    _config.append(found.resolve())
    return read


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomli.loads(files.read_chosen(path, MAX_FILE).decode())
    except OSError as error:
        raise ConfigInvalid(f"The settings file {path} can't be read: {error.strerror}.") from error
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: {error}.", "Correct the file.") from error


def load_snapshot(path: str | Path) -> Path:
    """Use a saved snapshot for every agent from now on: its workspace, conversation and settings.

    Returns the workspace's folder.  Settings of the environment are stronger; keys are never taken from a
    snapshot.  Raises ConfigInvalid if there is none.
    """
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise ConfigInvalid(f"There is no snapshot {folder}.", "Give the folder that /save made.")
    workspace = folder / "workspace"
    _snapshot.clear()
    _snapshot.update(PYGENT_SNAPSHOT=str(folder), PYGENT_WORKSPACE=str(workspace))
    if (folder / "history.json").is_file():
        _snapshot["PYGENT_HISTORY_FILE"] = str(folder / "history.json")
    return workspace
