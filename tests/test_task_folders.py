"""Folders that go while somebody looks, kills and power cuts: never half a folder, never a file of a person's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.conftest import python
from tests.story import call, story
from tests.test_takeover import DONE, delegated

from pygent import delegation
from pygent.errors import PygentError
from pygent.task_folders import GONE

FILES = 2000


def fill(workspace: Path) -> None:
    for n in range(FILES):
        (workspace / f"file{n}").write_text(f"{n}\n")


async def test_taking_over_while_the_task_is_deleted_deletes_nothing(workspace: Path, state: Path) -> None:
    """The task's folder goes while another process takes its snapshot."""
    fill(workspace)
    replies = [call("bash", cmd="echo x > made; for f in file*; do echo y >> $f; done"), DONE]
    async with story(workspace, *replies * 4, state=state) as tale:
        async with story(workspace, state=state) as other:
            for round_number in range(4):
                task = await delegated(tale)
                for path in Path(task.workspace).iterdir():
                    path.touch()  # so that each is read
                applying = asyncio.create_task(other.app.tasks.results.apply(task.id))
                await asyncio.sleep(0.004 * round_number)  # in other moments of the snapshot
                assert await tale.app.tasks.delete(task.id)
                with contextlib.suppress(PygentError):
                    await applying
                assert len(list(workspace.glob("file*"))) == FILES
        assert list((state / "tasks").iterdir()) == []


async def test_a_folder_that_was_half_removed_is_not_taken_for_work(workspace: Path, state: Path) -> None:
    """As a process leaves it that is killed while it removes a task's folder."""
    fill(workspace)
    async with story(workspace, call("bash", cmd="echo x > made"), DONE, state=state) as tale:
        task = await delegated(tale)
        gone = tale.app.tasks._folders.set_aside(task)
        assert (await tale.app.tasks.results.apply(task.id)).applied == ["made"]
        assert await tale.app.tasks.delete(task.id)
        assert gone.exists()
        assert len(list(workspace.glob("file*"))) == FILES


async def test_what_killed_processes_left_goes_after_a_day(
    workspace: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegation, "CLEAN_AFTER", 0)
    async with story(workspace, DONE, state=state) as tale:
        task = await delegated(tale)
        places = [state / "tasks" / name for name in ("tsk_1", "tsk_2", f"tsk_3{GONE}", f"tsk_4{GONE}")]
        for place in [*places, Path(task.workspace).parent]:
            (place / "workspace/sub").mkdir(parents=True, exist_ok=True)
            (place / "workspace/sub/file").touch()
        for place in [*places[::2], Path(task.workspace).parent]:
            os.utime(place, (time.time() - 2 * 86400,) * 2)
        await tale.app.tasks.clean()
        left = {place.name for place in (state / "tasks").iterdir()}
        assert left == {task.id, "tsk_2", f"tsk_4{GONE}"}


REMOVE = """
import asyncio, pathlib, sys
from pygent.task_folders import remove
asyncio.run(remove(pathlib.Path(sys.argv[1])))
"""


def test_folders_that_were_made_read_only_go_too(tmp_path: Path) -> None:
    inner = tmp_path / "gone/workspace/sub"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (inner / "link").symlink_to(outside)
    inner.chmod(0o500)
    inner.parent.chmod(0)
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    subprocess.run([*plain, *python("-c", REMOVE, str(tmp_path / "gone"))], check=True)
    assert not (tmp_path / "gone").exists()
    assert outside.stat().st_mode & 0o777 == 0o755
