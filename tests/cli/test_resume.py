"""`--resume`: the latest session or one by its id, its beginning or its end, in every mode and after a crash."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Pygent
from tests.cli.program import Program, lines

from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e

SLOW = Reply(
    match=Match(first="work"),
    tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "touch begun; sleep 600"})],
)
STEP = ScriptedCall(name="bash", arguments={"cmd": "echo {{step}}"})


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """What the model was sent, a request a line."""
    return tmp_path / "journal"


@pytest.fixture
def program(pygent: Pygent) -> Program:
    steps = Reply(match=Match(first="steps"), tool_calls=[STEP], times=3)
    return pygent(SLOW, steps, Reply(text="Reply {{step}}.", times=0))


def sent(journal: Path) -> list[dict]:
    """The messages of the last request."""
    return json.loads(journal.read_text().splitlines()[-1])["messages"]


def said(journal: Path) -> list[str]:
    return [message["content"] for message in sent(journal) if message["role"] == "user"]


def session_of(program: Program, *words: str) -> str:
    done = program("--cwd", "--no-confirm-bash", "--json", "run", *words)
    return str(lines(done.stdout)[-1]["sessionId"])


def test_a_turn_that_was_killed_goes_on_without_a_further_word(
    program: Program, workspace: Path, journal: Path
) -> None:
    running = program.start("--cwd", "--no-confirm-bash", "run", "work")
    while not (workspace / "begun").exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    done = program("--cwd", "--no-confirm-bash", "--resume", "run")
    assert (done.returncode, done.stdout) == (0, "Reply 2.\n"), done.stderr
    *_, call, result = sent(journal)
    assert call["tool_calls"][0]["function"]["name"] == "bash"
    assert "Interrupted" in result["content"]
    assert result["content"].endswith("Go on where you stopped.")


def test_a_turn_that_paused_goes_on_with_a_new_budget(program: Program, workspace: Path) -> None:
    (workspace.parent / "two.toml").write_text("[limits]\nsteps = 2\n")
    flags = ("--cwd", "--no-confirm-bash", "--config", str(workspace.parent / "two.toml"))
    paused = program(*flags, "run", "steps")
    assert paused.returncode == 124
    assert "limit of 2 steps" in paused.stderr
    assert "--resume ses_" in paused.stderr
    done = program(*flags, "--resume", "run")
    assert (done.returncode, done.stdout) == (0, "Reply 4.\n"), done.stderr


def test_a_session_is_found_by_its_id_its_beginning_or_its_end(program: Program, journal: Path) -> None:
    first = session_of(program, "alpha")
    second = session_of(program, "beta")
    for word, text in ((first, "alpha"), (first[-8:], "alpha"), (second[:-1], "beta")):
        done = program("--cwd", f"--resume={word}", "--json", "run", "more")
        assert done.returncode == 0, done.stderr
        assert said(journal)[0] == text
    done = program("--cwd", "--resume", "and", "then")
    assert done.returncode == 0
    assert said(journal)[-1] == "and then"


@pytest.mark.parametrize(
    ("flags", "words", "code"),
    [
        (["--resume=ses_"], "several sessions with 'ses_'", 1),
        (["--resume=nothing"], "no session with 'nothing'", 1),
        (["--resume"], "its last turn is completed", 2),
    ],
)
def test_what_can_not_be_resumed_is_said(program: Program, flags: list[str], words: str, code: int) -> None:
    session_of(program, "alpha")
    session_of(program, "beta")
    done = program("--cwd", *flags, "run")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_there_is_no_session_yet(program: Program) -> None:
    done = program("--cwd", "--resume", "run")
    assert done.returncode == 1
    assert "no session of this folder" in done.stderr
