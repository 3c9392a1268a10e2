"""The same API for programs without asyncio: every call blocks, the agent works on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pygent.api.asynchronous import AsyncPygent
from pygent.blocking import LoopThread
from pygent.records import Persona, SessionInfo, Task, TurnResult

Value = TypeVar("Value")


class Pygent:
    """An agent at work in a folder; what it takes is what AsyncPygent takes.

    `on_event`, `approve` and `ask` are called on the agent's own thread.  Use it in a `with` block, or call
    `close`.  Raises PygentError when settings or folder can't be used.
    """

    def __init__(self, folder: str | Path = ".", **options: Any) -> None:
        self._agent = AsyncPygent(folder, **options)
        self._thread = LoopThread()
        try:
            self._thread.do(self._agent.__aenter__())
        except BaseException:
            self._thread.stop()
            raise

    def __enter__(self) -> Pygent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, text: str, *, session_id: str | None = None) -> TurnResult:
        """Run a turn to its end, in a session or a new one; `session_id` of the result goes on with it."""
        return self._do(self._agent.ask(text, session_id=session_id))

    def sessions(self) -> list[SessionInfo]:
        """The folder's conversations, the last used first."""
        return self._call(self._agent.sessions)

    def delegate(
        self,
        prompt: str,
        *,
        persona: str | Persona | None = None,
        files: Sequence[str] = (),
        timeout: float | None = None,
        step_timeout: float | None = None,
    ) -> Task:
        """Give work to a background agent; returns at once.  Timeouts in seconds."""
        return self._do(
            self._agent.delegate(
                prompt, persona=persona, files=files, timeout=timeout, step_timeout=step_timeout
            )
        )

    def wait(self, *task_ids: str, timeout: float | None = None) -> list[Task]:
        """Wait for tasks, at most `timeout` seconds; those that still run are returned too."""
        return self._do(self._agent.wait(*task_ids, timeout=timeout))

    def cancel(self, task_id: str) -> Task:
        """End a task.  Raises PygentError `notFound`."""
        return self._do(self._agent.cancel(task_id))

    def reply(self, task_id: str) -> str:
        """What a task's agent said at its end; empty before."""
        return self._call(self._agent.reply, task_id)

    def collect(self, task_id: str, path: str, dest: str | None = None) -> list[str]:
        """Copy a file or folder out of a task's workspace into the folder; returns the copies' paths."""
        return self._call(self._agent.collect, task_id, path, dest)

    def diff(self, task_id: str) -> str:
        """What a task changed of what it was given, as a unified diff."""
        return self._do(self._agent.diff(task_id))

    def apply(self, task_id: str, *, preview: bool = False) -> Any:
        """Take a task's changes over, merged three ways; `applied` paths and `conflicts`, left alone."""
        return self._do(self._agent.apply(task_id, preview=preview))

    def personas(self) -> list[Persona]:
        """The main persona, then those for delegated agents."""
        return self._call(self._agent.personas)

    def close(self) -> None:
        """End everything that runs.  May be called twice."""
        if not self._thread.stopped:
            self._do(self._agent.__aexit__(None, None, None))
            self._thread.stop()

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self._thread.do(work)

    def _call(self, function: Callable[..., Value], *arguments: Any) -> Value:
        return self._thread.call(function, *arguments)
