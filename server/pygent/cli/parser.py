"""The grammar of the command line: flags may stand before or after the command."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from pygent import __version__

COMMANDS = {
    "run": "run one request and exit",
    "delegate": "give work to a background agent",
    "tasks": "list, show, log, wait for, cancel or collect from tasks",
    "sessions": "list conversations, newest first",
    "config": "show the settings with their origin, or check them",
    "personas": "list the personas",
    "sandbox": "say how commands are isolated, or run one",
    "doctor": "check the set-up",
    "demo": "see everything at work, without a key or network",
    "trust": "trust the settings of a folder",
    "completion": "print a completion script for bash, zsh or fish",
}

EPILOG = """\
examples:
  pygent                                 talk to the agent, in a fresh temporary workspace
  pygent --cwd                           talk to it about the current folder
  pygent --cwd "make the tests pass"     one request, then exit
  echo "explain main.py" | pygent --cwd -
  pygent --cwd --no-confirm-bash --json run "bump the version"
  pygent delegate --cwd "write tests for parser.py" --persona tester
  pygent demo

exit codes of run: 0 completed, 1 failed, 2 wrong usage, 3 an approval nobody could give, 4 invalid
configuration, 5 sandbox unavailable, 124 a time or step limit, 130 cancelled.
"""


class UsageError(Exception):
    """The command line is wrong; the message says how."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are exceptions of ours."""

    def error(self, message: str) -> Any:
        """Raise UsageError."""
        raise UsageError(message)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line as a namespace; `command` is None for the interactive session.

    Raises UsageError, and SystemExit after `--help`.
    """
    parser = _parser()
    flags, rest = _split(parser, arguments)
    if "--" in rest:
        at = rest.index("--")
        rest, literal = rest[:at], rest[at + 1 :]
    else:
        literal = []
    if rest[:1] and rest[0] not in COMMANDS and not rest[0].startswith("-h") and rest[0] != "--help":
        _refuse_typo(rest)
        rest = ["run", *rest]
    elif literal and not rest:
        rest = ["run"]
    return parser.parse_args([*flags, *rest, *(["--", *literal] if literal else [])])


def _refuse_typo(rest: list[str]) -> None:
    first = rest[0]
    if first.startswith("-") and first != "-":
        near = difflib.get_close_matches(first, _OPTIONS, 1)
        raise UsageError(f"unknown option {first}" + (f"; did you mean {near[0]}?" if near else ""))
    near = difflib.get_close_matches(first, COMMANDS, 1, 0.75)
    if near and " " not in first:
        raise UsageError(f"unknown command {first}; did you mean {near[0]}? (a request: pygent run {first})")


def _split(parser: Parser, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The flags that every command takes, wherever they stand, and what is left."""
    takes = {name: action.nargs for action in parser._actions for name in action.option_strings}
    flags: list[str] = []
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            return flags, [*rest, word, *queue]
        if name not in takes or name in ("-h", "--help"):
            rest.append(word)
            continue
        flags.append(word)
        if "=" in word and name.startswith("--"):
            continue
        if name == "--resume":
            flags[-1] = f"--resume={queue.pop(0) if queue and queue[0].startswith('ses_') else 'latest'}"
        elif takes[name] is None and queue:
            flags.append(queue.pop(0))
    return flags, rest


def _parser() -> Parser:
    parser = Parser(
        prog="pygent",
        description="An AI coding agent that works in a sandbox.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", "-V", action="version", version=f"pygent {__version__}")
    _workspace_flags(parser.add_argument_group("workspace"))
    _agent_flags(parser.add_argument_group("agent"))
    _OPTIONS.update(name for action in parser._actions for name in action.option_strings)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    made = {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}
    made["run"].add_argument("text", nargs="*", help="the request; `-` reads it from standard input")
    _delegate(made["delegate"])
    _tasks(made["tasks"])
    made["sessions"].add_argument("--limit", type=int, default=20, help="how many (default 20)")
    made["sessions"].add_argument("--all", action="store_true", help="of every folder")
    made["config"].add_argument("action", nargs="?", choices=["show", "check"], default="show")
    made["sandbox"].add_argument("action", nargs="?", choices=["status", "run"], default="status")
    made["sandbox"].add_argument("words", nargs="*", metavar="CMD", help="the command of `sandbox run`")
    made["trust"].add_argument("folder", nargs="?", type=Path, help="default: the current folder")
    made["trust"].add_argument("--list", action="store_true", help="list the trusted folders")
    made["trust"].add_argument("--revoke", action="store_true", help="trust the folder no longer")
    made["demo"].add_argument("--live", action="store_true", help="let the real model do it (needs a key)")
    made["demo"].add_argument("--keep", type=Path, metavar="DIR", help="keep the example project here")
    made["completion"].add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


_OPTIONS: set[str] = set()


def _workspace_flags(group: Any) -> None:
    group.add_argument("--cwd", action="store_true", help="work in the current folder")
    group.add_argument("--workspace", metavar="PATH", help="work in this folder, made if missing")
    group.add_argument("--load", metavar="DIR", help="begin with the snapshot in this folder")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings instead of ./pygent.toml")
    group.add_argument(
        "--docker", action="store_true", default=None, help="run commands in Docker or not at all"
    )
    group.add_argument("--no-docker", dest="docker", action="store_false", help="run commands without Docker")


def _agent_flags(group: Any) -> None:
    group.add_argument("--model", metavar="NAME", help="the model")
    group.add_argument("--persona", metavar="NAME", help="the persona that speaks, or that gets the task")
    group.add_argument("--resume", metavar="ID", help="go on with a session; without ID the latest here")
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


def _delegate(parser: Parser) -> None:
    parser.add_argument("text", nargs="+", help="what to do; `-` reads it from standard input")
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help="give only these files")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for the whole task")
    parser.add_argument("--step-timeout", type=float, metavar="S", help="seconds for each step")


TASK_ACTIONS = (
    *("list", "show", "log", "wait", "cancel", "send", "retry", "diff", "apply", "collect", "delete"),
)


def _tasks(parser: Parser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=[*TASK_ACTIONS],
        default="list",
    )
    parser.add_argument(
        "ids",
        nargs="*",
        metavar="TASK",
        help="its id, or the end of it; for `send` then the text",
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="how long `wait` waits")
    parser.add_argument("--follow", "-f", action="store_true", help="`log` goes on until the task ends")
    parser.add_argument(
        "--path", action="append", metavar="PATH", help="what `collect` or `apply` takes; may be repeated"
    )
    parser.add_argument("--preview", action="store_true", help="`apply` only says what it would do")
    parser.add_argument("--dest", metavar="PATH", help="where `collect` puts it")
    parser.add_argument("--once", action="store_true", help="`list` does not follow the tasks on a terminal")
