"""Banned commands and programs, wherever a shell would find them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent.tools.bans import Unparsable, banned, simple_commands

REFUSED = [
    "rm x",
    "rm",
    "/bin/rm x",
    "./rm x",
    "ls; rm x",
    "ls && rm x",
    "ls || rm x",
    "ls & rm x",
    "ls | rm x",
    "ls |& rm x",
    "ls\nrm x",
    "(rm x)",
    "{ rm x; }",
    "if true; then rm x; fi",
    "while rm x; do :; done",
    "for f in a b; do rm $f; done",
    "! rm x",
    "A=1 rm x",
    "A=1 B='2 3' rm x",
    "echo $(rm x)",
    'echo "$(rm x)"',
    "echo `rm x`",
    'echo "`rm x`"',
    "echo ${A:-$(rm x)}",
    "echo $(echo $(rm x))",
    "cat <(rm x)",
    "bash -c 'rm x'",
    "/bin/sh -ec 'rm x'",
    "bash -c \"bash -c 'rm x'\"",
    "eval rm x",
    "eval 'rm x'",
    "trap 'rm x' EXIT",
    "env rm x",
    "env A=1 rm x",
    "env -i rm x",
    "sudo rm x",
    "sudo -u me rm x",
    "xargs rm < list",
    "ls | xargs -n 1 rm",
    "nohup rm x",
    "timeout 5 rm x",
    "time rm x",
    "nice -n 5 rm x",
    "command rm x",
    "exec rm x",
    "find . -name x -exec rm {} +",
    "r''m x",
    'r"m" x',
    "r\\m x",
    "'rm' x",
    '"rm" x',
    "$'rm' x",
    "$'\\x72m' x",
    "> out rm x",
    "2>&1 rm x",
    "cat <<EOF\n$(rm x)\nEOF",
    "cat <<EOF\ntext\nEOF\nrm x",
    "r\\\nm x",
    "git push",
    "git push origin main",
    "cd a && git push -f",
    "/usr/bin/git push",
]

ALLOWED = [
    "ls",
    "echo rm",
    "echo 'rm x'",
    "echo 'a; rm x'",
    "grep rm file",
    "rmdir x",
    "farm x",
    "cat rm.txt",
    "git pull",
    "git stash push",
    "echo git push",
    "ls # rm x",
    "cat <<'EOF'\n$(rm x)\nEOF",
    "cat <<EOF\nrm x\nEOF",
    "echo a > rm",
    "python -c 'rm = 1'",
    "A=rm ls",
    "",
    "   ",
]


@pytest.mark.parametrize("command", REFUSED)
def test_a_banned_command_is_found(command: str) -> None:
    assert banned(command, ["rm", "git push"], []), command


@pytest.mark.parametrize("command", ALLOWED)
def test_a_word_that_is_no_command_is_left_alone(command: str) -> None:
    assert banned(command, ["rm", "git push"], []) is None


@pytest.mark.parametrize("command", ["curl x", "echo curl", "ls | /usr/bin/curl", "find . -exec curl {} ;"])
def test_a_banned_app_may_not_appear_at_all(command: str) -> None:
    assert banned(command, [], ["curl"]) == "the program curl is banned"


@pytest.mark.parametrize("command", ["echo 'x", 'echo "x', "echo `x", "echo $(x", "echo ${x"])
def test_what_cannot_be_parsed_is_refused_only_while_something_is_banned(command: str) -> None:
    assert "could not be checked" in (banned(command, ["rm"], []) or "")
    assert banned(command, [], []) is None


@given(st.text(alphabet="rm \n\t'\"`$(){}<>|&;\\#=-cEOF", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        for words in simple_commands(text):
            assert words
    except Unparsable:
        assert banned(text, ["rm"], [])
