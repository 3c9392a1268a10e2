"""Seeing when a model goes round in circles: the same call with the same result, again and again."""

from __future__ import annotations

from collections import deque

TOLD, PAUSED = 3, 5
"""After how many identical calls with identical results the model is told, and the turn paused."""
REMEMBERED = 24
"""Calls that are looked back on; circles of more than a few calls are left to the other limits."""
EXPECTED = frozenset({"task_status", "command_output", "ask_user", "update_plan"})
"""Tools that are called again because something else goes on meanwhile."""


class Repeats:
    """The last calls of a turn with their results."""

    def __init__(self) -> None:
        self._seen: deque[tuple[str, str, str, bool]] = deque(maxlen=REMEMBERED)

    def count(self, name: str, arguments: str, output: str, *, edits: bool) -> int:
        """How often this was seen now.

        Something new that `edits` files makes reading and running the same again a new thing to do.
        """
        if name in EXPECTED:
            return 1
        this = (name, arguments, output, edits)
        times = self._seen.count(this) + 1
        if edits and times == 1:
            self._seen = deque((one for one in self._seen if one[3]), maxlen=REMEMBERED)
        self._seen.append(this)
        return times
