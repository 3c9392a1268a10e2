"""Commands that go on while the agent works: servers, watchers, long builds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from pygent.errors import PygentError, ToolError
from pygent.events import Notice
from pygent.sandbox import CommandResult, Sandbox
from pygent.tools import Arguments, Result, ToolContext

MOST = 8
"""Commands of one session that may run in the background at once."""
KEPT = 32 * 1024
"""Characters of output that wait to be read; of more, the latest count."""
FIRST_LOOK = 0.5
"""Seconds in which a command that fails at once is seen to fail."""
SETTLE = 0.3
"""Seconds for what follows on new output: the rest of it, or the command's end."""
LONGEST_WAIT = 60.0

CommandId = Annotated[str, Meta(description="As bash gave it, such as cmd_1.")]


class _Command:
    """A command and what it said since somebody last looked."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.job: asyncio.Task[CommandResult] | None = None
        self.heard = asyncio.Event()
        self._unread = ""

    def hear(self, text: str) -> None:
        """Take in output."""
        self._unread = (self._unread + text)[-KEPT:]
        self.heard.set()

    def report(self) -> str:
        """The output since the last report, and whether the command still runs."""
        text, self._unread = self._unread, ""
        self.heard.clear()
        assert self.job is not None
        return f"{text.rstrip() or '(no new output)'}\n[{_state(self.job)}]"


class Background:
    """The background commands of one session; they end with it at the latest."""

    def __init__(self) -> None:
        self._commands: dict[str, _Command] = {}

    @property
    def running(self) -> bool:
        """Whether any command goes on."""
        return any(not _done(command) for command in self._commands.values())

    async def start(
        self, run: Callable[[Callable[[str], None]], asyncio.Task[CommandResult]], line: str
    ) -> tuple[str, str]:
        """Start a command; its id, and a first report.  Raises ToolError where too many run."""
        if sum(not _done(command) for command in self._commands.values()) >= MOST:
            raise ToolError(f"{MOST} commands run in the background already; stop one with stop_command.")
        name = f"cmd_{len(self._commands) + 1}"
        command = self._commands[name] = _Command(line)
        command.job = run(command.hear)
        await asyncio.wait({command.job}, timeout=FIRST_LOOK)
        return name, command.report()

    async def read(self, name: str, wait: float) -> str:
        """What a command said since the last look; waits up to `wait` seconds for anything."""
        command = self._command(name)
        assert command.job is not None
        if wait > 0:
            hearing = asyncio.ensure_future(command.heard.wait())
            await asyncio.wait({command.job, hearing}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            hearing.cancel()
            await asyncio.wait({command.job}, timeout=SETTLE)  # last words and the end come as one
        return command.report()

    async def stop(self, name: str) -> str:
        """End a command with everything that it started; its last words."""
        command = self._command(name)
        assert command.job is not None
        command.job.cancel()
        await asyncio.wait({command.job})
        return command.report()

    async def close(self) -> None:
        """End every command."""
        jobs = [command.job for command in self._commands.values() if command.job is not None]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _command(self, name: str) -> _Command:
        command = self._commands.get(name)
        if command is None:
            known = ", ".join(self._commands) or "none"
            raise ToolError(f"There is no background command {name!r}; known: {known}.")
        return command


class CommandOutput(Arguments):
    """Read what a background command printed since the last look, and whether it still runs."""

    name: ClassVar[str] = "command_output"
    command_id: CommandId
    wait: Annotated[float, Meta(description="Seconds to wait for new output, at most 60.")] = 0

    def title(self) -> str:
        """The command."""
        return f"Look at {self.command_id}"

    async def run(self, context: ToolContext) -> Result:
        """Wait and read."""
        return Result(await context.background.read(self.command_id, min(self.wait, LONGEST_WAIT)))


class StopCommand(Arguments):
    """End a background command."""

    name: ClassVar[str] = "stop_command"
    command_id: CommandId

    def title(self) -> str:
        """The command."""
        return f"Stop {self.command_id}"

    async def run(self, context: ToolContext) -> Result:
        """End it and read its last words."""
        return Result(await context.background.stop(self.command_id))


async def start(context: ToolContext, sandbox: Sandbox, command: str, outputs: Path) -> Result:
    """Start a command in the background for `bash`.  Raises ToolError where that can't be."""
    if not sandbox.overlapping:
        raise ToolError("The sandbox's image has no Python, so that nothing can run in the background.")

    def run(hear: Callable[[str], None]) -> asyncio.Task[CommandResult]:
        def tell(text: str) -> None:
            hear(f"\n[{text}]\n")
            context.emit(Notice(level="warning", text=text, code="protected"))

        return asyncio.create_task(
            sandbox.run(command, on_output=hear, outputs=outputs, background=True, on_notice=tell)
        )

    name, report = await context.background.start(run, command)
    return Result(f"Started as {name}; command_output reads it, stop_command ends it.\n{report}")


def _done(command: _Command) -> bool:
    return command.job is None or command.job.done()


def _state(job: asyncio.Task[CommandResult]) -> str:
    if not job.done():
        return "running"
    if job.cancelled():
        return "stopped"
    error = job.exception()
    if isinstance(error, PygentError):
        return f"ended: {error.message}"
    if error is not None:
        return f"ended: {type(error).__name__}"
    done = job.result()
    return f"ended with exit code {done.exit_code}" + (f". {done.hint}" if done.hint else "")


TOOLS = (CommandOutput, StopCommand)
