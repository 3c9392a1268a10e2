"""`pygent tasks` as people and scripts use it: odd names, patches for git, ids in short, what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.program import Program
from tests.story import call, story

from pygent.cli.console import named
from pygent.delegation import DelegateRequest
from pygent.events import ToolStarted
from pygent.replay import Reply

Pygent = Callable[..., Program]
DONE = Reply(text="Done.", times=0)
WORK = r"""
printf y > "$(printf 'bad\377name')"; printf z > 'new
line'; touch -- -rf; printf '\000\001' > binary; printf 'a\r\nB\r\n' > dos; printf '\344\n' > latin1
"""


@pytest.fixture
def worked(pygent: Pygent, workspace: Path) -> Program:
    """A program with one task that has ended."""
    (workspace / "dos").write_bytes(b"a\r\nb\r\n")
    program = pygent(call("bash", cmd=WORK), DONE)
    assert program("delegate", "--cwd", "--no-confirm-bash", "work").returncode == 0
    return program


def task_id(program: Program) -> str:
    return str(json.loads(program("tasks", "--json").stdout)["tasks"][0]["id"])


def test_names_that_are_no_utf_8_are_told_and_can_be_named(worked: Program, workspace: Path) -> None:
    task = task_id(worked)
    shown = json.loads(worked("tasks", "diff", task, "--json").stdout)["files"]
    assert {"bad�name", "new\nline"} <= {file["path"] for file in shown}
    done = json.loads(worked("tasks", "apply", task, "--preview", "--json").stdout)
    assert done["conflicts"] == []
    preview = worked("tasks", "apply", task, "--preview").stdout.splitlines()
    assert sorted(preview) == sorted(["-rf", r"$'bad\xffname'", r"$'new\nline'", "binary", "dos", "latin1"])
    assert worked("tasks", "apply", task, "--path", "bad�name").returncode == 0
    assert (workspace / os.fsdecode(b"bad\xffname")).read_text() == "y"
    assert not (workspace / "binary").exists()


@pytest.mark.parametrize(
    "name", [b"a\nb", b"it's\n", b"\xff0", b"back\\slash\t", "ä\u200b".encode(), b"plain"]
)
def test_an_odd_name_is_shown_as_a_shell_takes_it(name: bytes) -> None:
    word = named(os.fsdecode(name))
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert said == name or word == os.fsdecode(name)
    assert "\n" not in word


def test_a_diff_that_goes_to_a_program_is_what_git_applies(worked: Program, workspace: Path) -> None:
    """To the byte: line ends, other encodings, binary files."""
    task = task_id(worked)
    command = worked.start("tasks", "diff", task)
    assert command.stdout is not None
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    subprocess.run(["git", "apply", "-"], cwd=workspace, stdin=command.stdout, check=True)
    command.communicate(timeout=30)
    made = {path.name: path.read_bytes() for path in workspace.iterdir() if path.is_file()}
    assert made == {
        os.fsdecode(b"bad\xffname"): b"y",
        "new\nline": b"z",
        "-rf": b"",
        "binary": b"\0\1",
        "dos": b"a\r\nB\r\n",
        "latin1": b"\xe4\n",
    }


def test_a_task_is_found_by_a_part_of_its_id(worked: Program) -> None:
    task = task_id(worked)
    for word in (task, task[:9], task[-4:]):
        assert f"id               {task}" in worked("tasks", "show", word).stdout
    assert worked("delegate", "--cwd", "--no-confirm-bash", "work").returncode == 0
    many = worked("tasks", "cancel", "tsk_")
    assert (many.returncode, many.stdout) == (1, "")
    assert "There are 2 tasks with 'tsk_' in the id" in many.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", ""], 2, "the id of a task is empty"),
        (["cancel", "b"], 1, "There is no task b"),
        (["log", "{}", "{}"], 2, "tasks log needs one task"),
        (["list", "{}"], 2, "tasks list takes no task"),
        (["apply", "{}", "--path", "nope"], 1, "did not change nope"),
        (["send", "{}"], 2, "what to say"),
        (["collect", "{}"], 2, "--path FILE"),
    ],
)
def test_what_is_refused_is_said(worked: Program, words: list[str], code: int, said: str) -> None:
    task = task_id(worked)
    refused = worked("tasks", *(word.format(task) for word in words))
    assert (refused.returncode, refused.stdout) == (code, "")
    assert said in refused.stderr
    assert refused.stderr.count("\n") <= 2


@pytest.mark.parametrize(("columns", "short"), [(100, False), (40, True)])
async def test_the_table_shows_first_what_waits_and_runs(
    pygent: Pygent, workspace: Path, state: Path, columns: int, short: bool
) -> None:
    """A line for each task and the title cut, however long, wide or odd it is."""
    title = "日本語 🎉🎉 [red]x[/red] " * 3
    async with story(workspace, call("bash", cmd="sleep 60"), state=state, max_tasks=1) as tale:
        tasks = [
            await tale.app.tasks.delegate(DelegateRequest(f"{n} {title}", tale.folder)) for n in range(60)
        ]
        await tale.person.until(ToolStarted)
        table = pygent(DONE).terminal("--cwd", "tasks", columns=columns, lines=12)
        await asyncio.to_thread(table.until, "52 more")
        head, *rows, foot = [line for line in table.emulator.display if line.strip()]
        assert head.split()[-1] == "title"
        assert [row.split()[0] for row in rows] == [task.id[-8:] if short else task.id for task in tasks[:8]]
        assert [row.split()[1] for row in rows] == ["running", *["queued,"] * 7]
        assert foot.startswith("52 more · Ctrl-C leaves")
        table.type("\x03")
        assert await asyncio.to_thread(table.wait) == 0
