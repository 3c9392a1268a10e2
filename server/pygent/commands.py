"""Commands of the person's own for the interactive session: `/name` calls a Python function.

As in Pygent 1.0 a handler gets the agent and the text behind the command's name.  Commands are registered by
the program that starts the session, or by a module of the `[[tools]]` setting of a trusted folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does, in a line, and how it is typed."""

    handler: Handler
    description: str
    usage: str

    def __call__(self, agent: Any, argument: str) -> Any:
        """Run it; `argument` is what follows the name."""
        return self.handler(agent, argument)


COMMANDS: dict[str, Command] = {}
"""The registered commands by their name, which begins with a slash."""


def register_command(
    name: str, handler: Handler, description: str | None = None, usage: str | None = None
) -> None:
    """Offer a command in the interactive session.  Raises ValueError if there is one of that name."""
    name = name if name.startswith("/") else f"/{name}"
    if name in COMMANDS:
        raise ValueError(f"command {name} already registered")
    said = description or " ".join((handler.__doc__ or "").split())
    COMMANDS[name] = Command(handler, said, usage or name)
