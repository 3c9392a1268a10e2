"""The words of the command line: flags, commands and examples, from which help, pages and completion come."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygent import __version__


class UsageError(Exception):
    """The command line is wrong; the message says how."""


@dataclass(frozen=True, slots=True)
class Word:
    """A command: one line for lists, what its help says, its actions, and examples with their meaning."""

    summary: str
    description: str
    examples: tuple[tuple[str, str], ...]
    actions: Mapping[str, str] = field(default_factory=dict)


COMMANDS: dict[str, Word] = {
    "run": Word(
        "run one request and exit",
        "Run one request to its end. The answer goes to standard output, everything else to standard error. "
        "Commands are asked about on a terminal; without one they are declined unless --no-confirm-bash "
        "allows them. The word `run` may be left out.",
        (
            ('pygent --cwd run "make the tests pass"', "work in the current folder"),
            ("git diff | pygent --cwd run -", "the request comes from standard input"),
            ('pygent --cwd --no-confirm-bash --json run "bump the version"', "for a script"),
        ),
    ),
    "delegate": Word(
        "give work to a background agent",
        "Let a background agent work in a copy of the folder. This process shows what it does and stays "
        "until it ends; nothing in your folder changes until you take it over with `pygent tasks apply`.",
        (
            (
                'pygent delegate --cwd "write tests for parser.py" --persona tester',
                "a persona of pygent.toml",
            ),
            ('pygent delegate --cwd --file a.py --file b.py "compare them"', "give only these files"),
            ("pygent tasks apply TASK", "take over what it changed"),
        ),
    ),
    "tasks": Word(
        "list, follow, compare and take over tasks",
        "What background agents do and have done, of every process. A task is named by its id or the end of "
        "it. Without an action the tasks are listed; on a terminal the list follows those that run.",
        (
            ("pygent tasks", "every task"),
            ("pygent tasks log -f TASK", "follow one"),
            ("pygent tasks diff TASK", "what it changed"),
            ("pygent tasks apply TASK --path src/a.py", "take one file over"),
            ('pygent tasks send TASK "use pytest"', "say something to it"),
        ),
        {
            "list": "the table of tasks (without an action: this)",
            "show": "everything known about a task, and what it said at last",
            "log": "what it did; -f goes on until it ends",
            "wait": "until tasks have ended: 0 completed, 1 failed, 3 one asks something, 124 still running",
            "cancel": "end tasks that run or wait",
            "retry": "begin anew with what the task was given",
            "diff": "what it changed, as a unified diff",
            "apply": "merge its changes into the folder; conflicts are named and left alone",
            "collect": "copy a file of it here: --path FILE [--dest FILE]",
            "send": "say something to it; one that has ended goes on",
            "delete": "forget tasks and remove their folders",
        },
    ),
    "approvals": Word(
        "answer what waits for your consent",
        "What tasks and sessions of every process want to do and wait for, each with the exact command or "
        "change. An approval is named by its id or the end of it; whoever answers first decides.",
        (
            ("pygent approvals", "what waits"),
            ("pygent approvals allow ID", "this once"),
            ("pygent approvals allow ID --for-session", "and whenever the same is asked in its session"),
            ('pygent approvals deny ID "use git mv"', "the reason is told to the agent"),
        ),
        {
            "list": "what waits, in full (without an action: this)",
            "allow": "let it happen",
            "deny": "don't; words after the id are told to the agent",
        },
    ),
    "sessions": Word(
        "list conversations, newest first",
        "The conversations of the current folder, to go on with by `pygent --resume SESSION`.",
        (("pygent sessions", "of this folder"), ("pygent sessions --all --limit 5", "of every folder")),
    ),
    "config": Word(
        "show the settings with their origin, check them, or begin a file",
        "Every setting in force, with the layer, file and line that set it. The exit code is 4 if one of "
        "them is wrong.",
        (
            ("pygent config", "what is in force, and why"),
            ("pygent config check", "only what is wrong"),
            ("pygent config init", "a pygent.toml with every setting behind a comment mark"),
        ),
        {
            "show": "every setting with its origin (without an action: this)",
            "check": "say what is wrong, and give hints",
            "init": "write a new pygent.toml, or the file after --config; --force overwrites one",
            "schema": "print the JSON Schema of pygent.toml",
        },
    ),
    "personas": Word(
        "list the personas",
        "The main persona, and those that tasks may have. They stand in pygent.toml under [[task_personas]].",
        (
            ("pygent personas", "their names and descriptions"),
            ('pygent --persona tester --cwd "…"', "let one of them speak"),
        ),
    ),
    "sandbox": Word(
        "say how commands are isolated, or run one",
        "How the agent's commands are isolated here, and why; or one command of your own in that sandbox, "
        "which ends with the command's exit code.",
        (
            ("pygent sandbox", "what is used here"),
            ("pygent sandbox run -- ls -la", "run a command in it"),
            ("pygent --no-docker sandbox", "without Docker"),
        ),
        {"status": "what is used and why (without an action: this)", "run": "run a command in it"},
    ),
    "doctor": Word(
        "check the set-up and say how to mend it",
        "Looks at everything that a turn needs: settings, trust, key, endpoint, model, sandbox, git, "
        "terminal. The exit code is 1 if something fails.",
        (("pygent doctor", "check this folder"), ("pygent doctor --json", "for a script")),
    ),
    "demo": Word(
        "see everything at work, without a key or network",
        "An agent mends a small project with the help of a background agent. A model server on this machine "
        "replays a recorded conversation; the HTTP client, the agent, its sandbox and the edits are real.",
        (
            ("pygent demo", "no key, no network, no Docker needed"),
            ("pygent demo --keep shop", "keep the project and look at it"),
            ("pygent demo --live", "let the real model do it (needs a key)"),
        ),
    ),
    "trust": Word(
        "trust the settings of a folder",
        "A folder's pygent.toml and .env may come from anybody, so until you trust them they can set only "
        "what is harmless. Trust ends when one of these files changes.",
        (
            ("pygent trust", "the current folder"),
            ("pygent trust --list", "which folders are trusted"),
            ("pygent trust --revoke ../other", "no longer"),
        ),
    ),
    "completion": Word(
        "print a completion script for bash, zsh or fish",
        "A script that lets your shell complete commands, flags and files.",
        (
            ('eval "$(pygent completion bash)"', "in ~/.bashrc"),
            ('eval "$(pygent completion zsh)"', "in ~/.zshrc, after compinit"),
            ("pygent completion fish > ~/.config/fish/completions/pygent.fish", "for fish"),
        ),
        {"bash": "", "zsh": "", "fish": ""},
    ),
}

EXAMPLES = (
    ("pygent --cwd", "talk to the agent about the current folder"),
    ("pygent", "talk to it in a fresh folder that is removed at the end"),
    ('pygent --cwd "make the tests pass"', "one request, then exit"),
    ("git diff | pygent --cwd -", "the request comes from standard input"),
    ('pygent --cwd --resume "go on"', "the latest conversation of this folder"),
    ("pygent demo", "see it at work, without a key or network"),
    ("pygent doctor", "what is missing, and how to mend it"),
)

EXIT_CODES = {
    0: "completed",
    1: "failed: the model, a tool or a check",
    2: "wrong usage",
    3: "something needed an approval or an answer that nobody could give",
    4: "invalid configuration",
    5: "sandbox unavailable",
    124: "a time or step limit",
    130: "cancelled",
}


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
        "ids", nargs="*", metavar="TASK", help="its id, or the end of it; for `send` then the text"
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
