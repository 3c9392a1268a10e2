"""The slash commands of a conversation: what they are, and what they do."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygent.budget import worded
from pygent.checkpoints import Undone
from pygent.cli.console import ago, cut
from pygent.cli.custom import custom_commands, run_custom
from pygent.cli.grammar import COMMANDS, UsageError
from pygent.cli.parser import parse
from pygent.cli.run import open_session
from pygent.cli.talk import Talk
from pygent.cli.tasks import task_command
from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.paths import path_of
from pygent.records import NO_USAGE

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


async def _cmd(talk: Talk, rest: str) -> None:
    if not rest:
        raise UsageError("/cmd needs a command")

    async def work() -> None:
        sandbox = await talk.where.folder.sandbox(lambda text: talk.console.say(text, "dim"))
        done = await sandbox.run(rest, on_output=talk.console.answer)
        if not done.output.endswith("\n"):
            talk.console.answer("\n")
        if done.exit_code:
            talk.console.say(f"exit code {done.exit_code}", "yellow")

    await talk.run(f"$ {rest}", work)


def _cp(talk: Talk, rest: str) -> None:
    words = shlex.split(rest)
    if len(words) not in (1, 2):
        raise UsageError("/cp needs SOURCE, and may have DEST")
    source, workspace = Path(words[0]).expanduser(), talk.where.folder.workspace
    if not source.exists():
        raise PygentError("notFound", f"There is no {source}.")
    target = workspace.resolve(words[1] if len(words) == 2 else source.name)
    target = target / source.name if target.is_dir() and not source.is_dir() else target
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    talk.console.say(f"Copied to {workspace.relative(target)}", "dim")


def _new(talk: Talk, _: str) -> None:
    talk.given.resume = None
    off = talk.session.tools.off
    talk.use(open_session(talk.where.app, talk.where, talk.given))
    for name in off:
        talk.session.tools.switch(name, False)
    talk.console.say("A new conversation.", "dim")


def _resume(talk: Talk, rest: str) -> None:
    page, _ = talk.where.app.sessions.page(folder_uri=talk.where.folder.uri, limit=200)
    page = [info for info in page if info.id != talk.session.id]
    if not rest:
        rows = [[str(n), ago(info.updated_at), info.title] for n, info in enumerate(page[:10], 1)]
        talk.console.table(rows, ["", "used", "title"])
        talk.console.say("/resume NUMBER, or a word of its title, goes on with one.", "dim")
        return
    numbered = page[int(rest) - 1 : int(rest)] if rest.isdigit() and int(rest) > 0 else []
    found = numbered or [one for one in page if one.id.endswith(rest) or rest.lower() in one.title.lower()]
    if not found:
        raise PygentError(
            "notFound", f"No conversation of this folder is called {rest}.", "/resume lists them."
        )
    talk.use(talk.where.app.sessions.get(found[0].id))
    talk.recall()


def _tools(talk: Talk, rest: str) -> None:
    tools, words = talk.session.tools, rest.split()
    if len(words) == 2 and words[0] in ("enable", "disable"):
        tools.switch(words[1], words[0] == "enable")
    elif len(words) == 2 and words[1] in ("on", "off"):
        tools.switch(words[0], words[1] == "on")
    elif words not in ([], ["list"]):
        raise UsageError("/tools takes NAME on, NAME off, or nothing")
    for tool in tools.list():
        mark = "on " if tool.enabled else "off"
        line = f"{mark} {tool.name:<22} {tool.description.splitlines()[0]}"
        talk.console.say(cut(line, talk.screen.columns))


def _banned(talk: Talk, rest: str) -> None:
    folder, words = talk.where.folder, rest.split(maxsplit=1)
    banned = [*folder.settings.banned_commands]
    if len(words) == 2 and words[0] == "add":
        _set(talk, "banned_commands", [*banned, words[1]])
    elif len(words) == 2 and words[0] == "remove":
        _set(talk, "banned_commands", [one for one in banned if one != words[1]])
    elif words not in ([], ["list"]):
        raise UsageError("/banned takes add NAME, remove NAME, or nothing")
    talk.console.answer(f"commands: {', '.join(folder.settings.banned_commands) or 'none'}\n")
    talk.console.answer(f"programs: {', '.join(folder.settings.banned_apps) or 'none'}\n")


def _confirm_bash(talk: Talk, rest: str) -> None:
    if rest not in ("", "on", "off"):
        raise UsageError("/confirm-bash takes on or off")
    if rest:
        _set(talk, "confirm_bash", rest == "on")
    asked = talk.where.folder.settings.confirm_bash
    talk.console.say("Commands are asked about." if asked else "Commands run unasked.", "dim")


def _set(talk: Talk, key: str, value: Any) -> None:
    """A setting for this process, as a flag of the command line would set it."""
    flags: Any = talk.where.folder.launch.flags
    flags[key] = value
    talk.where.folder.reload()


async def _undo(talk: Talk, _: str) -> None:
    _show_undone(talk, await talk.session.undo())


async def _redo(talk: Talk, _: str) -> None:
    _show_undone(talk, await talk.session.undo(redo=True))


def _show_undone(talk: Talk, done: Undone) -> None:
    for file in done.files:
        path = path_of(file.uri)
        name = file.uri if path is None else talk.where.folder.workspace.relative(path)
        if file.conflict is None:
            talk.console.answer(f"{file.action} {name}\n")
        else:
            talk.console.say(f"{name} {file.conflict}; it is left as it is", "yellow")


async def _tasks(talk: Talk, rest: str) -> None:
    words = shlex.split(rest)
    if words[:1] and re.fullmatch(r"(tsk_)?[0-9a-f]{4,}", words[0]):
        words = ["show", *words]
    given = parse(["tasks", *words])
    given.once = True

    async def work() -> None:
        await task_command(talk.where, given, talk.console)

    await talk.run(f"tasks {rest}", work)


async def _delegate(talk: Talk, rest: str) -> None:
    persona = None
    if rest.startswith("@"):
        persona, _, rest = rest[1:].partition(" ")
    if not rest.strip():
        raise UsageError("/delegate needs the work to do")
    request = DelegateRequest(rest, talk.where.folder, persona=persona, session_id=talk.session.id)
    task = await talk.where.app.tasks.delegate(request)
    talk.console.say(f"Task {task.id} runs in the background; /tasks lists it.", "dim")


async def _model(talk: Talk, rest: str) -> None:
    if rest:
        talk.session.use_model(rest)
    active = talk.session.info.model or talk.where.folder.settings.model
    talk.console.answer(f"* {active}\n")
    if not rest:
        listed = await (await talk.where.folder.model()).models()
        talk.console.answer("".join(f"  {name}\n" for name in listed if name != active))


def _persona(talk: Talk, rest: str) -> None:
    if rest:
        talk.session.use_persona(rest)
    for persona in talk.where.folder.personas():
        mark = "*" if persona.name == talk.session.persona.name else " "
        talk.console.answer(f"{mark} {persona.name:<16} {persona.description}\n")


def _cost(talk: Talk, _: str) -> None:
    talk.console.answer(f"{worded(talk.session.info.usage or NO_USAGE)}\n")


async def _compact(talk: Talk, _: str) -> None:
    async def work() -> None:
        done = await talk.session.compact()
        if done.tokens == done.before:
            talk.console.say("The conversation is short already.", "dim")

    await talk.run("/compact", work)


def _later(talk: Talk, _: str) -> None:
    raise PygentError("unsupported", "This comes with a later version.")


def _exit(talk: Talk, _: str) -> None:
    """Only for the list; `perform` leaves."""


SLASH: dict[str, Slash] = {
    "help": Slash("[COMMAND]", "what there is, or one of it", _help),
    "cmd": Slash(
        "COMMAND", "run a command in the sandbox yourself", _cmd, "For example: /cmd git status", idle=True
    ),
    "cp": Slash(
        "SOURCE [DEST]", "copy a file of this machine into the workspace", _cp, "For example: /cp ~/data.csv"
    ),
    "new": Slash("", "begin a new conversation", _new, "The workspace stays as it is.", idle=True),
    "resume": Slash("[NUMBER|TITLE]", "list earlier conversations, or go on with one", _resume, idle=True),
    "save": Slash("DIR", "save workspace, conversation and settings", _later, idle=True),
    "load": Slash("[DIR]", "go on with what was saved", _later, idle=True),
    "tools": Slash(
        "[NAME on|off]",
        "list the tools, or switch one",
        _tools,
        "For example: /tools bash off\nAlso: /tools disable bash",
    ),
    "banned": Slash(
        "[add|remove NAME]",
        "list banned commands, or change the list",
        _banned,
        "For example: /banned add curl",
    ),
    "confirm-bash": Slash("[on|off]", "ask before each command, or don't", _confirm_bash),
    "undo": Slash(
        "", "take back what the last turn changed", _undo, "What you typed since is kept.", idle=True
    ),
    "redo": Slash("", "make it again", _redo, idle=True),
    "tasks": Slash(
        "[ACTION TASK]",
        "background agents: list, show, log, diff, apply, …",
        _tasks,
        "As `pygent tasks`: /tasks diff TASK, /tasks apply TASK, /tasks send TASK use pytest\n"
        + "\n".join(f"{action:<9}{meaning}" for action, meaning in COMMANDS["tasks"].actions.items()),
    ),
    "delegate": Slash(
        "[@PERSONA] TEXT",
        "give work to a background agent",
        _delegate,
        "It works in a copy of the folder; /tasks apply takes over what it did.",
    ),
    "model": Slash("[NAME]", "list the models, or use another", _model),
    "persona": Slash("[NAME]", "list the personas, or let another speak", _persona),
    "compact": Slash("", "summarise what was said, to make room", _compact, idle=True),
    "cost": Slash("", "the tokens of this conversation, and their cost by `prices`", _cost),
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
