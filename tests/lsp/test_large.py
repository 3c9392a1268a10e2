"""A workspace of ten thousand files: given to a task, compared, taken over, undone."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.test_delegation import DONE, FREE, bash, ended
from tests.lsp.wire import editor

FILES, FOLDERS, BIG = 10_000, 100, 40 << 20
CHANGE = "echo more >> d1/f1.py; rm d2/f2.py; mv d3/f3.py d3/moved.py; head -c 9 big.bin > cut.bin"
GIVEN = f"test ! -e build && test ! -e .git && {CHANGE} && echo '  it is all here'"


def filled(workspace: Path) -> None:
    """A repository with many files, a big one, and what is ignored."""
    for n in range(FILES):
        place = workspace / f"d{n % FOLDERS}"
        place.mkdir(exist_ok=True)
        (place / f"f{n}.py").write_text(f"value = {n}\n")
    (workspace / "big.bin").write_bytes(os.urandom(1 << 16) * (BIG >> 16))
    (workspace / "build").mkdir()
    (workspace / "build/out.o").write_bytes(bytes(1000))
    (workspace / ".gitignore").write_text("build/\n")
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)


def contents(folder: Path) -> dict[str, str]:
    """Every file with a digest of what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.e2e
async def test_ten_thousand_files_are_given_and_taken_over(workspace: Path) -> None:
    filled(workspace)
    before = contents(workspace)
    replies = bash("work", GIVEN), bash("here", CHANGE), DONE
    async with editor(workspace, *replies, events=True, **FREE) as wire:
        task = (await wire.command("pygent.delegate", prompt="work"))["task"]
        done = await ended(wire, task["id"])
        assert done["status"] == "completed"
        told: Any = wire.model.requests[-1]["messages"]  # type: ignore[attr-defined]
        assert "it is all here" in told[-1]["content"]
        given = contents(Path(task["workspace"]))
        assert {path for path in before if before[path] != given.get(path)} == {
            *("d1/f1.py", "d2/f2.py", "d3/f3.py", "build/out.o")
        }
        assert contents(workspace) == before
        listed = (await wire.command("pygent.task.diff", taskId=task["id"]))["files"]
        assert [(one["path"], one["kind"]) for one in listed] == [
            ("cut.bin", "created"),
            ("d1/f1.py", "edited"),
            ("d2/f2.py", "deleted"),
            ("d3/f3.py", "deleted"),
            ("d3/moved.py", "created"),
        ]
        applied = await wire.command("pygent.task.apply", taskId=task["id"])
        assert applied["conflicts"] == []
        assert contents(workspace) == {**given, "build/out.o": before["build/out.o"]}
        # A turn in the folder itself does the same to what is there now, and is taken back.
        now = contents(workspace)
        (workspace / "d2/f2.py").write_text("again\n")
        (workspace / "d3/f3.py").write_text("again\n")
        turn = await wire.command("pygent.chat", text="here")
        assert turn["status"] == "completed"
        assert contents(workspace) != now
        undone = await wire.command("pygent.undo", sessionId=turn["sessionId"])
        assert undone["restored"]
        assert [one for one in undone["files"] if one.get("conflict")] == []
        again = hashlib.sha1(b"again\n").hexdigest()
        assert contents(workspace) == {**now, "d2/f2.py": again, "d3/f3.py": again}
