"""Delegated work as the layers below its queue know it: limits, progress, personas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pygent import redaction
from pygent.errors import PygentError
from pygent.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Checkpoint,
    Envelope,
    Message,
    QuestionAnswered,
    QuestionAsked,
    UsageReported,
)
from pygent.paths import path_of
from pygent.records import NO_USAGE, Failure, Persona, Task, TaskStatus

FINISHED: frozenset[TaskStatus] = frozenset({"completed", "failed", "cancelled", "timedOut", "interrupted"})
PACE, AT_ONCE = 0.2, 10
"""Seconds between two records of a running task's progress, as long as no more than so many run."""


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


@dataclass(frozen=True, slots=True, order=True)
class Limits:
    """What a task may use: wall-clock seconds in all and for each step, and how many run beside it."""

    at_once: int
    timeout: float | None = None
    step_timeout: float | None = None


class Progress:
    """What a task's session announces, gathered into the task's record by `update`.

    At once where a person is waited for; otherwise a few times a second for all the tasks that run.
    """

    def __init__(self, task: Task, update: Callable[..., object], running: Callable[[], int]) -> None:
        self._task_id = task.id
        self._root = Path(task.workspace).resolve()
        self._update = update
        self._running = running
        self._steps = task.steps
        self._changed = list(task.changed_files)
        self._usage = task.usage
        self._result = task.result
        self._saved = 0.0

    def follow(self, envelope: Envelope) -> None:
        """Take in an event of the session."""
        match envelope.event:
            case ApprovalRequested(approval=approval):
                self.save(status="waiting", waiting_for=approval.title)
            case QuestionAsked(question=question):
                self.save(status="waiting", waiting_for=question.prompt)
            case ApprovalResolved() | QuestionAnswered():
                self.save(status="running", waiting_for=None)
            case event:
                if self._take(event) and time.monotonic() - self._saved >= self._pace:
                    self.save()

    def _take(self, event: AnyEvent) -> bool:
        """Take in what the record counts; False if that is nothing."""
        match event:
            case Message(role="assistant"):
                self._steps += 1
            case UsageReported() as usage:
                self._usage = msgspec.convert(usage, type(NO_USAGE), from_attributes=True)
            case ChangeMade(uri=uri):
                self._change(uri)
            case Checkpoint(after=after):
                self._result = after
            case _:
                return False
        return True

    @property
    def _pace(self) -> float:
        return PACE * max(1.0, self._running() / AT_ONCE)

    def save(self, **changes: Any) -> None:
        """Commit the record as it stands."""
        self._saved = time.monotonic()
        self._update(
            self._task_id,
            steps=self._steps,
            usage=self._usage,
            changed_files=[*self._changed],
            result=self._result,
            **changes,
        )

    def _change(self, uri: str) -> None:
        path = path_of(uri)
        name = "" if path is None else path.relative_to(self._root).as_posix()
        if name not in self._changed:
            self._changed.append(name)


def has_ended(task: Task) -> bool:
    """Whether a task has ended; one whose process died has not, though it shows as `interrupted`."""
    return task.status in FINISHED and task.finished_at is not None


def failure_of(error: BaseException) -> Failure:
    """An exception as a record: a refusal's own words, and for a bug no more than its name."""
    if isinstance(error, PygentError):
        clean = redaction.process.whole
        return Failure(code=error.code, message=clean(error.message), fix=error.fix and clean(error.fix))
    return Failure(
        code="internal", message=f"An internal error ended it: {type(error).__name__}. See the log."
    )


def pick_persona(personas: Sequence[Persona], name: str | Persona | None, turn: int) -> Persona | None:
    """The persona of that name, or without a name the next one in rotation; None if there are none.

    A program may bring a persona of its own.

    Raises PygentError `notFound` for an unknown name.
    """
    if isinstance(name, Persona):
        return name
    if name is None:
        return personas[turn % len(personas)] if personas else None
    for persona in personas:
        if persona.name.lower() == name.lower():
            return persona
    known = ", ".join(persona.name for persona in personas) or "none"
    raise PygentError("notFound", f"There is no persona {name!r}.", f"Known personas: {known}.")
