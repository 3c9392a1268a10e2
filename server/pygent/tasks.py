"""Delegated work: the queue of this process, its limit, time limits and records.

A task is a session of its own.  How its turn is run is the caller's affair (`run`), so that the queue can
later stand behind another engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pygent.errors import PygentError
from pygent.events import (
    NO_USAGE,
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Envelope,
    Failure,
    Message,
    Persona,
    Task,
    TaskStatus,
    TurnResult,
    UsageReported,
    now_ms,
)
from pygent.paths import path_of
from pygent.store import Store

FINISHED: frozenset[TaskStatus] = frozenset({"completed", "failed", "cancelled", "timedOut", "interrupted"})
POLL = 0.5
"""Seconds between looks for what other processes did: cancel requests, tasks that they run."""
PACE = 0.2
"""Seconds between two records of a running task's progress."""


class Delegation(Protocol):
    """What the delegation tools of one session may do."""

    async def delegate(
        self,
        prompt: str,
        *,
        persona: str | None,
        files: Sequence[str],
        timeout: float | None,
        step_timeout: float | None,
    ) -> Task:
        """Queue a task.  Raises PygentError (unknown persona, missing file)."""

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait for the end of tasks, at most `timeout` seconds.  Raises PygentError `notFound`."""

    def task(self, task_id: str) -> Task:
        """A task as it stands.  Raises PygentError `notFound`."""

    def reply(self, task_id: str) -> str:
        """What a finished task's agent said last; empty before."""

    def collect(self, task_id: str, path: str, dest: str | None) -> list[str]:
        """Copy a file or folder of a task's workspace into the session's; the copies' paths.

        Raises PygentError.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may use: wall-clock seconds in all and for each step, and how many run beside it."""

    at_once: int
    timeout: float | None = None
    step_timeout: float | None = None


Run = Callable[[Task, Limits], Awaitable[TurnResult]]


class TaskQueue:
    """Runs at most `at_once` tasks; further ones wait in order, none is refused.

    `announce` is called after each change of a task's record was committed.
    """

    def __init__(self, store: Store, run: Run, announce: Callable[[Task], None]) -> None:
        self._store = store
        self._run = run
        self._announce = announce
        self._waiting: deque[tuple[str, Limits]] = deque()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    def submit(self, task: Task, limits: Limits) -> None:
        """Record a new task and start it when there is room."""
        self._store.save_task(task)
        self._announce(task)
        self._waiting.append((task.id, limits))
        self._fill()
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_requests())

    def update(self, task_id: str, **changes: Any) -> Task:
        """Commit changes of a task's record and announce it."""
        task = msgspec.structs.replace(self._store.task(task_id), **changes)
        self._store.save_task(task)
        self._announce(task)
        return task

    async def cancel(self, task_id: str) -> Task:
        """End a task, here or in the process that runs it.  Raises PygentError `notFound`."""
        task = self._store.task(task_id)
        if task.status in FINISHED:
            return task
        if task_id not in self._owned():
            self._store.request_cancel(task_id)
            return (await self.wait([task_id], 10.0))[0]
        await self._cancel_here(task_id)
        return self._store.task(task_id)

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait until the tasks ended, at most `timeout` seconds; those still running are returned too."""
        tasks = [self._store.task(task_id) for task_id in task_ids]
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while any(task.status not in FINISHED for task in tasks):
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                break
            await self._pause(task_ids, left)
            tasks = [self._store.task(task_id) for task_id in task_ids]
        return tasks

    async def close(self) -> None:
        """End every task of this process; they are marked `interrupted`, with what they did."""
        waiting, self._waiting = list(self._waiting), deque()
        if self._watch is not None:
            self._watch.cancel()
        jobs = dict(self._jobs)
        for job in jobs.values():
            job.cancel()
        await asyncio.gather(*jobs.values(), return_exceptions=True)
        for task_id in [*jobs, *(task_id for task_id, _ in waiting)]:
            self._finish(task_id, "interrupted", Failure(code="interrupted", message="The server ended."))

    def has(self, task_id: str) -> bool:
        """Whether a task waits or runs in this process."""
        return task_id in self._owned()

    def _owned(self) -> list[str]:
        return [*self._jobs, *(task_id for task_id, _ in self._waiting)]

    def _fill(self) -> None:
        while self._waiting and len(self._jobs) < self._waiting[0][1].at_once:
            task_id, limits = self._waiting.popleft()
            self._jobs[task_id] = asyncio.create_task(self._work(task_id, limits), name=task_id)

    async def _work(self, task_id: str, limits: Limits) -> None:
        task = self.update(task_id, status="running", started_at=now_ms())
        turn = asyncio.ensure_future(self._run(task, limits))
        try:
            await asyncio.wait({turn}, timeout=limits.timeout)
            timed_out = not turn.done()
            if timed_out:
                turn.cancel()
                await asyncio.wait({turn})
            self._conclude(task_id, turn, limits, timed_out)
        except asyncio.CancelledError:
            turn.cancel()
            await asyncio.wait({turn})
            raise
        finally:
            self._jobs.pop(task_id, None)
            self._fill()

    def _conclude(
        self, task_id: str, turn: asyncio.Future[TurnResult], limits: Limits, timed_out: bool
    ) -> None:
        if timed_out:
            message = f"The task took longer than its {limits.timeout:g} s."
            self._finish(task_id, "timedOut", Failure(code="limit", message=message))
        elif turn.cancelled():
            self._finish(task_id, "cancelled")
        elif error := turn.exception():
            self._finish(task_id, "failed", failure_of(error))
        else:
            self._finish(task_id, *_outcome(turn.result()))

    def _finish(self, task_id: str, status: TaskStatus, error: Failure | None = None) -> None:
        if self._store.task(task_id).status not in FINISHED:
            self.update(task_id, status=status, error=error, finished_at=now_ms(), waiting_for=None)

    async def _cancel_here(self, task_id: str) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] != task_id)
        job = self._jobs.get(task_id)
        if job is not None:
            job.cancel()
            await asyncio.wait({job})
            self._jobs.pop(task_id, None)  # a job that had not begun does not do this itself
            self._fill()
        self._finish(task_id, "cancelled")

    async def _watch_requests(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            for task_id in self._store.cancel_requests(self._owned()):
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


class Progress:
    """What a task's session announces, gathered into the task's record.

    At once where a person is waited for, a few times a second otherwise.
    """

    def __init__(self, task: Task, queue: TaskQueue) -> None:
        self._task_id = task.id
        self._root = Path(task.workspace).resolve()
        self._queue = queue
        self._steps = task.steps
        self._changed = list(task.changed_files)
        self._usage = task.usage
        self._saved = 0.0

    def follow(self, envelope: Envelope) -> None:
        """Take in an event of the session."""
        match envelope.event:
            case Message(role="assistant"):
                self._steps += 1
            case UsageReported() as usage:
                self._usage = msgspec.convert(usage, type(NO_USAGE), from_attributes=True)
            case ChangeMade(uri=uri):
                self._change(uri)
            case ApprovalRequested(approval=approval):
                self.save(status="waiting", waiting_for=approval.title)
                return
            case ApprovalResolved():
                self.save(status="running", waiting_for=None)
                return
            case _:
                return
        if time.monotonic() - self._saved >= PACE:
            self.save()

    def save(self, **changes: Any) -> None:
        """Commit the record as it stands."""
        self._saved = time.monotonic()
        self._queue.update(
            self._task_id, steps=self._steps, usage=self._usage, changed_files=[*self._changed], **changes
        )

    def _change(self, uri: str) -> None:
        path = path_of(uri)
        name = "" if path is None else path.relative_to(self._root).as_posix()
        if name not in self._changed:
            self._changed.append(name)


def failure_of(error: BaseException) -> Failure:
    """An exception as a record: a refusal's own words, and for a bug no more than its name."""
    if isinstance(error, PygentError):
        return Failure(code=error.code, message=error.message, fix=error.fix)
    return Failure(
        code="internal", message=f"An internal error ended it: {type(error).__name__}. See the log."
    )


def pick_persona(personas: Sequence[Persona], name: str | None, turn: int) -> Persona | None:
    """The persona of that name, or without a name the next one in rotation; None if there are none.

    Raises PygentError `notFound` for an unknown name.
    """
    if name is None:
        return personas[turn % len(personas)] if personas else None
    for persona in personas:
        if persona.name.lower() == name.lower():
            return persona
    known = ", ".join(persona.name for persona in personas) or "none"
    raise PygentError("notFound", f"There is no persona {name!r}.", f"Known personas: {known}.")


def _outcome(result: TurnResult) -> tuple[TaskStatus, Failure | None]:
    match result.status:
        case "completed":
            return "completed", None
        case "cancelled":
            return "cancelled", None
        case "limit":
            return (
                "timedOut" if result.error and result.error.code == "stepTimeout" else "failed",
                result.error,
            )
        case "needsInput":
            asked = result.question.prompt if result.question else result.reply
            message = f"It asked a question that nobody could answer: {asked}"
            return "failed", Failure(code="needsInput", message=message)
        case _:
            return "failed", result.error
