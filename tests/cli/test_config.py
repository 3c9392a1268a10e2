from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.program import Program

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
Pygent = Callable[..., Program]
DONE = Reply(text="Done.", times=0)


def test_check_says_in_order_only_when_nothing_was_found(pygent: Pygent, workspace: Path) -> None:
    program = pygent(DONE)
    checked = program("config", "check")
    assert (checked.stdout, checked.stderr, checked.returncode) == ("The settings are in order.\n", "", 0)
    (workspace / "pygent.toml").write_text('model = "m"\nmodle = "m"\n')
    (workspace / ".env").write_text("PYGENT_MODEL=x\n")
    checked = program("config", "check")
    assert (checked.stdout, checked.returncode) == ("Found 1 warning, 1 hint.\n", 0)
    assert (
        f"{workspace}/pygent.toml:2:1: warning: `modle` is no setting of Pygent.\n  Did you mean `model`?"
        in checked.stderr
    )
    assert "pygent.toml:1:1: hint: `model` is set by .env, line 1 as well" in checked.stderr


def test_an_error_is_exit_code_4_and_json_has_it_all(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text('max_tasks = "many"\nmodel = \napi_key = "sk-hunter2hunter2"\n')
    program = pygent(DONE)
    checked = program("config", "check")
    assert checked.returncode == 4
    assert "in order" not in checked.stdout
    found = program("config", "check", "--json")
    assert found.returncode == 4
    told = json.loads(found.stdout)
    assert [(one["code"], one["line"], one["severity"]) for one in told["diagnostics"]] == [
        ("badValue", 1, "error"),
        ("syntax", 2, "error"),
        ("secretInFile", 3, "error"),
    ]
    assert "hunter2" not in checked.stdout + checked.stderr + found.stdout + found.stderr


def test_a_relative_file_is_named_with_its_place(pygent: Pygent, workspace: Path) -> None:
    (workspace / "mine.toml").write_text("max_tasks = 7\n")
    program = pygent(DONE)
    shown = json.loads(program("--config", "mine.toml", "config", "--json").stdout)["values"]["max_tasks"]
    assert (shown["value"], shown["location"]["uri"]) == (7, (workspace / "mine.toml").as_uri())


def test_init_writes_a_file_once(pygent: Pygent, workspace: Path) -> None:
    program = pygent(DONE)
    assert program("config", "init").returncode == 0
    written = (workspace / "pygent.toml").read_text()
    assert "# max_tasks = 3\n" in written
    assert program("config", "check").stdout == "The settings are in order.\n"
    (workspace / "pygent.toml").write_text("mine")
    again = program("config", "init")
    assert again.returncode == 1
    assert "There is a pygent.toml already." in again.stderr
    assert "--force" in again.stderr
    assert (workspace / "pygent.toml").read_text() == "mine"
    assert program("config", "init", "--config", "other.toml").returncode == 0
    assert (workspace / "other.toml").read_text() == written
    nowhere = program("config", "init", "--config", "nowhere/x.toml")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (4, 1)


def test_init_overwrites_by_force_and_says_what(pygent: Pygent, workspace: Path) -> None:
    program, path = pygent(DONE), workspace / "pygent.toml"
    path.write_text('api_key = "hunter2hunter2"\nmax_tasks = 7\n[limits]\nsteps = 3\n')
    done = program("config", "init", "--force")
    assert done.returncode == 0
    assert "Overwriting pygent.toml, 60 bytes that set max_tasks, limits.steps." in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "# max_tasks = 3\n" in path.read_text()
    path.write_text("[[[")
    assert (
        "3 bytes that set nothing that can be read."
        in program("--config", str(path), "config", "init", "--force").stderr
    )
    path.unlink()
    assert "Overwriting" not in program("config", "init", "--force").stderr
    assert path.exists()
    path.unlink()
    path.mkdir()
    refused = program("config", "init", "--force")
    assert (refused.returncode, refused.stderr) == (
        4,
        "pygent: pygent.toml can't be written: Not a plain file.\n",
    )


def test_the_schema_is_printed_whole(pygent: Pygent) -> None:
    assert json.loads(pygent(DONE)("config", "schema").stdout)["title"] == "pygent.toml"
