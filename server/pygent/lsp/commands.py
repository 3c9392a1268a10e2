"""The registry of commands: names, arguments, and how both are checked.

Arguments are structs; a wrong one is refused with its field and what belongs there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pygent.errors import InvalidArgument, PygentError
from pygent.lsp.base import FAILED, PARAMS, ResponseError
from pygent.records import new_id

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer


class Arguments(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """The arguments of a command."""


class Nothing(Arguments, frozen=True, kw_only=True):
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the protocol.

    `main` is the field into which bare strings go; `result` describes the answer for the documentation.
    """

    name: str
    arguments: type[Arguments]
    run: Callable[[Any, Any], Awaitable[Any]]
    result: str
    main: str | None = None


COMMANDS: dict[str, Command] = {}
Run = TypeVar("Run", bound=Callable[..., Awaitable[Any]])


def command(name: str, result: str, main: str | None = None) -> Callable[[Run], Run]:
    """Register an async function `(server, arguments)` as a command."""

    def register(run: Run) -> Run:
        kind = run.__globals__[run.__annotations__["args"]]
        COMMANDS[name] = Command(name, kind, run, result, main)
        return run

    return register


def listed() -> list[Command]:
    """Every command, by module and place in it: the same order whatever was imported first."""
    return sorted(
        COMMANDS.values(), key=lambda found: (found.run.__module__, found.run.__code__.co_firstlineno)
    )


async def execute(server: PygentServer, params: Any) -> Any:
    """Run a `workspace/executeCommand`.  Raises ResponseError for whatever is refused."""
    name = params.get("command") if isinstance(params, dict) else None
    found = COMMANDS.get(name) if isinstance(name, str) else None
    if found is None:
        raise ResponseError(
            PARAMS,
            f"There is no command {name!r}.",
            {"field": "command", "expected": "a command of initialize"},
        )
    arguments = bind(found, params.get("arguments"))
    running = RunningCommand(server, found.name, params.get("workDoneToken"))
    running_command.set(running)
    try:
        return await answered(found.run(server, arguments))
    finally:
        running.end()


class RunningCommand:
    """A command while it runs: its progress, under the client's token or when it has something to say."""

    def __init__(self, server: PygentServer, name: str, token: Any) -> None:
        self.key = new_id("itm")
        self._server = server
        self._name = name
        task = asyncio.current_task()
        assert task is not None
        self._cancel = task.cancel
        if isinstance(token, str | int) and not isinstance(token, bool):
            self._begin("", token)

    def _begin(self, message: str, token: str | int | None) -> None:
        title = f"Pygent: {self._name.removeprefix('pygent.')}"
        self._server.works.begin(self.key, title, message, self._cancel, token)

    def says(self, text: str) -> None:
        """Show how far it is; waiting for an image is worth a progress of its own."""
        self._begin(text, None)
        self._server.works.report(self.key, text)

    def end(self) -> None:
        """It has ended, however it did."""
        self._server.works.end(self.key)


running_command: ContextVar[RunningCommand | None] = ContextVar("running_command", default=None)


async def answered(work: Awaitable[Any]) -> Any:
    """What a handler returns; a refusal as the error that the client gets.  Raises ResponseError."""
    try:
        return await work
    except InvalidArgument as error:
        raise ResponseError(
            PARAMS, error.message, {"field": error.field, "expected": error.expected}
        ) from error
    except PygentError as error:
        data = {"code": error.code} | ({"fix": error.fix} if error.fix else {})
        raise ResponseError(FAILED, error.message, data) from error


def bind(found: Command, given: Any) -> Arguments:
    """The arguments as their struct.  Raises ResponseError."""
    given = [] if given is None else given
    if isinstance(given, list) and given and all(isinstance(one, str) for one in given) and found.main:
        given = [{found.main: " ".join(given)}]
    if not isinstance(given, list) or len(given) > 1 or not all(isinstance(one, dict) for one in given):
        raise _wrong(found, "arguments", "an array of one object")
    try:
        return msgspec.convert(given[0] if given else {}, found.arguments)
    except msgspec.ValidationError as error:
        raise _wrong(found, *field_of(str(error))) from error


def _wrong(found: Command, field: str, expected: str) -> ResponseError:
    message = f"Wrong argument `{field}` of {found.name}: expected {expected}."
    return ResponseError(PARAMS, message, {"field": field, "expected": expected})


def field_of(said: str) -> tuple[str, str]:
    """The field and what is expected there, out of msgspec's message."""
    place = re.search(r"at `\$\.?([^`]*)`", said)
    path = place[1] if place else ""
    if missing := re.match(r"Object missing required field `(\w+)`", said):
        return f"{path}.{missing[1]}".lstrip("."), "a value: it is required"
    if unknown := re.match(r"Object contains unknown field `([^`]+)`", said):
        return f"{path}.{unknown[1]}".lstrip("."), "no such field"
    wanted = re.match(r"Expected ([^,]+)", said)
    return path or "arguments", wanted[1] if wanted else said.partition(" - at")[0]
