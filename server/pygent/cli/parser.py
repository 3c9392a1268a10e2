"""Reading a command line: flags may stand before or after the command, and what is unknown gets a hint."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable

from pygent.cli.grammar import Parser, UsageError, parser
from pygent.cli.words import COMMANDS


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line as a namespace; `command` is None for the interactive session.

    Raises UsageError, and SystemExit after `--help`.
    """
    top, made = parser()
    flags, rest, literal = _split(top, arguments)
    if rest[:1] == ["help"] and len(rest) <= 2:
        rest = [*rest[1:], "--help"]
    command = next((word for word in rest if not word.startswith("-") or word == "-"), None)
    _refuse_unknown_option(rest, top, made.get(command or ""))
    if command is None and not literal:
        return top.parse_args([*flags, *rest])
    if command not in made:
        if command is not None and len(rest) == 1:
            _refuse_typo(command)
        rest = ["run", *rest]
    given = top.parse_args(flags)
    given.command = rest.pop(rest.index(command) if command in made else 0)
    try:
        made[given.command].parse_intermixed_args(rest, given)
    except UsageError as error:
        raise _with_hint(error, given.command) from None
    _add(literal, given, made[given.command])
    return given


def _add(literal: list[str], given: argparse.Namespace, command: Parser) -> None:
    """What stands after `--` belongs to the words of the command."""
    lists = [action.dest for action in command._actions if action.nargs == "*" and not action.option_strings]
    if literal and not lists:
        raise UsageError(f"{given.command} takes no words after --")
    if literal:
        setattr(given, lists[0], [*getattr(given, lists[0]), *literal])


def _refuse_typo(word: str) -> None:
    """One word that is nearly a command is one; anything else is a request."""
    near = difflib.get_close_matches(word, COMMANDS, 1, 0.75)
    if near and " " not in word:
        raise UsageError(f"unknown command {word} - did you mean {near[0]}? (a request: pygent run {word})")


def _refuse_unknown_option(rest: list[str], top: Parser, command: Parser | None) -> None:
    known = _options(top) | (_options(command) if command is not None else set())
    for word in rest:
        name = word.partition("=")[0]
        if re.match(r"--?[a-zA-Z]", word) and " " not in word and name not in known:
            raise UsageError(f"unknown option {name}{_hint(name, known)} (after -- it is no option)")


def _with_hint(error: UsageError, command: str) -> UsageError:
    """argparse's word about a wrong choice, with the nearest one."""
    found = re.search(r"invalid choice: '([^']*)'", str(error))
    if found is None:
        return error
    actions = COMMANDS[command].actions
    return UsageError(f"unknown action {found[1]}{_hint(found[1], actions)} (one of: {', '.join(actions)})")


def _hint(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f" - did you mean {near[0]}?" if near else ""


def _options(of: Parser) -> set[str]:
    return {name for action in of._actions for name in action.option_strings}


def _split(top: Parser, arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The flags that every command takes, wherever they stand; what is left; what stands after `--`."""
    takes = {name: action.nargs for action in top._actions for name in action.option_strings}
    flags: list[str] = []
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            return flags, rest, queue
        if re.match(r"-e[A-Za-z_]\w*=", word):  # -eNAME=VALUE
            flags += ["-e", word[2:]]
        elif name not in takes or name in ("-h", "--help"):
            rest.append(word)
        elif "=" in word and name.startswith("--"):
            flags.append(word)
        elif name == "--resume":
            flags.append(f"{name}={queue.pop(0) if queue and queue[0].startswith('ses_') else 'latest'}")
        else:
            flags += [word, *_value(word, takes[name], queue)]
    return flags, rest, []


def _value(flag: str, nargs: int | str | None, queue: list[str]) -> list[str]:
    """What follows a flag, taken from the queue."""
    if nargs is not None:
        return []
    if not queue:
        raise UsageError(f"{flag} needs a value")
    return [queue.pop(0)]
