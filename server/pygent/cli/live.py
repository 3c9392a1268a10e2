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


async def follow_table(tasks: Callable[[], Sequence[Task]], console: Console) -> None:
    """Show the tasks as they are, until none runs or waits for room; Ctrl-C leaves, and they go on."""
    rich = Rich(file=console.out, no_color=not console.colour, highlight=False)
    with contextlib.suppress(asyncio.CancelledError), Live(console=rich, auto_refresh=False) as live:
        while True:
            found = tasks()
            live.update(_table(found, rich.size.height - 2), refresh=True)
            if not any(task.status in ("queued", "running") for task in found):
                return
            await asyncio.sleep(PACE)


def _table(tasks: Sequence[Task], rows: int) -> Table:
    """Those that fit: first what is not ended."""
    table = Table(*TASK_COLUMNS, box=None, caption="Ctrl-C leaves; the tasks go on", caption_justify="left")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for task in sorted(tasks, key=lambda task: task.finished_at is not None)[: max(1, rows - 2)]:
        colour = COLOURS.get(task.status, "")
        # Text, not markup: a title is the model's or somebody's, and no instruction to the terminal.
        table.add_row(*(Text(safe(cell), style=colour, overflow="ellipsis") for cell in task_row(task)))
    return table
