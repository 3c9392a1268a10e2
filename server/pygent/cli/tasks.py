"""`pygent tasks`: what background agents do and have done, and what to take of it."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from pygent.app import App
from pygent.cli.console import Console, brief, named, safe
from pygent.cli.diffs import styled
from pygent.cli.grammar import UsageError
from pygent.cli.lines import TASK_COLUMNS, Events, task_row
from pygent.cli.place import Place, opened
from pygent.cli.run import follow
from pygent.errors import PygentError
from pygent.records import Task
from pygent.tasks import FINISHED

SHORTEST = 4
"""Characters of a word that is taken for a part of an id."""
SHOWN = 50
"""Tasks that a list shows, the latest."""


async def tasks(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent tasks` and its actions."""
    async with opened(given, environ) as where:
        return await task_command(where, given, console)


async def task_command(where: Place, given: argparse.Namespace, console: Console) -> int:
    """One of the actions, in a place that is open.  Raises UsageError and PygentError."""
    if given.action == "list":
        if given.ids:
            raise UsageError("tasks list takes no task; tasks show does")
        return await _list(where.app, given, console)
    if given.action == "send":
        return await _send(where, given, console)
    found = [_find(where.app, word) for word in given.ids]
    if not found:
        raise UsageError(f"tasks {given.action} needs the id of a task")
    return await _TASKS[given.action](where, found, given, console)


async def _list(app: App, given: argparse.Namespace, console: Console) -> int:
    """The table of tasks; on a terminal it stays and follows them until they have ended."""
    found = app.tasks.recorded()
    running = any(task.status in ("queued", "running") for task in found)
    found = found[:SHOWN]
    if given.json:
        console.json({"tasks": msgspec.to_builtins(found)})
        return 0
    if running and console.out.isatty() and not given.once:
        from pygent.cli.live import follow_table  # noqa: PLC0415 - rich is heavy

        await follow_table(app.tasks.recorded, console)
        return 0
    console.table([task_row(task) for task in found], TASK_COLUMNS)
    return 0


async def _send(where: Place, given: argparse.Namespace, console: Console) -> int:
    """Say something to a task; one that had ended goes on in this process and is followed."""
    if len(given.ids) < 2:
        raise UsageError("tasks send needs the id of a task and what to say")
    task, text = _find(where.app, given.ids[0]), " ".join(given.ids[1:])
    if where.app.tasks.settled(task):

        async def again() -> Task:
            where.app.tasks.send(task.id, text)
            return where.app.tasks.get(task.id)

        return await follow(where, again, given, console)
    where.app.tasks.send(task.id, text)
    console.json({"delivered": True}) if given.json else console.say(f"{task.id} hears it at its next step")
    return 0


def _find(app: App, word: str) -> Task:
    """A task by its id, or by how that begins or ends.  Raises PygentError `notFound`."""
    if not word:
        raise UsageError("the id of a task is empty")
    found = [task for task in app.tasks.recorded() if task.id.startswith(word) or task.id.endswith(word)]
    if len(word) < SHORTEST or len(found) < 2 or word in {task.id for task in found}:
        return found[0] if len(found) == 1 and len(word) >= SHORTEST else app.tasks.get(word)
    raise PygentError(
        "notFound", f"There are {len(found)} tasks with {word!r} in the id.", "List them: pygent tasks."
    )


async def _show(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    for task in found:
        if given.json:
            console.json({"task": msgspec.to_builtins(task)})
            continue
        for name, value in msgspec.to_builtins(task).items():
            console.answer(f"{name:<16} {_told(name, value)}\n")
        if reply := where.app.tasks.results.reply(task.id):
            console.answer(f"\n{reply}\n")
    return 0


def _told(name: str, value: object) -> str:
    if name.endswith("At") and isinstance(value, int):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value / 1000))
    if name == "persona" and isinstance(value, dict):
        return str(value["name"])
    return value if isinstance(value, str) else brief(value)


async def _log(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    if len(found) != 1:
        raise UsageError("tasks log needs one task")
    seen, shown = 0, Events(console)
    session_id, task_id = found[0].session_id, found[0].id
    while True:
        ended = where.app.tasks.settled(where.app.tasks.get(task_id))
        for envelope in where.app.store.events(session_id, after=seen):
            seen = envelope.seq
            console.json(envelope) if given.json else shown.show(envelope)
        if ended or not given.follow:
            if not given.json and (reply := where.app.tasks.results.reply(task_id)):
                console.answer(f"{reply}\n")
            return 0
        await asyncio.sleep(0.2)


async def _wait(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    ended = await where.app.tasks.wait([task.id for task in found], given.timeout)
    for task in ended:
        console.json({"task": task}) if given.json else console.answer(f"{task.id} {task.status}\n")
    if any(task.status == "waiting" for task in ended):
        return 3
    if any(task.status not in FINISHED for task in ended):
        return 124
    return 0 if all(task.status == "completed" for task in ended) else 1


async def _cancel(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    code = 0
    for task in found:
        ended = await where.app.tasks.cancel(task.id)
        console.json({"task": ended}) if given.json else console.answer(f"{ended.id} {ended.status}\n")
        if ended.status not in FINISHED:
            console.error(f"The process that runs {ended.id} does not end it.", "Try again.")
            code = 1
    return code


async def _retry(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    """The new task runs while this process does, as with `pygent delegate`."""
    if len(found) != 1:
        raise UsageError("tasks retry needs one task")
    return await follow(where, lambda: where.app.tasks.retry(found[0].id), given, console)


async def _diff(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    """On a terminal as people read it, otherwise as `git apply` takes it."""
    for task in found:
        if not given.json and not console.out.isatty():
            console.data(await where.app.tasks.results.patch(task.id))
            continue
        diff, entries = await where.app.tasks.results.diff(task.id)
        if given.json:
            console.json({"diff": diff, "files": [entry.summary() for entry in entries]})
        else:
            console.raw(coloured(safe(diff), console), console.out)
    return 0


def coloured(diff: str, console: Console) -> str:
    """A unified diff in colours, where there are any."""
    return "".join(console.style(line, style) + "\n" for line, style in styled(diff)) if diff else ""


async def _apply(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    if len(found) != 1:
        raise UsageError("tasks apply needs one task")
    done = await where.app.tasks.results.apply(
        found[0].id, paths=given.path, preview=given.preview, folder=where.folder
    )
    if given.json:
        console.json(done)
    else:
        console.answer("".join(f"{named(path)}\n" for path in done.applied))
        for conflict in done.conflicts:
            console.say(f"{named(conflict.path)} {conflict.reason}; it is left as it is", "yellow")
    return 1 if done.conflicts else 0


async def _delete(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    for task in found:
        deleted = await where.app.tasks.delete(task.id)
        console.json({"deleted": deleted}) if given.json else console.answer(f"{task.id} deleted\n")
    return 0


async def _collect(where: Place, found: list[Task], given: argparse.Namespace, console: Console) -> int:
    if not given.path or len(found) != 1 or (given.dest and len(given.path) > 1):
        raise UsageError("tasks collect needs one task and --path FILE")
    copies = [
        copy
        for path in given.path
        for copy in where.app.tasks.results.collect(found[0].id, path, given.dest, where.folder)
    ]
    if given.json:
        console.json({"collected": copies})
    else:
        console.answer("".join(f"{named(path)}\n" for path in copies))
    return 0


_TASKS: dict[str, Callable[[Place, list[Task], argparse.Namespace, Console], Awaitable[int]]] = {
    "show": _show,
    "log": _log,
    "wait": _wait,
    "cancel": _cancel,
    "retry": _retry,
    "diff": _diff,
    "apply": _apply,
    "collect": _collect,
    "delete": _delete,
}
