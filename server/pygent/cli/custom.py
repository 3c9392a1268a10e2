"""Slash commands of the person's own, which modules of the `[[tools]]` setting register."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable

from pygent.cli.talk import Talk
from pygent.commands import COMMANDS, Command
from pygent.errors import PygentError


async def custom_commands(talk: Talk) -> dict[str, Command]:
    """The registered commands by name, without the slash; loads the modules of the settings first."""
    await talk.where.folder.load_tools()
    return {name[1:]: command for name, command in COMMANDS.items()}


async def run_custom(talk: Talk, name: str, command: Command, rest: str) -> None:
    """Call a handler on a thread of its own; what it prints is shown.  Raises PygentError if it fails."""
    from pygent.classic import Agent  # noqa: PLC0415 - for the few who have such commands
    from pygent.classic.runtime import FolderRuntime  # noqa: PLC0415

    loop, session = asyncio.get_running_loop(), talk.session

    def call() -> None:
        agent = Agent(FolderRuntime(loop, session.folder), session=session)
        with contextlib.redirect_stdout(_Shown(loop, talk.console.answer)):
            command(agent, rest)

    try:
        await asyncio.to_thread(call)
    except Exception as error:
        message = f"/{name} failed: {type(error).__name__}: {error}."
        raise PygentError("unsupported", message, "It is a command of your own.") from error


class _Shown(io.TextIOBase):
    """Takes what is printed on another thread to the terminal."""

    def __init__(self, loop: asyncio.AbstractEventLoop, show: Callable[[str], None]) -> None:
        self._loop = loop
        self._show = show

    def write(self, text: str) -> int:
        self._loop.call_soon_threadsafe(self._show, text)
        return len(text)
