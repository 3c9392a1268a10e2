"""The commands that look at things and set them in order."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pygent.cli.approvals import approvals
from pygent.cli.config import config, location
from pygent.cli.console import Console, ago, safe
from pygent.cli.grammar import UsageError
from pygent.cli.place import opened, place
from pygent.cli.tasks import tasks
from pygent.cli.trusting import ask, foreign, lines, person_there
from pygent.config import Trust
from pygent.paths import state_folder

Command = Callable[[argparse.Namespace, Mapping[str, str], Console], Awaitable[int]]


async def sessions(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent sessions`: those of the current folder, or all."""
    async with opened(given, environ) as where:
        uri = None if given.all else where.folder.uri
        page, _ = where.app.sessions.page(folder_uri=uri, limit=given.limit)
        if given.json:
            console.json({"sessions": msgspec.to_builtins(page)})
            return 0
        rows = [[info.id, ago(info.updated_at), info.status, info.title] for info in page]
        console.table(rows, ["session", "used", "status", "title"])
        console.say("Go on with one: pygent --resume SESSION", "dim")
        return 0


async def personas(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent personas`."""
    async with opened(given, environ) as where:
        found = where.folder.personas()
        if given.json:
            console.json({"personas": msgspec.to_builtins(found)})
        else:
            console.table([[one.name, one.description] for one in found], ["persona", "description"])
        return 0


async def sandbox(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent sandbox status|run CMD`: `run` ends with the command's own exit code."""
    async with opened(given, environ) as where:
        box = await where.folder.sandbox(lambda text: console.say(text, "dim"))
        if given.action == "run":
            if not given.words:
                raise UsageError("sandbox run needs a command")
            live = None if given.json else console.answer
            done = await box.run(
                " ".join(given.words),
                on_output=live,
                on_notice=lambda text: console.say(text, "yellow"),
            )
            if (told := where.folder.changed_by_agent()) is not None:
                console.say(told, "yellow")
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

    given.cwd = not _at_home(environ)
    with place(given, environ) as where:
        try:
            checks = await check(where.app, where.folder, encoding=console.out.encoding)
        finally:
            await where.app.close()
    if given.json:
        console.json({"checks": msgspec.to_builtins(checks)})
    else:
        marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
        for one in checks:
            mark, colour = marks[one.status]
            console.raw(f"{console.style(mark, colour)} {safe(one.message)}\n", console.out)
            if one.fix:
                console.answer(f"    {one.fix}\n")
    return 1 if any(one.status == "fail" for one in checks) else 0


def _at_home(environ: Mapping[str, str]) -> bool:
    """Whether this is the home folder, which can't be a workspace; a fresh one is checked from there."""
    return Path.cwd() == Path(environ.get("HOME") or Path.home()).resolve()


async def trust(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent trust [FOLDER]`: lets its files set what could do harm, until they change."""
    if given.list:
        for path in Trust(state_folder()).entries():
            console.answer(f"{path}\n")
        return 0
    given.workspace = str(_existing(given.folder or Path.cwd()))
    async with opened(given, environ) as where:
        folder = where.folder
        if given.revoke:
            folder.set_trust(False)
            console.answer(f"{folder.root} is no longer trusted.\n")
            return 0
        config, look = folder.config, folder.look
        if foreign(config) and person_there() and not given.yes and not ask(console, config):
            console.answer(f"{folder.root} is not trusted.\n")
            return 1
        folder.accept(look)
        until = "one of its settings files, or a file that they name, changes"
        console.answer(f"{folder.root} is trusted until {until}.\n")
        for line in lines(foreign(config), config):
            console.answer(f"{line}\n")
        for name in sorted(look.marks):
            console.answer(f"  trusted as it is now: {name}\n")
        for value in foreign(folder.config):
            console.answer(f"  still not taken: {value.key}  ({location(value.origin)})\n")
        return 0


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return folder.resolve()


COMMANDS: dict[str, Callable[..., Any]] = {
    "config": config,
    "sessions": sessions,
    "personas": personas,
    "sandbox": sandbox,
    "doctor": doctor,
    "trust": trust,
    "tasks": tasks,
    "approvals": approvals,
}
