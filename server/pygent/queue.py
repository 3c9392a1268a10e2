"""Where delegated tasks wait and run: the port, and the queue of this process behind it.

A task is its record in the store, its session's events, and snapshots named by their content.  Whoever runs
it needs nothing else, so an engine on several machines can stand behind `Queue` in the place of
`EmbeddedQueue`; ids are unique without a common counter.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from pygent.errors import PygentError
from pygent.records import Failure, Task, TaskStatus, TurnResult, now_ms
from pygent.store import Store
from pygent.tasks import FINISHED, Limits, failure_of, has_ended

log = logging.getLogger("pygent.tasks")
Recorded = TypeVar("Recorded")
POLL = 0.5
"""Seconds between looks for what other processes did: cancel requests, tasks that they run."""
PATIENCE = 10.0
"""Seconds that another process has to end a task."""

Run = Callable[[Task, Limits], Awaitable[TurnResult]]
"""Does a task's work, from wherever its stored events left it; cancelled, it ends in good order."""


class Queue(Protocol):
    """The port: what the product needs of whatever runs its tasks.

    An engine promises: no task is refused; one that was submitted is run by one process at a time, the
    holder of its lease; a lease ends with its holder and by nothing else, so that work is neither lost nor
    done twice; every change of a record is committed before it is announced.
    """

    def submit(self, task: Task, limits: Limits) -> None:
        """Take a task, or one that ended and goes on, and run it when there is room, the oldest first."""

    def abandoned(self) -> list[Task]:
        """Unfinished tasks whose holder died."""

    def claim(self, task_id: str) -> bool:
        """Take the lease of a task that nobody holds; False if another holder lives."""

    def holds(self, task_id: str) -> bool:
        """Whether a task waits or runs here."""

    def settled(self, task: Task) -> bool:
        """Whether a task has ended, or waits without a process for an answer that nobody could give."""

    def update(self, task_id: str, **changes: Any) -> Task:
        """Commit changes of a task's record and announce it."""

    async def cancel(self, task_id: str) -> Task:
        """End a task, wherever it runs.  Raises PygentError `notFound`."""

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait until tasks have ended or can't go on without an answer; `timeout` in seconds."""

    async def close(self) -> None:
        """End what runs here; it is marked `interrupted`, with what it did."""


class EmbeddedQueue:
    """`Queue` in this process, over the store that it shares with others on this machine.

    At most `Limits.at_once` tasks run; a task costs no thread.  The lease is the store's: a lock that the
    system takes from a process that dies.
    """

    def __init__(self, store: Store, run: Run, announce: Callable[[Task], None]) -> None:
        self._store = store
        self._run = run
        self._announce = announce
        self._waiting: list[tuple[str, Limits]] = []
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many tasks run here."""
        return len(self._jobs)

    def submit(self, task: Task, limits: Limits) -> None:
        """Record the task and start it when there is room."""
        self._store.claim_task(task.id)
        self._store.save_task(task)
        heapq.heappush(self._waiting, (task.id, limits))
        with contextlib.suppress(PygentError):  # it is recorded, and so it runs
            self._announce(task)
        self._fill()
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_requests())

    def abandoned(self) -> list[Task]:
        """Unfinished tasks whose process died."""
        return self._store.abandoned_tasks()

    def claim(self, task_id: str) -> bool:
        """Take the lease of a task that no living process holds."""
        return self._store.claim_task(task_id)

    def holds(self, task_id: str) -> bool:
        """Whether a task waits or runs in this process."""
        return task_id in self._held()

    def settled(self, task: Task) -> bool:
        """Whether a task has ended, or waits for an answer without a process."""
        return task.status in FINISHED or (task.status == "waiting" and self._store.task_is_free(task.id))

    def update(self, task_id: str, **changes: Any) -> Task:
        """Commit changes of a task's record and announce it."""
        task = self._changed(task_id, **changes)
        self._announce(task)
        return task

    def _changed(self, task_id: str, **changes: Any) -> Task:
        task = msgspec.structs.replace(self._store.task(task_id), **{"queue_place": None, **changes})
        self._store.save_task(task)
        return task

    async def cancel(self, task_id: str) -> Task:
        """End a task, here or in the process that runs it.  Raises PygentError `notFound`."""
        task = self._store.task(task_id)
        if not (has_ended(task) or await self._cancelled_here(task_id)):
            self._store.request_cancel(task_id)
            (task,) = await self.wait([task_id], PATIENCE)
            if not has_ended(task):  # its process may have died meanwhile
                await self._cancelled_here(task_id)
        return self._store.task(task_id)

    async def _cancelled_here(self, task_id: str) -> bool:
        """Cancel a task that this process has or can take; False if it is another's."""
        if not (self.holds(task_id) or self._store.claim_task(task_id)):
            return False
        await self._cancel_here(task_id)
        return True

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait until the tasks ended or want an answer; those still running after `timeout` come too."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        open_ids = list(task_ids)
        while True:
            open_ids = [task_id for task_id in open_ids if not self.settled(self._store.task(task_id))]
            left = None if deadline is None else deadline - loop.time()
            if not open_ids or (left is not None and left <= 0):
                return [self._store.task(task_id) for task_id in task_ids]
            await self._pause(open_ids, left)

    async def close(self) -> None:
        """End every task of this process."""
        waiting, self._waiting = self._waiting, []
        if self._watch is not None:
            self._watch.cancel()
        jobs = dict(self._jobs)
        for job in jobs.values():
            job.cancel()
        await asyncio.gather(*jobs.values(), return_exceptions=True)
        for task_id in [*jobs, *(task_id for task_id, _ in waiting)]:
            with contextlib.suppress(PygentError):  # what can't be recorded is taken up by the next process
                self._interrupt(task_id)

    def _interrupt(self, task_id: str) -> None:
        if self._store.task(task_id).status not in FINISHED:
            ended = Failure(code="interrupted", message="The server ended.")
            self.update(task_id, status="interrupted", error=ended, finished_at=now_ms(), waiting_for=None)
        self._store.release_task(task_id)

    def _held(self) -> list[str]:
        return [*self._jobs, *(task_id for task_id, _ in self._waiting)]

    def _fill(self) -> None:
        while self._waiting and len(self._jobs) < self._waiting[0][1].at_once:
            task_id, limits = heapq.heappop(self._waiting)
            self._jobs[task_id] = asyncio.create_task(self._work(task_id, limits), name=task_id)

    async def _work(self, task_id: str, limits: Limits) -> None:
        try:
            task = await self._update(task_id, status="running", started_at=now_ms(), waiting_for=None)
            turn = asyncio.ensure_future(self._run(task, limits))
            timed_out = await self._ended(turn, limits.timeout)
            await self._conclude(task_id, turn, limits, timed_out)
        finally:
            self._jobs.pop(task_id, None)
            self._fill()

    async def _ended(self, turn: asyncio.Future[TurnResult], seconds: float | None) -> bool:
        """Whether a turn had to be ended because its time was over; cancelled, it ends it, too."""
        try:
            await asyncio.wait({turn}, timeout=seconds)
            return not turn.done()
        finally:
            if not turn.done():
                turn.cancel()
                await asyncio.wait({turn})

    async def _update(self, task_id: str, **changes: Any) -> Task:
        """As `update`, as soon as the store takes it."""
        task = await self._recorded(lambda: self._changed(task_id, **changes))
        await self._recorded(lambda: self._announce(task))
        return task

    async def _recorded(self, record: Callable[[], Recorded]) -> Recorded:
        """Record something as soon as the store takes it: a disk that is full may be so for a while.

        Until then the store says what was before; should the process end, the next one goes on from there.
        """
        told = False
        while True:
            try:
                return record()
            except PygentError as error:
                if error.code != "conflict":
                    raise
                if not told:
                    log.warning("tasks wait for the store: %s", error.message)
                told = True
            await asyncio.sleep(POLL)

    async def _conclude(
        self, task_id: str, turn: asyncio.Future[TurnResult], limits: Limits, timed_out: bool
    ) -> None:
        if timed_out:
            message = f"The task took longer than its {limits.timeout:g} s."
            await self._finish(task_id, "timedOut", Failure(code="limit", message=message))
        elif turn.cancelled():
            await self._finish(task_id, "cancelled")
        elif error := turn.exception():
            await self._finish(task_id, "failed", failure_of(error))
        elif (result := turn.result()).status == "needsInput":
            await self._park(task_id, result)
        else:
            await self._finish(task_id, *_outcome(result))

    async def _park(self, task_id: str, result: TurnResult) -> None:
        """Let a task that asked and was not answered wait without a process; `send` goes on with it."""
        asked = result.question.prompt if result.question else result.reply
        await self._update(task_id, status="waiting", waiting_for=asked)
        await self._recorded(lambda: self._store.release_task(task_id))

    async def _finish(self, task_id: str, status: TaskStatus, error: Failure | None = None) -> None:
        if self._store.task(task_id).status not in FINISHED:
            await self._update(task_id, status=status, error=error, finished_at=now_ms(), waiting_for=None)
        await self._recorded(lambda: self._store.release_task(task_id))

    async def _cancel_here(self, task_id: str) -> None:
        self._waiting = [entry for entry in self._waiting if entry[0] != task_id]
        heapq.heapify(self._waiting)
        job = self._jobs.get(task_id)
        if job is not None:
            job.cancel()
            await asyncio.wait({job})
            self._jobs.pop(task_id, None)  # a job that had not begun does not do this itself
            self._fill()
        await self._finish(task_id, "cancelled")

    async def _watch_requests(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            for task_id in await self._recorded(lambda: self._store.cancel_requests(self._held())):
                await self._cancel_here(task_id)

    async def _pause(self, task_ids: Iterable[str], seconds: float | None) -> None:
        """Until one of the tasks ends here, or it is time to look at the others."""
        jobs = [self._jobs[task_id] for task_id in task_ids if task_id in self._jobs]
        pause = POLL if seconds is None else min(POLL, seconds)
        if jobs:
            await asyncio.wait(jobs, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.sleep(pause)


def _outcome(result: TurnResult) -> tuple[TaskStatus, Failure | None]:
    match result.status:
        case "completed":
            return "completed", None
        case "cancelled":
            return "cancelled", None
        case "limit" if result.error and result.error.code == "stepTimeout":
            return "timedOut", result.error
        case _:
            return "failed", result.error
