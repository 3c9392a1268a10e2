"""The command line's grammar: every flag before and after every command, hints, help that teaches."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REPOSITORY

from pygent.cli import reference
from pygent.cli.grammar import UsageError, parser
from pygent.cli.parser import parse
from pygent.cli.words import COMMANDS, EXAMPLES

FLAGS = {
    "--docker": ("docker", True),
    "--no-docker": ("docker", False),
    "--config x.toml": ("config", Path("x.toml")),
    "--config=x.toml": ("config", Path("x.toml")),
    "--workspace w": ("workspace", "w"),
    "--cwd": ("cwd", True),
    "--load d": ("load", "d"),
    "--confirm-bash": ("confirm_bash", True),
    "--no-confirm-bash": ("confirm_bash", False),
    "--ban-cmd rm --ban-cmd dd": ("ban_cmd", ["rm", "dd"]),
    "--omit-tool bash --omit-tool=grep": ("omit_tool", ["bash", "grep"]),
    "-e A=1 --env B=2 -eC=3": ("env", ["A=1", "B=2", "C=3"]),
    "--model m": ("model", "m"),
    "--persona p": ("persona", "p"),
    "--resume ses_1": ("resume", "ses_1"),
    "--resume": ("resume", "latest"),
    "--json": ("json", True),
}
CALLS = [
    "",
    "run it",
    "delegate it",
    "completion zsh",
    *(name for name in COMMANDS if name not in ("delegate", "completion")),
]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("call", CALLS)
def test_every_flag_may_stand_before_and_after_every_command(flag: str, call: str) -> None:
    name, value = FLAGS[flag]
    for words in (f"{flag} {call}", f"{call} {flag}"):
        found = parse(shlex.split(words))
        assert (getattr(found, name), found.command) == (value, call.partition(" ")[0] or None), words


def test_what_is_no_command_is_a_request() -> None:
    assert parse(["mend", "it", "--cwd"]).text == ["mend", "it"]
    assert parse(["--cwd", "tasks of the day"]).text == ["tasks of the day"]
    assert parse(["--", "--docker", "is", "odd"]).text == ["--docker", "is", "odd"]
    assert parse(["-"]).text == ["-"]
    assert parse(["sandbox", "run", "--json", "--", "ls", "-la", "--json"]).words == ["ls", "-la", "--json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("taks", "did you mean tasks?"),
        ("doctr", "did you mean doctor?"),
        ("--jsn x", "did you mean --json?"),
        ("tasks --folow x", "did you mean --follow?"),
        ("tasks lst", "did you mean list?"),
        ("config chek", "did you mean check?"),
        ("sandbox stat", "did you mean status?"),
        ("completion tcsh", "bash, zsh, fish"),
        ("sandbox run ls -la", "after -- it is no option"),
        ("--model", "--model needs a value"),
        ("tasks wait x --timeout soon", "--timeout"),
        ("doctor -- x", "takes no words after --"),
        ("doctor x", "unrecognized arguments: x"),
    ],
)
def test_wrong_usage_names_the_nearest_right_one(words: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse(words.split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([*command.split(), "--help"], ["help", *command.split()]):
        with pytest.raises(SystemExit) as ended:
            parse(words)
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "examples:" in shown
        assert f"pygent {command}".strip() in shown


def test_the_examples_parse_and_every_action_is_told() -> None:
    examples = [*EXAMPLES, *(example for word in COMMANDS.values() for example in word.examples)]
    for example, _ in examples:
        command = re.search(r"pygent ?([^>)]*)", example)
        assert command is not None
        parse(shlex.split(command[1]))
    _, made = parser()
    for name, word in COMMANDS.items():
        assert all(action in made[name].format_help() for action in word.actions)


@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from([*COMMANDS, "--", "-e", "--json", "--resume"]), max_size=6
    )
)
def test_any_command_line_is_understood_or_refused_in_a_sentence(words: list[str]) -> None:
    try:
        parse(words)
    except UsageError as error:
        assert str(error)
    except SystemExit as ended:
        assert ended.code == 0  # --help, --version


def test_the_page_is_fresh() -> None:
    page = (REPOSITORY / "docs/cli.md").read_text()
    assert page == reference.page(), "python -m pygent.cli.reference > docs/cli.md"
