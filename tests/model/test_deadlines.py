"""Deadlines that lose neither a cancellation nor what came too late."""

from __future__ import annotations

import asyncio

import pytest

from pygent.model.deadlines import within

late: list[int] = []


async def undo(result: int) -> None:
    late.append(result)


async def stubborn() -> int:
    """Finishes although it is cancelled."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return 7
    return 0


async def test_a_result_in_time() -> None:
    async def work() -> int:
        return 3

    assert await within(60, work(), undo) == 3


async def test_an_error_in_time() -> None:
    async def work() -> int:
        raise OSError

    with pytest.raises(OSError):
        await within(60, work(), undo)


async def test_what_comes_too_late_is_undone() -> None:
    late.clear()
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, stubborn(), undo)
    assert late == [7]


async def test_a_cancellation_counts_although_the_result_is_there() -> None:
    late.clear()
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await done

    task = asyncio.ensure_future(within(60, work(), undo))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    done.set_result(5)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert late in ([5], [])
