"""The interactive session: lines are read all the time, turns run meanwhile, Ctrl-C cancels what runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping

from pygent import __version__
from pygent.cli.completer import SlashCompleter
from pygent.cli.console import Console, cut
from pygent.cli.grammar import UsageError
from pygent.cli.place import Place, place
from pygent.cli.plain import PlainPrompt
from pygent.cli.prompt import Prompt
from pygent.cli.render import Screen
from pygent.cli.run import say_place
from pygent.cli.slash import SLASH, perform, words
from pygent.cli.talk import Talk
from pygent.cli.trusting import ask, person_there
from pygent.errors import PygentError, ToolError

log = logging.getLogger("pygent.cli")


async def interact(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent` on a terminal."""
    with place(given, environ, functools.partial(ask, console) if person_there() else None) as where:
        try:
            return await Repl(where, given, console, dumb=environ.get("TERM") == "dumb").run()
        finally:
            await where.app.close()


class Repl:
    """One interactive session over one place."""

    def __init__(self, where: Place, given: argparse.Namespace, console: Console, *, dumb: bool) -> None:
        self._where = where
        self._prompt = self._plain_prompt(console) if dumb else self._full_prompt(console)
        self._plain = console
        above = self._prompt.above
        self._console = Console(above, above, console.colour, lambda: self._prompt.columns)
        self._screen = Screen(self._console)
        self._screen.redraw = self._prompt.redraw
        self._screen.aside, self._screen.back = self._prompt.set_aside, self._prompt.restore
        where.app.attach(self._screen)
        self._talk = Talk(where, given, self._console, self._screen)

    def _full_prompt(self, console: Console) -> Prompt:
        where = self._where
        commands = {name: one.summary for name, one in SLASH.items()}
        return Prompt(
            where.app.launch.state / "prompt-history",
            SlashCompleter(
                lambda: where.folder.workspace.root, commands, lambda name: words(self._talk, name)
            ),
            label=self._label,
            live=lambda columns, rows: self._screen.live(columns, rows),  # noqa: PLW0108 - made later
            toolbar=self._toolbar,
            interrupted=self._interrupted,
            colour=console.colour,
        )

    def _plain_prompt(self, console: Console) -> PlainPrompt:
        return PlainPrompt(
            console, label=self._label, interrupted=self._interrupted, working=lambda: self._screen.working
        )

    def _label(self, columns: int) -> str:
        return self._screen.label(columns, self._talk.session.persona.name)

    def _interrupted(self) -> bool:
        if self._talk.cancel():
            return True
        self._console.say("Ctrl-C again, or Ctrl-D, leaves.", "dim")
        return False

    async def run(self) -> int:
        """Read and do, until the person leaves."""
        self._greet()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: log.error("%s", context))
        preloading = asyncio.create_task(asyncio.to_thread(self._where.app.preload))
        try:
            with contextlib.suppress(EOFError), self._prompt.listening():
                while await self._do(await self._prompt.read()):
                    pass
        finally:
            self._talk.cancel()
            await asyncio.wait([preloading])
            self._prompt.close()
        self._plain.say(f"Go on later with: pygent --resume {self._talk.session.id}", "dim")
        return 0

    def _greet(self) -> None:
        console, settings = self._console, self._where.folder.settings
        console.say(f"Pygent {__version__} · {settings.model} · /help lists the commands", "bold")
        say_place(console, self._where)
        for task in self._where.app.stay([self._where.folder.uri]):
            console.say(f"A task that was interrupted goes on: {task.title}", "yellow")
        self._talk.recall()

    async def _do(self, text: str) -> bool:
        """What a line says; False to leave."""
        if self._screen.answer(text):
            return True
        text = text.strip()
        if not text:
            return True
        if not self._prompt.echoes:
            self._talk.echo(text)
        try:
            name = text[1:].partition(" ")[0]
            if text.startswith("/") and "/" not in name:
                return await perform(self._talk, text)
            self._talk.say(text)
        except PygentError as error:
            self._console.error(error.message, error.fix)
        except (UsageError, ToolError, OSError, ValueError) as error:
            self._console.error(f"{str(error).rstrip('.')}.", "/help lists the commands.")
        return True

    def _toolbar(self, columns: int) -> str:
        """What is good to know at a glance, as far as it fits."""
        folder, session = self._where.folder, self._talk.session
        status = folder.sandbox_status()
        running = sum(
            task.status in ("queued", "running") for task in self._where.app.tasks.recorded(limit=20)
        )
        parts = [
            session.info.model or folder.settings.model,
            status.effective if status is not None else "",
            f"{running} tasks" if running else "",
            "asks before commands" if folder.settings.confirm_bash else "commands run unasked",
            "/help",
        ]
        return cut(" · ".join(part for part in parts if part), columns - 1)
