"""The commands that look at things and set them in order."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pygent.app import App
from pygent.cli.console import Console, Events
from pygent.cli.parser import UsageError
from pygent.cli.place import Place, place
from pygent.config import Trust, wire
from pygent.events import Task
from pygent.paths import state_folder
from pygent.tasks import FINISHED

Command = Callable[[argparse.Namespace, Mapping[str, str], Console], Awaitable[int]]


@contextlib.asynccontextmanager
async def _opened(given: argparse.Namespace, environ: Mapping[str, str]) -> AsyncIterator[Place]:
    """The current folder's App, without a fresh workspace: these commands look at what is there."""
    given.cwd = not given.workspace
    with place(given, environ) as where:
        try:
            yield where
        finally:
            await where.app.close()


async def config(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent config show|check`: 4 if anything is wrong."""
    async with _opened(given, environ) as where:
        found = where.folder.config
        if given.json:
            console.json(found.show())
        elif given.action == "show":
            rows = [
                [key, _brief(wire(value)), value.origin.layer, _location(value.origin)]
                for key, value in found.values.items()
            ]
            console.table(rows, ["setting", "value", "origin", "where"])
        for problem in found.diagnostics:
            colour = {"error": "red", "warning": "yellow"}.get(problem.severity, "dim")
            at = f"{problem.file}:{problem.line}: " if problem.file and problem.line else ""
            console.say(f"{at}{problem.severity}: {problem.message}", colour)
            if problem.fix:
                console.say(f"  {problem.fix}")
        errors = any(problem.severity == "error" for problem in found.diagnostics)
        if given.action == "check" and not errors and not given.json:
            console.answer("The settings are in order.\n")
        return 4 if errors else 0


def _brief(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def _location(origin: Any) -> str:
    if origin.file is not None:
        span = origin.span
        return f"{origin.file.path}:{span.line}" if span is not None else str(origin.file.path)
    return str(origin.name) if origin.layer in ("environment", "flag") else ""


async def sessions(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent sessions`: those of the current folder, or all."""
    async with _opened(given, environ) as where:
        uri = None if given.all else where.folder.uri
        page, _ = where.app.sessions.page(folder_uri=uri, limit=given.limit)
        if given.json:
            console.json({"sessions": msgspec.to_builtins(page)})
            return 0
        rows = [[info.id, _ago(info.updated_at), info.status, info.title] for info in page]
        console.table(rows, ["session", "used", "status", "title"])
        console.say("Go on with one: pygent --resume SESSION", "dim")
        return 0


async def personas(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent personas`."""
    async with _opened(given, environ) as where:
        found = where.folder.personas()
        if given.json:
            console.json({"personas": msgspec.to_builtins(found)})
        else:
            console.table([[one.name, one.description] for one in found], ["persona", "description"])
        return 0


async def sandbox(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent sandbox status|run CMD`: `run` ends with the command's own exit code."""
    async with _opened(given, environ) as where:
        box = await where.folder.sandbox(lambda text: console.say(text, "dim"))
        if given.action == "run":
            if not given.words:
                raise UsageError("sandbox run needs a command")
            live = None if given.json else console.answer
            done = await box.run(" ".join(given.words), on_output=live)
            if given.json:
                console.json(done)
            return 124 if done.timed_out else done.exit_code or 0
        status = box.status()
        if given.json:
            console.json(status)
            return 0
        limits = ", ".join(f"{name} {value}" for name, value in status.limits.items()) or "none"
        rows = {
            "isolation": f"{status.effective} (asked for: {status.requested})",
            "why": status.reason or "-",
            "image": status.image or "-",
            "network": "on" if status.network else "off",
            "workspace": f"{where.folder.workspace.root} as {status.workspace}",
            "limits": limits,
        }
        console.answer("".join(f"{name:<10} {value}\n" for name, value in rows.items()))
        return 0


async def doctor(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent doctor`: 1 if anything fails."""
    from pygent.doctor import check  # noqa: PLC0415

    async with _opened(given, environ) as where:
        checks = await check(where.app, where.folder)
    if given.json:
        console.json({"checks": msgspec.to_builtins(checks)})
    else:
        marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
        for one in checks:
            mark, colour = marks[one.status]
            console.answer(f"{console.style(mark, colour)} {one.message}\n")
            if one.fix:
                console.answer(f"    {one.fix}\n")
    return 1 if any(one.status == "fail" for one in checks) else 0


async def trust(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent trust [FOLDER]`: lets its files set what could do harm, until they change."""
    if given.list:
        for path in Trust(state_folder()).entries():
            console.answer(f"{path}\n")
        return 0
    given.workspace = str(_existing(given.folder or Path.cwd()))
    async with _opened(given, environ) as where:
        wanted = where.folder.config.withheld
        where.folder.set_trust(not given.revoke)
        if given.revoke:
            console.answer(f"{where.folder.root} is no longer trusted.\n")
            return 0
        console.answer(f"{where.folder.root} is trusted until one of its settings files changes.\n")
        for value in wanted:
            console.answer(f"  {value.key} = {_brief(wire(value))}  ({_location(value.origin)})\n")
        return 0


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return folder.resolve()


async def tasks(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent tasks list|show|log|wait|cancel|collect`."""
    if given.action in ("retry", "diff", "apply"):
        raise UsageError(f"tasks {given.action} comes with a later version")
    async with _opened(given, environ) as where:
        if given.action == "list":
            return _list_tasks(where.app, given, console)
        found = [_find(where.app, word) for word in given.ids]
        if not found:
            raise UsageError(f"tasks {given.action} needs the id of a task")
        return await _TASKS[given.action](where, found, given, console)


def _list_tasks(app: App, given: argparse.Namespace, console: Console) -> int:
    found = app.tasks.recorded(limit=50)
    if given.json:
        console.json({"tasks": msgspec.to_builtins(found)})
        return 0
    rows = [[one.id, one.status, _ago(one.created_at), one.persona.name, one.title] for one in found]
    console.table(rows, ["task", "status", "made", "persona", "title"])
    return 0


def _find(app: App, word: str) -> Task:
    """A task by its id or the end of it.  Raises PygentError `notFound`."""
    ends = [task for task in app.tasks.recorded() if task.id.endswith(word)]
    return ends[0] if len(ends) == 1 else app.tasks.get(word)


async def _show(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    for task in found:
        if given.json:
            console.json({"task": msgspec.to_builtins(task)})
            continue
        for name, value in msgspec.to_builtins(task).items():
            console.answer(f"{name:<16} {value if isinstance(value, str) else _brief(value)}\n")
        if reply := where.app.tasks.reply(task.id):
            console.answer(f"\n{reply}\n")
    return 0


async def _log(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    seen, shown = 0, Events(console)
    session_id, task_id = found[0].session_id, found[0].id
    while True:
        ended = where.app.tasks.get(task_id).status in FINISHED
        for envelope in where.app.sessions.get(session_id).events(seen):
            seen = envelope.seq
            console.json(envelope) if given.json else shown.show(envelope)
        if ended or not given.follow:
            if not given.json and (reply := where.app.tasks.reply(task_id)):
                console.answer(f"{reply}\n")
            return 0
        await asyncio.sleep(0.2)


async def _wait(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    ended = await where.app.tasks.wait([task.id for task in found], given.timeout)
    for task in ended:
        console.json({"task": task}) if given.json else console.answer(f"{task.id} {task.status}\n")
    if any(task.status not in FINISHED for task in ended):
        return 124
    return 0 if all(task.status == "completed" for task in ended) else 1


async def _cancel(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    for task in found:
        ended = await where.app.tasks.cancel(task.id)
        console.json({"task": ended}) if given.json else console.answer(f"{ended.id} {ended.status}\n")
    return 0


async def _collect(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    if not given.path or len(found) != 1:
        raise UsageError("tasks collect needs one task and --path FILE")
    copies = where.app.tasks.collect(found[0].id, given.path, given.dest, where.folder)
    if given.json:
        console.json({"collected": copies})
    else:
        console.answer("".join(f"{path}\n" for path in copies))
    return 0


_TASKS: dict[str, Callable[[Place, list[Task], argparse.Namespace, Console], Awaitable[int]]] = {
    "show": _show,
    "log": _log,
    "wait": _wait,
    "cancel": _cancel,
    "collect": _collect,
}


def _ago(at: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(time.time() - at / 1000))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


COMMANDS: dict[str, Callable[..., Any]] = {
    "config": config,
    "sessions": sessions,
    "personas": personas,
    "sandbox": sandbox,
    "doctor": doctor,
    "trust": trust,
    "tasks": tasks,
}
