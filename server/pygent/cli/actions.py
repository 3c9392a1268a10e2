"""What the slash commands of a conversation do."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

from pygent import file_trees, save_load
from pygent.budget import worded
from pygent.checkpoints import Undone
from pygent.cli.console import ago, cut
from pygent.cli.grammar import UsageError
from pygent.cli.parser import parse
from pygent.cli.run import open_session
from pygent.cli.talk import Talk
from pygent.cli.tasks import task_command
from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.paths import path_of
from pygent.records import NO_USAGE


async def cmd(talk: Talk, rest: str) -> None:
    """`/cmd COMMAND`."""
    if not rest:
        raise UsageError("/cmd needs a command")

    async def work() -> None:
        sandbox = await talk.where.folder.sandbox(lambda text: talk.console.say(text, "dim"))
        done = await sandbox.run(
            rest, on_output=talk.console.answer, on_notice=lambda text: talk.console.say(text, "yellow")
        )
        if not done.output.endswith("\n"):
            talk.console.answer("\n")
        if done.exit_code:
            talk.console.say(f"exit code {done.exit_code}", "yellow")

    await talk.run(f"$ {rest}", work)


def cp(talk: Talk, rest: str) -> None:
    """`/cp SOURCE [DEST]`."""
    words = shlex.split(rest)
    if len(words) not in (1, 2):
        raise UsageError("/cp needs SOURCE, and may have DEST")
    chosen, workspace = Path(words[0]).expanduser(), talk.where.folder.workspace
    source = Path(os.path.realpath(chosen))
    if not source.exists():
        raise PygentError("notFound", f"There is no {chosen}.")
    target = workspace.resolve(words[1] if len(words) == 2 else chosen.name)
    target = target / chosen.name if workspace.is_folder(target) and not source.is_dir() else target
    try:
        file_trees.copy_tree(source, source.parent, target, workspace.root)
    except OSError as error:
        raise PygentError("conflict", f"{chosen} can't be copied: {error.strerror or error}.") from error
    talk.console.say(f"Copied to {workspace.relative(target)}", "dim")


def new(talk: Talk, _: str) -> None:
    """`/new`."""
    talk.given.resume = None
    off = talk.session.tools.off
    talk.use(open_session(talk.where.app, talk.where, talk.given))
    for name in off:
        talk.session.tools.switch(name, False)
    talk.console.say("A new conversation.", "dim")


def resume(talk: Talk, rest: str) -> None:
    """`/resume [NUMBER|TITLE]`."""
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


def tools(talk: Talk, rest: str) -> None:
    """`/tools`, also in the words of Pygent 1.0."""
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


def banned(talk: Talk, rest: str) -> None:
    """`/banned`."""
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


def confirm_bash(talk: Talk, rest: str) -> None:
    """`/confirm-bash`."""
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


async def undo(talk: Talk, _: str) -> None:
    """`/undo`."""
    _show_undone(talk, await talk.session.undo())


async def redo(talk: Talk, _: str) -> None:
    """`/redo`."""
    _show_undone(talk, await talk.session.undo(redo=True))


def _show_undone(talk: Talk, done: Undone) -> None:
    for file in done.files:
        path = path_of(file.uri)
        name = file.uri if path is None else talk.where.folder.workspace.relative(path)
        if file.conflict is None:
            talk.console.answer(f"{file.action} {name}\n")
        else:
            talk.console.say(f"{name} {file.conflict}; it is left as it is", "yellow")


async def tasks(talk: Talk, rest: str) -> None:
    """`/tasks`: as `pygent tasks`."""
    words = shlex.split(rest)
    if words[:1] and re.fullmatch(r"(tsk_)?[0-9a-f]{4,}", words[0]):
        words = ["show", *words]
    given = parse(["tasks", *words])
    given.once = True

    async def work() -> None:
        await task_command(talk.where, given, talk.console)

    await talk.run(f"tasks {rest}", work)


async def delegate(talk: Talk, rest: str) -> None:
    """`/delegate`."""
    persona = None
    if rest.startswith("@"):
        persona, _, rest = rest[1:].partition(" ")
    if not rest.strip():
        raise UsageError("/delegate needs the work to do")
    request = DelegateRequest(rest, talk.where.folder, persona=persona, session_id=talk.session.id)
    task = await talk.where.app.tasks.delegate(request)
    talk.console.say(f"Task {task.id} runs in the background; /tasks lists it.", "dim")


async def model(talk: Talk, rest: str) -> None:
    """`/model`."""
    if rest:
        talk.session.use_model(rest)
    active = talk.session.info.model or talk.where.folder.settings.model
    talk.console.answer(f"* {active}\n")
    if not rest:
        listed = await (await talk.where.folder.model()).models()
        talk.console.answer("".join(f"  {name}\n" for name in listed if name != active))


def persona(talk: Talk, rest: str) -> None:
    """`/persona`."""
    if rest:
        talk.session.use_persona(rest)
    for persona in talk.where.folder.personas():
        mark = "*" if persona.name == talk.session.persona.name else " "
        talk.console.answer(f"{mark} {persona.name:<16} {persona.description}\n")


def cost(talk: Talk, _: str) -> None:
    """`/cost`: of the turns that have ended."""
    talk.console.answer(f"{worded(talk.session.info.usage or NO_USAGE)}\n")


async def compact(talk: Talk, _: str) -> None:
    """`/compact`."""

    async def work() -> None:
        done = await talk.session.compact()
        if done.tokens == done.before:
            talk.console.say("The conversation is short already.", "dim")

    await talk.run("/compact", work)


async def save(talk: Talk, rest: str) -> None:
    """`/save DIR`."""
    target = _folder("save", rest)

    async def work() -> None:
        done = await save_load.save(talk.session, target)
        talk.console.say(f"Saved the conversation and {len(done.files)} files in {done.dir}")
        if done.left_out:
            talk.console.say(save_load.left_out(done), "yellow")

    await talk.run("saving", work)


async def load(talk: Talk, rest: str) -> None:
    """`/load DIR`."""
    source = _folder("load", rest)

    async def work() -> None:
        done = await save_load.load(talk.where.app.sessions, talk.session, source)
        talk.use(talk.where.app.sessions.get(done.session_id or ""))
        talk.recall()
        talk.console.say(
            f"{len(done.files)} files are loaded; what was here before is in {done.before}", "dim"
        )
        if done.left_out:
            talk.console.say(save_load.left_out(done), "yellow")

    await talk.run("loading", work)


def _folder(command: str, rest: str) -> Path:
    words = shlex.split(rest)
    if len(words) != 1:
        raise UsageError(f"/{command} needs a folder")
    return Path(words[0]).expanduser().absolute()
