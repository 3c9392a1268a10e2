"""`pygent` from a shell: answers, exit codes, JSON, and what goes where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from tests.cli.conftest import Pygent
from tests.cli.program import lines
from tests.conftest import REPOSITORY
from tests.story import call

from pygent.events import Envelope
from pygent.replay import Reply, ScriptedCall

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)
NOWHERE = "unix:///nothing.sock"


def test_the_answer_goes_to_standard_output_and_nothing_else_does(pygent: Pygent) -> None:
    done = pygent(call("bash", cmd="echo from the tool"), DONE)("--cwd", "--no-confirm-bash", "do it")
    assert (done.returncode, done.stdout) == (0, "All done.\n")
    assert "from the tool" in done.stderr
    assert "session ses_" in done.stderr


def test_json_is_one_envelope_a_line_and_a_result(pygent: Pygent) -> None:
    done = pygent(call("bash", cmd="echo x"), DONE)("--cwd", "--no-confirm-bash", "run", "do it", "--json")
    *events, result = lines(done.stdout)
    decoded = [msgspec.convert(event, Envelope) for event in events]
    assert [envelope.seq for envelope in decoded] == sorted(envelope.seq for envelope in decoded)
    assert (result["type"], result["status"], result["reply"]) == ("result", "completed", "All done.")


def test_the_request_may_come_from_standard_input(pygent: Pygent) -> None:
    program = pygent(DONE)
    assert program("--cwd", "-", given="do it").stdout == "All done.\n"
    assert program("--cwd", given="do it").stdout == "All done.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["taks"], "did you mean tasks"),
        (["--jsn", "x"], "did you mean --json"),
        (["tasks", "show"], "needs the id"),
        (["-e", "novalue", "x"], "NAME=VALUE"),
        (["run"], "no request"),
        (["tasks", "diff"], "needs the id of a task"),
        (["completion", "tcsh"], "bash, zsh, fish"),
    ],
)
def test_wrong_usage_is_2_with_a_hint(pygent: Pygent, arguments: list[str], words: str) -> None:
    done = pygent(DONE)(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_the_exit_codes(pygent: Pygent, workspace: Path) -> None:
    touch = call("bash", cmd="touch made")
    assert pygent(Reply(status=400))("--cwd", "x").returncode == 1
    declined = pygent(touch, DONE)("--cwd", "x")
    assert declined.returncode == 3
    assert "--no-confirm-bash" in declined.stderr
    assert not (workspace / "made").exists()
    invalid = pygent(DONE)("--cwd", "x", PYGENT_MAX_TASKS="many")
    assert invalid.returncode == 4
    assert "PYGENT_MAX_TASKS" in invalid.stderr
    told = pygent(DONE)("--cwd", "--json", "x", PYGENT_MAX_TASKS="many")
    assert lines(told.stdout)[-1]["error"]["code"] == "configInvalid"
    unavailable = pygent(DONE)("--cwd", "--docker", "x", DOCKER_HOST=NOWHERE)
    assert unavailable.returncode == 5
    step = Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "echo {{step}}"})], times=0)
    (workspace / "pygent.toml").write_text("[limits]\nsteps = 3\n")
    assert pygent(step)("--cwd", "--no-confirm-bash", "x").returncode == 124
    asked = pygent(call("ask_user", prompt="Which?"))("--cwd", "x")
    assert asked.returncode == 3
    assert "Which?" in asked.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_command_and_leaves_a_session_to_resume(
    pygent: Pygent, number: signal.Signals, code: int
) -> None:
    mark = f"5{time.time_ns() % 10**8:08d}"
    program = pygent(call("bash", cmd=f"echo go; sleep {mark}"), DONE)
    running = program.start("--cwd", "--no-confirm-bash", "--json", "x")
    assert running.stdout is not None
    while '"toolOutput"' not in running.stdout.readline():
        pass
    running.send_signal(number)
    out, err = running.communicate(timeout=20)
    assert "Traceback" not in err
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1
    result = lines(out)[-1]
    assert result["status"] == "cancelled"
    assert running.returncode in (code, 130)
    resumed = program("--cwd", "--resume", result["sessionId"], "go on")
    assert (resumed.returncode, resumed.stdout) == (0, "All done.\n")
    assert program("--cwd", "--resume", "go on").returncode == 0


def test_the_workspace_is_fresh_unless_named(pygent: Pygent, workspace: Path) -> None:
    where = call("bash", cmd="touch made; pwd")
    program = pygent(where, DONE)
    done = program("--no-confirm-bash", "one")
    temporary = Path(done.stderr.split("Workspace: ")[1].split(" ")[0])
    assert "temporary" in done.stderr
    assert not temporary.exists()
    assert not (workspace / "made").exists()
    program("--no-confirm-bash", "two", "--workspace", "sub")
    assert (workspace / "sub/made").exists()
    program("--no-confirm-bash", "three", PYGENT_WORKSPACE=str(workspace / "kept"))
    assert (workspace / "kept/made").exists()


def test_bans_and_omitted_tools(pygent: Pygent, tmp_path: Path) -> None:
    (tmp_path / "project/pygent.toml").write_text('banned_commands = ["curl"]\n')
    program = pygent(call("bash", cmd="touch x"), call("bash", cmd="curl x"), DONE)
    done = program("--cwd", "--no-confirm-bash", "--ban-cmd", "touch", "--omit-tool", "grep", "x")
    assert "touch is banned" in done.stderr
    assert "curl is banned" in done.stderr
    request = json.loads((tmp_path / "journal").read_text().splitlines()[0])
    assert "grep" not in [tool["function"]["name"] for tool in request["tools"]]


def test_what_was_said_is_seen_from_another_process(pygent: Pygent) -> None:
    program = pygent(DONE)
    program("--cwd", "a memorable request")
    assert "a memorable request" in program("sessions").stdout
    (listed,) = lines(program("sessions", "--json").stdout)
    assert listed["sessions"][0]["title"] == "a memorable request"


def test_a_task_is_delegated_and_seen_from_another_process(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text('[[task_personas]]\nname = "tester"\ndescription = "tests"\n')
    program = pygent(call("write_file", path="t.py", content="x = 1\n"), Reply(text="Written."))
    done = program("delegate", "--cwd", "write it", "--persona", "tester")
    assert done.returncode == 0
    assert done.stdout == "Written.\n"
    (listed,) = lines(program("tasks", "--json").stdout)
    (task,) = listed["tasks"]
    assert (task["status"], task["persona"]["name"], task["changedFiles"]) == (
        "completed",
        "tester",
        ["t.py"],
    )
    assert "Written." in program("tasks", "log", task["id"]).stdout
    assert program("tasks", "wait", task["id"][-6:]).returncode == 0
    assert program("tasks", "collect", task["id"], "--path", "t.py").stdout == "t.py\n"
    assert (workspace / "t.py").read_text() == "x = 1\n"


def test_looking_at_the_set_up(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text('persona_name = "Max"\nuse_docker = "0"\n')
    program = pygent(DONE)
    assert "Max" in program("personas").stdout
    shown = program("config").stdout
    assert f"{workspace}/pygent.toml:1" in shown
    assert "set" in shown
    (config,) = lines(program("config", "show", "--json").stdout)
    assert config["values"]["api_key"]["value"] == "set"
    assert program("config", "check").returncode == 0
    checked = program("doctor")
    assert "answers" in checked.stdout
    status = program("sandbox").stdout
    assert "isolation" in status
    ran = program("sandbox", "run", "--", "echo hi; exit 3")
    assert (ran.stdout, ran.returncode) == ("hi\n", 3)
    assert "complete -o default -F _pygent pygent" in program("completion", "bash").stdout


def test_a_folder_is_trusted_until_its_files_change(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text("confirm_bash = false\n")
    program = pygent(DONE)
    (shown,) = lines(program("config", "--json").stdout)
    assert shown["values"]["confirm_bash"]["value"] is True
    assert "confirm_bash" in program("trust").stdout
    (shown,) = lines(program("config", "--json").stdout)
    assert shown["values"]["confirm_bash"]["value"] is False
    assert str(workspace) in program("trust", "--list").stdout
    (workspace / "pygent.toml").write_text('confirm_bash = false\nmodel = "x"\n')
    (shown,) = lines(program("config", "--json").stdout)
    assert shown["values"]["confirm_bash"]["value"] is True


def test_no_key_says_what_to_do(pygent: Pygent) -> None:
    done = pygent(DONE)("--cwd", "x", OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr


def test_a_reader_that_goes_away_is_no_error(pygent: Pygent) -> None:
    running = pygent(Reply(text="line\n" * 20_000)).start("--cwd", "x")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    err = running.stderr.read()
    running.wait(20)
    running.stderr.close()
    assert "Traceback" not in err


def test_the_version_is_quick_and_help_is_helpful(pygent: Pygent) -> None:
    program = pygent(DONE)
    assert program("--version").stdout.startswith("pygent ")
    assert "exit codes" in program("--help").stdout


@pytest.mark.parametrize("docker", [NOWHERE, ""])
def test_the_demo_runs_and_leaves_nothing(pygent: Pygent, tmp_path: Path, docker: str) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary), "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
    done = pygent(DONE)("demo", **env, **({"DOCKER_HOST": docker} if docker else {}))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("Demo: a model server on this machine replays")
    assert "Isolation: " in done.stderr
    assert "All four tests pass" in done.stdout
    assert list(temporary.iterdir()) == []
    assert not (Path(os.environ["XDG_STATE_HOME"]) / "pygent").exists()


def test_on_a_terminal_the_answers_of_the_demo_are_drawn(pygent: Pygent) -> None:
    terminal = pygent(DONE).terminal("demo", OPENAI_API_KEY="", OPENAI_BASE_URL="", DOCKER_HOST=NOWHERE)
    terminal.until("Nothing is left behind")
    assert "All four tests pass" in terminal.text
    assert "**" not in terminal.text
    assert "`" not in terminal.text.partition("You:")[2]
    assert terminal.wait() == 0


def test_a_snapshot_is_loaded_at_start(pygent: Pygent, workspace: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    (saved / "workspace").mkdir(parents=True)
    (saved / "workspace/a.txt").write_text("from the snapshot")
    (saved / "history.json").write_text(
        '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]'
    )
    program = pygent(call("bash", cmd="cat a.txt"), DONE)
    done = program("--load", str(saved), "--no-confirm-bash", "go on")
    assert "from the snapshot" in done.stderr
    request = json.loads((tmp_path / "journal").read_text().splitlines()[0])
    assert [message["content"] for message in request["messages"][1:]] == ["hi", "yes", "go on"]
    program = pygent(call("bash", cmd="cat a.txt"), DONE)
    assert "from the snapshot" in program("--no-confirm-bash", "go on", PYGENT_SNAPSHOT=str(saved)).stderr
    missing = program("--load", "nothing", "go on")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no snapshot in nothing" in missing.stderr


def test_the_recording_of_the_demo_is_small_and_shows_it_to_the_end() -> None:
    picture = (REPOSITORY / "docs/images/demo.svg").read_text()
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(picture) < 60_000
    text = "".join(ElementTree.fromstring(picture).itertext())
    assert "$ pygent demo" in text
    assert "a model server on this machine replays" in " ".join(text.split())
    assert "The tests of the project pass." in text
