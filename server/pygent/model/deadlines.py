"""Waiting no longer than so many seconds, without ever losing a cancellation.

`asyncio.wait_for` of Python 3.10 and 3.11 returns a result in place of raising CancelledError if both come
in the same turn of the loop (python/cpython#86296).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


Undo = Callable[[Result], Coroutine[Any, Any, None]]


async def within(
    seconds: float | None, work: Coroutine[Any, Any, Result], undo: Undo[Result] | None = None
) -> Result:
    """What the work gives, or asyncio.TimeoutError; `undo` gets a result that came too late to be taken.

    None for `seconds` waits for as long as it takes.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        await _end(task, undo)
        raise
    if not task.done():
        await _end(task, undo)
        raise asyncio.TimeoutError
    return task.result()


async def _end(task: asyncio.Future[Result], undo: Undo[Result] | None) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if undo is not None and not task.cancelled() and task.exception() is None:
        await undo(task.result())
