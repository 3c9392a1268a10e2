"""The grammar of the command line: its parsers, flags and arguments."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from pygent import __version__
from pygent.cli.words import COMMANDS, EXAMPLES, EXIT_CODES, Word


class UsageError(Exception):
    """The command line is wrong; the message says how."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are exceptions of ours."""

    def error(self, message: str) -> Any:
        """Raise UsageError."""
        raise UsageError(message)


def parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of everything, and those of the commands by their names."""
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
    top = _new(
        Parser,
        prog="pygent",
        usage="pygent [FLAGS] [COMMAND | REQUEST]",
        description="An AI coding agent that works in a sandbox: in your shell, and behind your editor.",
        epilog=f"examples:\n{_lines(EXAMPLES)}\n\nexit codes:\n{codes}\n\npygent COMMAND --help tells more.",
    )
    top.add_argument("--version", "-V", action="version", version=f"pygent {__version__}")
    _workspace_flags(top.add_argument_group("workspace"))
    _agent_flags(top.add_argument_group("agent"))
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    made = {name: _command(commands, name, word) for name, word in COMMANDS.items()}
    for name, arguments in _ARGUMENTS.items():
        arguments(made[name])
    return top, made


def _new(make: Any, *names: str, **more: Any) -> Parser:
    found: Parser = make(
        *names, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more
    )
    return found


def _command(commands: Any, name: str, word: Word) -> Parser:
    actions = "".join(f"\n  {action:<9} {meaning}" for action, meaning in word.actions.items() if meaning)
    parts = [
        f"actions:{actions}\n\n" if actions else "",
        f"examples:\n{_lines(word.examples)}\n\n",
        "The flags of `pygent --help`, such as --cwd, --json and -e, may stand here too.",
    ]
    made = _new(
        commands.add_parser,
        name,
        prog=f"pygent {name}",
        help=word.summary,
        description=textwrap.fill(word.description, 78),
        epilog="".join(parts),
    )
    if word.actions:
        meaning = "one of: " + ", ".join(word.actions)
        first, *_ = word.actions
        some: dict[str, Any] = {"metavar": "ACTION", "nargs": "?", "default": first}
        if name == "completion":
            some = {"metavar": "SHELL"}
        made.add_argument("action", choices=[*word.actions], help=meaning, **some)
    return made


def _lines(examples: tuple[tuple[str, str], ...]) -> str:
    """Each example with its meaning below it, so that it can be copied whole."""
    return "\n".join(f"  {command}\n      {meaning}" for command, meaning in examples)


def _workspace_flags(group: Any) -> None:
    group.add_argument("--cwd", action="store_true", help="work in the current folder")
    group.add_argument("--workspace", metavar="PATH", help="work in this folder, made if missing")
    group.add_argument("--load", metavar="DIR", help="begin with the snapshot in this folder")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings instead of ./pygent.toml")
    group.add_argument(
        "--trust", action="store_true", help="trust the folder's settings files as they are, for this run"
    )
    group.add_argument(
        "--docker", action="store_true", default=None, help="run commands in Docker or not at all"
    )
    group.add_argument("--no-docker", dest="docker", action="store_false", help="run commands without Docker")


def _agent_flags(group: Any) -> None:
    group.add_argument("--model", metavar="NAME", help="the model")
    group.add_argument("--persona", metavar="NAME", help="the persona that speaks, or that gets the task")
    group.add_argument("--resume", metavar="[ID]", help="go on with a session; without ID the latest here")
    group.add_argument(
        "--confirm-bash", action="store_true", default=None, help="ask before each command (default)"
    )
    group.add_argument("--no-confirm-bash", dest="confirm_bash", action="store_false", help="don't ask")
    group.add_argument("--ban-cmd", action="append", default=[], metavar="CMD", help="refuse this command")
    group.add_argument("--omit-tool", action="append", default=[], metavar="TOOL", help="without this tool")
    group.add_argument(
        "-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="set an environment variable"
    )
    group.add_argument("--json", action="store_true", help="one JSON object a line")


def _run(to: Parser) -> None:
    to.add_argument(
        "text", nargs="*", metavar="REQUEST", help="the request; `-` reads it from standard input"
    )


def _delegate(to: Parser) -> None:
    to.add_argument("text", nargs="+", metavar="REQUEST", help="what to do; `-` reads it from standard input")
    to.add_argument("--file", action="append", default=[], metavar="PATH", help="give only these files")
    to.add_argument("--timeout", type=float, metavar="S", help="seconds for the whole task")
    to.add_argument("--step-timeout", type=float, metavar="S", help="seconds for each step")


def _tasks(to: Parser) -> None:
    to.add_argument(
        "ids", nargs="*", metavar="TASK", help="its id, or how that begins or ends; for `send` then the text"
    )
    to.add_argument("--timeout", type=float, metavar="S", help="seconds that `wait` waits")
    to.add_argument("--follow", "-f", action="store_true", help="`log` goes on until the task ends")
    to.add_argument(
        "--path", action="append", metavar="PATH", help="what `collect` or `apply` takes; may be repeated"
    )
    to.add_argument("--preview", action="store_true", help="`apply` only says what it would do")
    to.add_argument("--dest", metavar="PATH", help="where `collect` puts it")
    to.add_argument("--once", action="store_true", help="`list` does not follow the tasks on a terminal")


def _approvals(to: Parser) -> None:
    to.add_argument("words", nargs="*", metavar="ID", help="the approval; for `deny` then the reason")
    to.add_argument("--for-session", action="store_true", help="`allow` it from now on in its session")


def _sessions(to: Parser) -> None:
    to.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default 20)")
    to.add_argument("--all", action="store_true", help="of every folder")


def _config(to: Parser) -> None:
    to.add_argument("--force", action="store_true", help="`init` overwrites a file that is there")


def _sandbox(to: Parser) -> None:
    to.add_argument("words", nargs="*", metavar="CMD", help="the command of `sandbox run`")


def _demo(to: Parser) -> None:
    to.add_argument("--live", action="store_true", help="let the real model do it (needs a key)")
    to.add_argument("--keep", type=Path, metavar="DIR", help="keep the example project here")


def _trust(to: Parser) -> None:
    to.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="default: the current folder")
    to.add_argument("--list", action="store_true", help="list the trusted folders")
    to.add_argument("--revoke", action="store_true", help="trust the folder no longer")
    to.add_argument("--yes", action="store_true", help="don't ask on a terminal")


_ARGUMENTS = {
    "run": _run,
    "delegate": _delegate,
    "tasks": _tasks,
    "approvals": _approvals,
    "sessions": _sessions,
    "config": _config,
    "sandbox": _sandbox,
    "demo": _demo,
    "trust": _trust,
}
