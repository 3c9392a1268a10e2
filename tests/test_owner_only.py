"""What Pygent writes for itself is its owner's alone, whatever the umask and whatever was there before."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
from pathlib import Path

import pytest
from tests.conftest import python
from tests.story import call

from pygent.files import private
from pygent.logs import LogFile
from pygent.replay import ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
LONG = "for n in $(seq 9000); do echo a line of output $n; done"
NOT_OURS = ("objects", "refs", "info", "container")
"""Below these lie git's own files, and what is mounted into containers: closed by the folder above them."""


def open_to_others(folder: Path) -> list[str]:
    """What below a folder its group or others may look at, by mode."""
    found = []
    for path in [folder, *folder.rglob("*")]:
        below = path.relative_to(folder).parts
        if below[:1] == ("shadow.git",) or set(below) & set(NOT_OURS) or path.is_symlink():
            continue
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and not (path.is_dir() and len(below) > 1):
            found.append(f"{path} {path.stat().st_mode:o}")
    return found


async def run(workspace: Path, umask: int, **env: str) -> subprocess.CompletedProcess[str]:
    """A turn of `pygent run` that keeps a long output."""
    replies = [call("bash", cmd=LONG), Reply(text="Done.", times=0)]
    async with ReplayServer(Script(replies=replies)) as model:
        own = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-owner-only", "PYGENT_USE_DOCKER": "0"}
        return await asyncio.to_thread(
            subprocess.run,
            python("-m", "pygent.cli", "--cwd", "--no-confirm-bash", "run", "go"),
            cwd=workspace,
            env={**os.environ, **own, **env},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
async def test_nothing_is_open_to_others(workspace: Path, home: Path, tmp_path: Path, umask: int) -> None:
    log = tmp_path / "logs" / "session.log"
    done = await run(workspace, umask, PYGENT_LOG_FILE=str(log))
    assert done.returncode == 0, done.stderr
    state = home / "state" / "pygent"
    assert (state / "pygent.db").exists()
    assert list((state / "outputs").rglob("*.txt"))
    assert open_to_others(state) == []
    assert open_to_others(log.parent) == []


async def test_what_was_open_before_is_closed(workspace: Path, home: Path, tmp_path: Path) -> None:
    state, log = home / "state" / "pygent", tmp_path / "session.log"
    state.mkdir(parents=True)
    for path in (state / "pygent.log", log):
        path.write_text("older\n")
        path.chmod(0o666)
    state.chmod(0o755)
    done = await run(workspace, 0, PYGENT_LOG_FILE=str(log))
    assert done.returncode == 0, done.stderr
    assert open_to_others(state) == []
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert log.read_text().startswith("older\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("program", [["pygent.cli", "--cwd", "run", "go"], ["pygent.cli", "sessions"]])
def test_a_state_folder_of_somebody_else_is_refused(workspace: Path, state: Path, program: list[str]) -> None:
    os.chown(state, 65534, 65534)
    done = subprocess.run(
        python("-m", *program), cwd=workspace, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"The state folder {state} belongs to another user (number 65534)." in done.stderr
    assert "XDG_STATE_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(state.iterdir()) == []


def test_a_private_file_is_reached_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o644)
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        for append in (True, False):
            with pytest.raises(OSError):
                private(tmp_path / name, append=append)
    assert victim.read_text() == "mine"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644


def test_a_log_in_the_workspace_follows_no_folder_that_became_a_link(workspace: Path, tmp_path: Path) -> None:
    """A command swaps the log's folder for a link while the log is written, and it begins anew."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.log").write_text("theirs")
    log = LogFile(workspace / "logs" / "run.log", workspace)
    (workspace / "logs").rename(workspace / "old")
    (workspace / "logs").symlink_to(outside)
    record = logging.LogRecord("pygent", logging.INFO, __file__, 1, "words", (), None)
    log.emit(record)
    with pytest.raises(OSError):
        log.doRollover()
    assert sorted(path.name for path in outside.iterdir()) == ["run.log"]
    assert (outside / "run.log").read_text() == "theirs"
    assert "words" in (workspace / "old" / "run.log").read_text()


def test_a_log_that_begins_anew_keeps_the_old_ones_closed(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        log = LogFile(tmp_path / "run.log")
        for number in range(6):
            log.emit(logging.LogRecord("pygent", logging.INFO, __file__, 1, f"words {number}", (), None))
            log.doRollover()
        log.close()
    finally:
        os.umask(old)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run.log",
        *(f"run.log.{n}" for n in (1, 2, 3)),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert "words 5" in (tmp_path / "run.log.1").read_text()
