"""What a conversation on the terminal is about: its place, its session, and what runs besides the turn."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from pygent.cli.console import Console, safe
from pygent.cli.place import Place
from pygent.cli.render import Screen
from pygent.cli.run import open_session
from pygent.errors import PygentError
from pygent.events import Message, TurnFinished, TurnStarted
from pygent.session import Session

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
RECALLED = 2
"""Turns that are shown of a conversation that goes on."""


@dataclass
class Talk:
    """The state of the interactive session, and what its commands do to it."""

    where: Place
    given: argparse.Namespace
    console: Console
    screen: Screen
    session: Session = field(init=False)
    work: asyncio.Future[None] | None = None
    """A command of the person's own that runs."""

    def __post_init__(self) -> None:
        self.use(open_session(self.where.app, self.where, self.given))

    def use(self, session: Session) -> None:
        """Go on with a session."""
        self.session = session
        self.screen.session_id = session.id

    @property
    def busy(self) -> bool:
        """Whether a turn or a command of the person's own runs."""
        return self.session.turn_id is not None or self.work is not None

    def say(self, text: str) -> None:
        """Begin a turn with a person's message, or tell it to the turn that runs."""
        if self.session.turn_id is None:
            self.session.start(text, images=self._images(text))
        elif self.session.post(text, steers=True) is not None:
            self.console.say("The agent hears it at its next step.", "dim")

    def _images(self, text: str) -> list[Path]:
        """The images that the message names with an `@`."""
        named = [word[1:] for word in text.split() if word.startswith("@") and word.lower().endswith(IMAGES)]
        workspace = self.where.folder.workspace
        return [path for path in map(workspace.resolve, named) if workspace.is_file(path)]

    def cancel(self) -> bool:
        """Cancel what runs; False if nothing does."""
        if self.work is not None:
            self.work.cancel()
        elif self.session.turn_id is not None:
            self._cancelling = asyncio.ensure_future(self.session.cancel())
        else:
            return False
        return True

    async def run(self, doing: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that takes its time in the background, so that Ctrl-C reaches it."""
        self.screen.begin(doing)
        self.work = asyncio.ensure_future(self._guarded(work))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            self.console.say("Cancelled.", "yellow")
        except PygentError as error:
            self.console.error(error.message, error.fix)
        finally:
            self.work = None
            self.screen.end()

    def recall(self) -> None:
        """Show the last turns of a conversation that goes on."""
        events = self.session.events()
        starts = [place for place, one in enumerate(events) if isinstance(one.event, TurnStarted)]
        if not starts:
            return
        if len(starts) > RECALLED:
            self.console.say(f"… {len(starts) - RECALLED} earlier turns …", "dim")
        for envelope in events[starts[-RECALLED:][0] :]:
            match envelope.event:
                case TurnStarted(text=text):
                    self.echo(text)
                case Message(role="assistant", text=text) if text.strip():
                    self.screen.write(safe(text))
                case TurnFinished(status=status) if status != "completed":
                    self.console.say(f"This turn ended early ({status}); say how to go on.", "yellow")

    def echo(self, text: str) -> None:
        """What the person said, as it stands above the prompt; long texts only by their start."""
        lines = text.split("\n")
        shown = lines if len(lines) <= 8 else [*lines[:6], f"… {len(lines) - 6} more lines …"]
        self.console.say("")
        for number, line in enumerate(shown):
            self.console.say(f"{'> ' if number == 0 else '  '}{line}", "bold")
