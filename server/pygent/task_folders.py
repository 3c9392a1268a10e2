"""The folders of delegated tasks: where they are, and how they go, so that half of one is never seen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from pygent import file_trees
from pygent.errors import PygentError
from pygent.records import Task, new_id
from pygent.shadow import Shadow

GONE = ".gone"
"""The end of the name of a folder that is being removed."""
DAY = 24 * 60 * 60.0


class TaskFolders:
    """The folders of every task of a state folder."""

    def __init__(self, state: Path, shadow: Shadow) -> None:
        self._folder = state / "tasks"
        self._shadow = shadow

    def place(self, task_id: str) -> Path:
        """Where a task works, once it has begun."""
        return self._folder / task_id / "workspace"

    def set_aside(self, task: Task) -> Path:
        """Take a task's folder from its place, at once; returns where it is until `remove` is done with it.

        Half a folder would look as if the task had deleted the rest, and be taken over so.
        Raises PygentError `conflict`.
        """
        place = Path(task.workspace)
        gone = self._folder / f"{new_id('tsk')}{GONE}"
        try:
            with contextlib.suppress(FileNotFoundError):
                place.parent.rename(gone)
        except OSError as error:
            raise PygentError("conflict", f"{place.parent} can't be removed: {error.strerror}.") from error
        self._shadow.forget(place)
        return gone

    async def remove_strays(self, known: Callable[[str], bool]) -> None:
        """Remove what a killed process left a day ago or earlier, with a task half made or half gone.

        `known` says whether there is a task of an id.
        """
        for folder in self._folder.glob("*"):
            if (folder.suffix == GONE or not known(folder.name)) and older(folder, DAY):
                await remove(folder)


async def remove(folder: Path) -> None:
    """Remove a folder and all in it, also what an agent's commands made read-only."""
    await asyncio.to_thread(file_trees.remove_tree, folder, folder.parent)


def older(path: Path, seconds: float) -> bool:
    """Whether a file was last changed longer ago than that, or never; a clock may have gone back since."""
    return not path.exists() or abs(time.time() - path.stat().st_mtime) > seconds
