"""Which tools the model is offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pygent.errors import PygentError
from pygent.tools import Tool, ToolInfo, builtin_tools


class Toolbox:
    """The tools of a session, of which any can be switched off; `delegates` adds those of delegation.

    `source` gives the tools that there are.
    """

    def __init__(self, *, delegates: bool, source: Callable[[], Mapping[str, Tool]] = builtin_tools) -> None:
        self._delegates = delegates
        self._source = source
        self.off: set[str] = set()
        """The names of the tools that are switched off."""

    def known(self) -> dict[str, Tool]:
        """Every tool by its name."""
        return {name: tool for name, tool in self._source().items() if self._delegates or not tool.delegates}

    def enabled(self) -> dict[str, Tool]:
        """The tools that the model is offered, by name."""
        return {name: tool for name, tool in self.known().items() if name not in self.off}

    def switch(self, name: str, enabled: bool) -> None:
        """Offer a tool or not, from the next turn on.  Raises PygentError `notFound`."""
        known = self.known()
        if name not in known:
            fix = f"Known tools: {', '.join(known)}."
            raise PygentError("notFound", f"There is no tool {name!r}.", fix)
        (self.off.discard if enabled else self.off.add)(name)

    def list(self) -> list[ToolInfo]:
        """Every tool, and whether the model is offered it."""
        return [
            ToolInfo(
                name=tool.name,
                description=tool.description,
                parameters=tool.parameters,
                enabled=tool.name not in self.off,
                source=tool.source,
            )
            for tool in self.known().values()
        ]
