"""The table of tasks that follows them on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from rich.console import Console as Rich
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pygent.cli.console import Console, safe
from pygent.cli.lines import TASK_COLUMNS, task_row
from pygent.records import Task

PACE = 0.5
"""Seconds between two looks at the store."""
COLOURS = {"running": "cyan", "completed": "green", "failed": "red", "timedOut": "red", "waiting": "yellow"}


ORDER = {"waiting": 0, "running": 1, "queued": 2}
"""What comes first: what waits for somebody, then what runs."""
NARROW, WIDE = 60, 90
"""From how many columns on it is told how long a task took, and everything."""


async def follow_table(tasks: Callable[[], Sequence[Task]], console: Console) -> None:
    """Show the tasks as they are, until none runs or waits for room; Ctrl-C leaves, and they go on."""
    rich = Rich(file=console.out, no_color=not console.colour, highlight=False)
    with contextlib.suppress(asyncio.CancelledError), Live(console=rich, auto_refresh=False) as live:
        while True:
            found = tasks()
            live.update(_table(found, *rich.size), refresh=True)
            if not any(task.status in ("queued", "running") for task in found):
                return
            await asyncio.sleep(PACE)


def _table(tasks: Sequence[Task], columns: int, lines: int) -> Table:
    """Those that fit, a line each, in columns for which there is room."""
    fit = max(1, lines - 4)
    more = f"{len(tasks) - fit} more · " if len(tasks) > fit else ""
    caption = Text(f"{more}Ctrl-C leaves; the tasks go on", no_wrap=True, overflow="ellipsis")
    names = _names(columns)
    table = Table(*names, box=None, caption=caption, caption_justify="left")
    for column in table.columns[:-1]:  # the title gives way
        column.no_wrap = True
    for task in sorted(tasks, key=_rank)[:fit]:
        row = dict(zip(TASK_COLUMNS, task_row(task), strict=True))
        if task.waiting_for is not None:
            row |= {"status": task.status, "title": task.waiting_for}
        if columns < WIDE:
            row["task"] = row["task"][-8:]  # by which it is found
        colour = COLOURS.get(task.status, "")
        # Text, not markup: a title is the model's or somebody's, and no instruction to the terminal.
        table.add_row(*(_cell(row[name], colour) for name in names))
    return table


def _names(columns: int) -> Sequence[str]:
    if columns >= WIDE:
        return TASK_COLUMNS
    return ("task", "status", "took", "title") if columns >= NARROW else ("task", "status", "title")


def _cell(text: str, colour: str) -> Text:
    return Text(safe(text).replace("\n", " "), style=colour, overflow="ellipsis", no_wrap=True)


def _rank(task: Task) -> tuple[int, int, int]:
    return ORDER.get(task.status, 3), task.queue_place or 0, -(task.finished_at or 0)
