"""The interactive session on a real pseudo-terminal, as a person sees it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Pygent
from tests.cli.screen import Terminal
from tests.conftest import missing, python
from tests.story import call

from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e
READY = "/help"
"""What the bar below the prompt ends with."""
GOLDEN = Path(__file__).parent / "golden"


def said(tmp_path: Path, number: int = -1) -> str:
    """The last that a person said, as the model got it in a request."""
    request = json.loads((tmp_path / "journal").read_text().splitlines()[number])
    return str([message["content"] for message in request["messages"] if message["role"] == "user"][-1])


def leave(terminal: Terminal) -> str:
    """Leave by Ctrl-D; everything that could be seen."""
    terminal.type("\x04")
    assert terminal.wait() == 0, terminal.text
    return terminal.text


def test_what_a_model_says_is_no_instruction_to_the_terminal(pygent: Pygent) -> None:
    evil = "one\x1b]0;evil\x07two \x1b[2Jthree \x9b5nfour\x08\x7f"
    terminal = pygent(call("bash", cmd=f"printf '{evil}'"), Reply(text=evil)).terminal(
        "--cwd", "--no-confirm-bash"
    )
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("│ onetwo three four\\u{8}\\u{7f}")
    terminal.until("one\\u{1b}]0;evil\\u{7}two \\u{1b}[2Jthree \\u{9b}5nfour\\u{8}\\u{7f}", times=2)
    terminal.until("tokens in")
    leave(terminal)
    assert b"evil\x07" not in terminal.raw
    assert b"\x1b[2Jthree" not in terminal.raw


def test_the_table_of_tasks_follows_them(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="until [ -e go ]; do sleep 0.05; done"), Reply(text="Done."))
    work = subprocess.Popen(
        python("-m", "pygent.cli", "--cwd", "--no-confirm-bash", "delegate", "wait for it"),
        cwd=program.folder,
        env=program.environ(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert work.stderr is not None
    lines = iter(work.stderr.readline, "")
    folder = next(re.findall(r" in (/\S+)", line)[0] for line in lines if line.startswith("Task "))
    table = program.terminal("--cwd", "tasks")
    table.until("running")
    table.until("Ctrl-C leaves")
    Path(folder, "go").touch()
    table.until("completed")
    assert table.wait() == 0
    assert work.wait(20) == 0


def test_a_conversation_with_consent_and_slash_commands(pygent: Pygent) -> None:
    program = pygent(
        call("bash", cmd="touch made"),
        call("bash", cmd="touch not-made"),
        Reply(text="Some **bold** words."),
        Reply(text="Second answer."),
    )
    terminal = program.terminal("--cwd")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("? Run a command (in the bubblewrap sandbox)")
    terminal.type("y\r")
    terminal.until("? Run a command (in the bubblewrap sandbox)", times=2)
    terminal.type("maybe\r")
    terminal.until("Answer y, s, n or c")
    terminal.type("n not that one\r")
    terminal.until("declined: not that one")
    terminal.until("Some bold words.")
    terminal.until("tokens in")
    assert (program.folder / "made").exists()
    assert not (program.folder / "not-made").exists()
    terminal.type("/cmd echo by hand; exit 3\r")
    terminal.until("by hand exit code 3")
    terminal.type("/confirm-bash off\r")
    terminal.until("unasked")
    terminal.type("/nonsense\r")
    terminal.until("no command /nonsense")
    terminal.type("/hlep\r")
    terminal.until("Did you mean /help?")
    terminal.type("/usr/bin is a folder\r")
    terminal.until("Second answer.")
    terminal.type("/cost\r")
    terminal.until("tokens in", times=3)
    leave(terminal)


def test_every_slash_command_has_help_and_answers(pygent: Pygent, tmp_path: Path) -> None:
    program = pygent(Reply(text="Hello."))
    (tmp_path / "outside.txt").write_text("taken in")
    terminal = program.terminal("--cwd", "--omit-tool", "grep", columns=110)
    terminal.until(READY)
    for line, answer in {
        "/help": "Alt-Enter",
        "/help cmd": "For example: /cmd git status",
        "/help nothing": "There is no command /nothing.",
        "/cmd": "/cmd needs a command",
        f"/cp {tmp_path}/outside.txt": "Copied to outside.txt",
        f"/cp {tmp_path}/outside.txt sub/b.txt": "Copied to sub/b.txt",
        f"/cp {tmp_path}/outside.txt ../../b.txt": "is outside the workspace",
        "/cp nothing": "There is no nothing.",
        "/cp 'half": "No closing quotation",
        "/tools": "off grep",
        "/tools bash off": "off bash",
        "/tools enable grep": "on grep",
        "/tools nothing on": "There is no tool 'nothing'.",
        "/banned add curl": "commands: curl",
        "/banned remove curl": "commands: none",
        "/confirm-bash": "Commands are asked about.",
        "/confirm-bash maybe": "takes on or off",
        "/tasks": "task status",
        "/tasks lst": "did you mean list?",
        "/tasks show tsk_nothing": "There is no task",
        "/delegate": "/delegate needs the work",
        "/model": "* gpt-4.1-mini",
        "/model other": "* other",
        "/persona": "* Pygent",
        "/persona nobody": "There is no persona 'nobody'",
        "/cost": "0 tokens in, 0 out",
        "/compact": "is short already",
        "/undo": "pygent:",
        "/resume nothing": "No conversation of this folder is called nothing.",
        "/new": "A new conversation.",
    }.items():
        before = " ".join(terminal.text.split()).count(" ".join(answer.split()))
        terminal.type(line + "\r")
        terminal.until(answer, times=before + 1)
    assert (program.folder / "sub/b.txt").read_text() == "taken in"
    leave(terminal)


def test_ctrl_c_cancels_the_turn_then_leaves(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="echo running; sleep 600"), Reply(text="Still here."))
    terminal = program.terminal("--cwd", "--no-confirm-bash")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("│ running")
    terminal.type("\x03")
    terminal.until("The conversation goes on from here.")
    terminal.type("and now?\r")
    terminal.until("Still here.")
    terminal.type("half a line")
    terminal.until("> half a line")
    terminal.type("\x03")
    terminal.until("Ctrl-C again, or Ctrl-D, leaves.")
    terminal.gone("half a line")
    terminal.type("x\x7f\x03")  # another key in between: it is the first again
    terminal.until("Ctrl-C again, or Ctrl-D, leaves.", times=2)
    terminal.type("\x03")
    assert terminal.wait() == 0
    assert "pygent --resume ses_" in terminal.text


def test_a_second_ctrl_c_leaves_a_turn_that_runs(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="trap '' TERM; echo running; sleep 600"), Reply(text="Never."))
    terminal = program.terminal("--cwd", "--no-confirm-bash")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("│ running")
    os.kill(terminal.process.pid, signal.SIGINT)
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.type("\x03\x03")
    assert terminal.wait() == 0
    assert "Never" not in terminal.text
    assert "Traceback" not in terminal.text


def test_what_is_sent_meanwhile_is_heard_and_drafts_survive_questions(pygent: Pygent, tmp_path: Path) -> None:
    program = pygent(
        call("bash", cmd="until [ -e go ]; do sleep 0.05; done"),
        call("ask_user", prompt="Which colour?", options=["red", "green"]),
        Reply(text="Green it is."),
    )
    terminal = program.terminal("--cwd", "--no-confirm-bash")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("● $ until")
    terminal.type("mind the gap\r")
    terminal.until("The agent hears it at its next step.")
    terminal.type("a draft")
    terminal.until("> a draft")
    (program.folder / "go").touch()
    terminal.until("2. green")
    terminal.gone("> a draft")
    terminal.type("2\r")
    terminal.until("Green it is.")
    terminal.until("> a draft")
    assert "mind the gap" in (tmp_path / "journal").read_text().splitlines()[1]
    terminal.type("\x15")
    leave(terminal)


def test_edits_are_approved_by_their_diff(pygent: Pygent) -> None:
    program = pygent(
        call("write_file", path="one.txt", content="first\n"),
        call("write_file", path="two.txt", content="second\n"),
        Reply(text="Both written."),
    )
    terminal = program.terminal("--cwd", "-e", "PYGENT_CONFIRM_EDITS=1")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("+first")
    terminal.until("[y]es [s]ession [n]o")
    assert not (program.folder / "one.txt").exists()
    terminal.type("s\r")
    terminal.until("allowed for this session")
    terminal.until("Both written.")
    assert (program.folder / "two.txt").read_text() == "second\n"
    leave(terminal)


def test_completion_of_commands_words_and_files(pygent: Pygent, tmp_path: Path) -> None:
    program = pygent(Reply(text="Seen."))
    (program.folder / "src").mkdir()
    (program.folder / "src/prices.py").touch()
    (program.folder / "ignored.log").touch()
    (program.folder / ".gitignore").write_text("*.log\n")
    terminal = program.terminal("--cwd")
    terminal.until(READY)
    terminal.type("/con")
    terminal.until("ask before each command, or don't")  # the menu is there by itself
    terminal.type("\t")
    terminal.until("> /confirm-bash")
    terminal.type(" of\t")
    terminal.until("> /confirm-bash off")
    terminal.type("\r")
    terminal.until("Commands run unasked.")
    terminal.type("/tools read_i\t")
    terminal.until("> /tools read_image")
    terminal.type("\x15look at @pri")
    terminal.until("src/prices.py")
    terminal.type("\t")
    terminal.until("> look at @src/prices.py")
    terminal.type(" and @")
    terminal.until(".gitignore")
    assert "ignored.log" not in terminal.screen
    terminal.type("\t")
    terminal.until("and @.gitignore")
    terminal.type("\r\r")
    terminal.until("Seen.")
    assert said(tmp_path) == "look at @src/prices.py and @.gitignore"
    leave(terminal)


def test_a_long_paste_is_folded_and_sent_whole(pygent: Pygent, tmp_path: Path) -> None:
    program = pygent(Reply(text="Read."), Reply(text="Again."), Reply(text="Short."))
    terminal = program.terminal("--cwd")
    terminal.until(READY)
    pasted = "\n".join(f"row {number} \u00e9\u4e16" for number in range(5000))
    terminal.type("please read ")
    terminal.paste(pasted)
    terminal.until("please read [paste 1: 5000 lines]")
    terminal.type(" now\r")
    terminal.until("Read.")
    assert said(tmp_path) == f"please read {pasted} now"
    assert "row 4999" not in terminal.text
    terminal.paste("two\rlines")
    terminal.until("lines")
    terminal.type("\x1b\rthird\\\rfourth\r")
    terminal.until("Again.")
    assert said(tmp_path) == "two\nlines\nthird\nfourth"
    terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A")  # up, through its four lines
    terminal.until("> two", times=2)
    terminal.type("\r")
    terminal.until("Short.")
    assert said(tmp_path) == "two\nlines\nthird\nfourth"
    leave(terminal)


def test_resizing_while_it_streams_loses_nothing(pygent: Pygent, tmp_path: Path) -> None:
    """In tmux, which breaks its lines anew for another width, as most terminals do."""
    tmux = shutil.which("tmux") or missing("tmux is not installed")
    words = [f"word{number}" for number in range(300)]
    text = "\n\n".join(" ".join(words[at : at + 20]) for at in range(0, 300, 20))
    program = pygent(Reply(text=text, delay=0.01, fragment=7))

    def run(*arguments: str) -> str:
        command = [str(tmux), "-S", str(tmp_path / "socket"), "-f", "/dev/null", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=program.folder,
            env=program.environ(TERM="xterm-256color", LANG="C.UTF-8"),
        ).stdout

    def until(word: str) -> list[str]:
        deadline = time.monotonic() + 40
        while word not in (seen := run("capture-pane", "-p", "-J", "-S", "-")):
            assert time.monotonic() < deadline, seen
        return re.findall(r"word\d+", seen)

    run(
        "new-session",
        "-d",
        "-x",
        "100",
        "-y",
        "30",
        shlex.join(python("-m", "pygent.cli", "--cwd")),
        ";",
        "set",
        "remain-on-exit",
        "on",
    )
    try:
        until(READY)
        run("send-keys", "go", "Enter")
        for at, columns in ((40, 40), (120, 120), (200, 50)):
            until(f"word{at}")
            run("resize-window", "-x", str(columns), "-y", "30")
        shown = until("tokens in")
    finally:
        run("kill-server")
    assert [word for word in words if word not in shown] == []
    # A terminal that breaks lines anew may leave a picture of the block that was being written, no more.
    doubled = {int(word[4:]) // 20 for word in words if shown.count(word) > 1}
    assert len(doubled) <= 3


def test_a_chatty_command_is_shown_in_few_lines(pygent: Pygent) -> None:
    program = pygent(
        call("bash", cmd="seq 100000; printf 'a\\rb\\rlast\\n'; head -c 5000 /dev/zero | tr '\\0' x"),
        Reply(text="Done."),
    )
    terminal = program.terminal("--cwd", "--no-confirm-bash", lines=50)
    terminal.until(READY)
    terminal.type("go\r")
    terminal.until("tokens in")
    shown = leave(terminal)
    assert shown.count("│") < 25
    assert "more lines …" in shown
    assert "│ last" in shown
    assert re.search(r"x… \(\d+ more characters\)", shown)


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_left_out_where_they_are_not_wanted(
    pygent: Pygent, env: dict[str, str], coloured: bool
) -> None:
    program = pygent(call("bash", cmd="echo from the tool"), Reply(text="Some **bold** `code`."))
    terminal = program.terminal("--cwd", **env)
    terminal.until("Pygent>")
    terminal.type("go\r")
    terminal.until("[c]ancel >")
    terminal.type("y\r")
    terminal.until("from the tool")
    terminal.until("tokens in")
    leave(terminal)
    assert bool(re.search(rb"\x1b\[([0-9;]*;)?[39][0-7](;[0-9;]*)?m", terminal.raw)) == coloured
    assert (b"\x1b" not in terminal.raw) == ("TERM" in env)


def test_a_dumb_terminal_can_cancel_and_answer(pygent: Pygent) -> None:
    program = pygent(call("bash", cmd="echo running; sleep 600"), Reply(text="Still here."))
    terminal = program.terminal("--cwd", "--no-confirm-bash", TERM="dumb")
    terminal.until("Pygent>")
    terminal.type("go\r")
    terminal.until("│ running")
    terminal.type("\x03")
    terminal.until("goes on from here.")
    terminal.type("and now?\r")
    terminal.until("Still here.")
    terminal.until("tokens in", times=2)
    terminal.type("\x03")
    terminal.until("Ctrl-C again")
    terminal.type("\x03")
    assert terminal.wait() == 0


def test_killed_it_goes_on_where_it_was(pygent: Pygent) -> None:
    program = pygent(
        Reply(text="A first **answer**."),
        call("bash", cmd="echo running; sleep 600"),
        Reply(text="Gone on."),
    )
    terminal = program.terminal("--cwd", "--no-confirm-bash")
    terminal.until(READY)
    terminal.type("remember this\r")
    terminal.until("A first answer.")
    terminal.type("and work\r")
    terminal.until("│ running")
    terminal.process.kill()
    terminal.wait()
    again = program.terminal("--cwd", "--no-confirm-bash", "--resume")
    again.until("> remember this")
    again.until("A first answer.")
    again.until("This turn ended early")
    again.type("go on\r")
    again.until("Gone on.")
    leave(again)


def test_earlier_conversations_are_listed_and_taken_up(pygent: Pygent, tmp_path: Path) -> None:
    first = Match(first="the first")
    program = pygent(Reply(match=first, text="One."), Reply(match=first, text="Back."), Reply(text="Two."))
    program("--cwd", "the first of them")
    terminal = program.terminal("--cwd")
    terminal.until(READY)
    terminal.type("the second\r")
    terminal.until("Two.")
    terminal.type("/resume\r")
    terminal.until("the first of them")
    terminal.type("/resume 1\r")
    terminal.until("One.")
    terminal.type("once more\r")
    terminal.until("Back.")
    request = json.loads((tmp_path / "journal").read_text().splitlines()[-1])
    assert [m["content"] for m in request["messages"][1:]] == ["the first of them", "One.", "once more"]
    leave(terminal)


ANSWER = """\
## What was done

I ran the tests; **two** of them failed because `total` adds the discount instead of taking it off, which I mended.

| file | change |
| --- | --- |
| prices.py | one line |

```python
def total(prices, discount=0):
    return sum(prices) - discount  # was: plus
```

1. Run them again.
2. Then commit.
"""


@pytest.mark.parametrize(("name", "columns"), [("narrow", 40), ("wide", 120)])
def test_the_transcript_is_as_it_was_looked_at(
    pygent: Pygent, tmp_path: Path, name: str, columns: int
) -> None:
    """Whoever changes what is shown looks at the new file and commits it (UPDATE_GOLDEN=1 writes it)."""
    program = pygent(
        Reply(
            text="I look at the project first.",
            tool_calls=[
                ScriptedCall(
                    name="bash",
                    arguments={
                        "cmd": "seq 1 20; echo 'a longer line of output, which wraps on a narrow terminal' >&2; exit 1"
                    },
                )
            ],
        ),
        call(
            "write_file",
            path="prices.py",
            content="def total(prices, discount=0):\n    return sum(prices) - discount\n",
        ),
        call("bash", cmd="rm -r build"),
        Reply(text=ANSWER),
    )
    terminal = program.terminal("--cwd", columns=columns, lines=100)
    terminal.until(READY)
    terminal.type("make the tests pass, and tell me what was wrong with them\r")
    terminal.until("y/s/n/c" if columns == 40 else "[c]ancel >")
    terminal.type("y\r")
    terminal.until("? Run a command (in the bubblewrap sandbox)", times=2)
    terminal.type("n keep it\r")
    terminal.until("Then commit.")
    terminal.until("tokens in")
    seen = _normal(leave(terminal), program.folder)
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(seen)
    assert seen == file.read_text()


def _normal(text: str, folder: Path) -> str:
    """A transcript without what differs from run to run."""
    text = re.sub(r"Workspace:\s+\S+(\n\S*project)?", "Workspace: FOLDER", text)
    text = re.sub(r"ses_[0-9a-f\n]+", "SESSION", text)
    text = re.sub(r"[\d,]+ tokens in, [\d,]+ out", "N tokens in, N out", text)
    return re.sub(r"Pygent \d+\.\d+\.\d+", "Pygent VERSION", text) + "\n"


def test_commands_of_ones_own(pygent: Pygent) -> None:
    program = pygent(Reply(text="Asked by a command."))
    (program.folder / "mine.py").write_text(
        "from pygent.commands import register_command\n"
        "def show(agent, argument):\n"
        '    """Show something without the model."""\n'
        "    print('shown', argument, agent.runtime.bash('echo by the sandbox').splitlines()[1])\n"
        "def say(agent, argument):\n"
        "    print(agent.step(argument).content, len(agent.history))\n"
        "register_command('/show', show, usage='/show WHAT')\n"
        "register_command('/say', say, 'Ask the model')\n"
        "register_command('/fail', lambda agent, argument: 1 / 0)\n"
    )
    (program.folder / "pygent.toml").write_text('[[tools]]\nmodule = "mine.py"\n')
    assert program("--cwd", "trust").returncode == 0
    terminal = program.terminal("--cwd", "--no-confirm-bash")
    terminal.until(READY)
    terminal.type("/show this\r")
    terminal.until("shown this by the sandbox")
    terminal.type("/say hello\r")
    terminal.until("Asked by a command. 3")
    terminal.type("/fail\r")
    terminal.until("/fail failed: ZeroDivisionError")
    terminal.type("/help show\r")
    terminal.until("Show something without the model.")
    leave(terminal)


def test_a_conversation_is_saved_and_loaded(pygent: Pygent, tmp_path: Path) -> None:
    program = pygent(Reply(text="One."), Reply(text="Two."))
    (program.folder / "a.txt").write_text("first")
    (program.folder / ".env").write_text("SECRET=1")
    terminal = program.terminal("--cwd")
    terminal.until(READY)
    terminal.type("hello\r")
    terminal.until("tokens in")
    terminal.type("/save ../saved\r")
    terminal.until("Saved the conversation and 1 files in")
    terminal.until("Left out: .env (it is a file of secrets).")
    (program.folder / "a.txt").write_text("second")
    terminal.type("/load ../saved\r")
    terminal.until("One.", times=2)
    terminal.until("1 files are loaded; what was here before is in")
    assert (program.folder / "a.txt").read_text() == "first"
    terminal.type("/save .\r")
    terminal.until("holds the workspace, or lies in it")
    terminal.type("/load\r")
    terminal.until("/load needs a folder")
    terminal.type("more\r")
    terminal.until("Two.")
    leave(terminal)
