"""The slash commands of a conversation: what they are, and what they do."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pygent.cli import actions
from pygent.cli.custom import custom_commands, run_custom
from pygent.cli.talk import Talk
from pygent.cli.words import COMMANDS
from pygent.errors import PygentError

Run = Callable[[Talk, str], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Slash:
    """A command: how it is written, what it does in a line, and more for `/help NAME`.

    `idle`: only while nothing runs.
    """

    usage: str
    summary: str
    run: Run
    more: str = ""
    idle: bool = False


async def perform(talk: Talk, text: str) -> bool:
    """Do what a line that begins with a slash says; False to leave.  Raises PygentError and UsageError."""
    name, _, rest = text[1:].partition(" ")
    if name in ("exit", "quit"):
        return False
    command = SLASH.get(name)
    if command is None and (own := (await custom_commands(talk)).get(name)) is not None:
        await talk.run(f"/{name}", lambda: run_custom(talk, name, own, rest.strip()))
        return True
    if command is None:
        near = difflib.get_close_matches(name, SLASH, 1)
        hint = f"Did you mean /{near[0]}?" if near else "/help lists them."
        raise PygentError("notFound", f"There is no command /{name}.", hint)
    if command.idle and talk.busy:
        raise PygentError("busy", f"/{name} waits until nothing runs.", "Ctrl-C cancels what runs.")
    done = command.run(talk, rest.strip())
    if done is not None:
        await done
    return True


async def _help(talk: Talk, rest: str) -> None:
    name = rest.lstrip("/")
    own = await custom_commands(talk)
    if name in own:
        talk.console.answer(f"{own[name].usage}\n  {own[name].description}\n")
        return
    if name and name not in SLASH:
        raise PygentError("notFound", f"There is no command /{name}.", "/help lists them.")
    if name:
        command = SLASH[name]
        talk.console.answer(f"/{name} {command.usage}".rstrip() + f"\n  {command.summary}\n")
        for line in command.more.splitlines():
            talk.console.answer(f"  {line}\n")
        return
    for one, command in SLASH.items():
        talk.console.answer(f"/{one} {command.usage}".ljust(30) + f" {command.summary}\n")
    for mine in own.values():
        talk.console.answer(mine.usage.ljust(30) + f" {mine.description}\n")
    talk.console.say(KEYS, "dim")


def _exit(talk: Talk, _: str) -> None:
    """Only for the list; `perform` leaves."""


SLASH: dict[str, Slash] = {
    "help": Slash("[COMMAND]", "what there is, or one of it", _help),
    "cmd": Slash(
        "COMMAND",
        "run a command in the sandbox yourself",
        actions.cmd,
        "For example: /cmd git status",
        idle=True,
    ),
    "cp": Slash(
        "SOURCE [DEST]",
        "copy a file of this machine into the workspace",
        actions.cp,
        "For example: /cp ~/data.csv",
    ),
    "new": Slash("", "begin a new conversation", actions.new, "The workspace stays as it is.", idle=True),
    "resume": Slash(
        "[NUMBER|TITLE]", "list earlier conversations, or go on with one", actions.resume, idle=True
    ),
    "save": Slash(
        "DIR",
        "save workspace, conversation and settings",
        actions.save,
        "Never a secret, nor what .gitignore leaves out. For example: /save ~/snapshots/monday",
        idle=True,
    ),
    "load": Slash(
        "DIR",
        "go on with what was saved",
        actions.load,
        "What the workspace holds now is kept aside first. At start: pygent --load DIR",
        idle=True,
    ),
    "tools": Slash(
        "[NAME on|off]",
        "list the tools, or switch one",
        actions.tools,
        "For example: /tools bash off\nAlso: /tools disable bash",
    ),
    "banned": Slash(
        "[add|remove NAME]",
        "list banned commands, or change the list",
        actions.banned,
        "For example: /banned add curl",
    ),
    "confirm-bash": Slash("[on|off]", "ask before each command, or don't", actions.confirm_bash),
    "undo": Slash(
        "", "take back what the last turn changed", actions.undo, "What you typed since is kept.", idle=True
    ),
    "redo": Slash("", "make it again", actions.redo, idle=True),
    "tasks": Slash(
        "[ACTION TASK]",
        "background agents: list, show, log, diff, apply, …",
        actions.tasks,
        "As `pygent tasks`: /tasks diff TASK, /tasks apply TASK, /tasks send TASK use pytest\n"
        + "\n".join(f"{action:<9}{meaning}" for action, meaning in COMMANDS["tasks"].actions.items()),
    ),
    "delegate": Slash(
        "[@PERSONA] TEXT",
        "give work to a background agent",
        actions.delegate,
        "It works in a copy of the folder; /tasks apply takes over what it did.",
    ),
    "model": Slash("[NAME]", "list the models, or use another", actions.model),
    "persona": Slash("[NAME]", "list the personas, or let another speak", actions.persona),
    "compact": Slash("", "summarise what was said, to make room", actions.compact, idle=True),
    "cost": Slash("", "the tokens of this conversation, and their cost by `prices`", actions.cost),
    "exit": Slash("", "leave; also Ctrl-D", _exit),
}

KEYS = (
    "Enter sends · Alt-Enter, or a backslash at the end, begins a new line · Tab completes, @ files\n"
    "Ctrl-C cancels what runs, twice leaves · Ctrl-R searches what you typed · Ctrl-X Ctrl-E your editor\n"
    "What you send while the agent works is heard at its next step."
)


def words(talk: Talk, name: str) -> Iterable[tuple[str, str]]:
    """The words that a command takes, each with its meaning, for completion."""
    folder, app = talk.where.folder, talk.where.app
    match name:
        case "help":
            return ((name, one.summary) for name, one in SLASH.items())
        case "confirm-bash":
            return (("on", ""), ("off", ""))
        case "tools":
            return ((tool.name, "") for tool in talk.session.tools.list())
        case "persona":
            return ((one.name, one.description) for one in folder.personas())
        case "delegate":
            return ((f"@{one.name}", one.description) for one in folder.personas())
        case "tasks":
            known = ((f"show {task.id}", task.title) for task in app.tasks.recorded(limit=20))
            return (*COMMANDS["tasks"].actions.items(), *known)
        case _:
            return ()
