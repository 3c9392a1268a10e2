"""The small Python API: a Pygent in your own program, without asyncio.

with Pygent("my-project") as agent:
    print(agent.ask("What does this project do?").reply)
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pygent.app import App
from pygent.delegation import DelegateRequest
from pygent.events import Envelope
from pygent.folder import Folder
from pygent.records import Approval, Decision, Persona, Question, Task, TurnResult

Result = TypeVar("Result")


class Pygent:
    """An agent at work in a folder.

    `config` names a settings file in place of the folder's `pygent.toml`; `settings` are settings by their
    `pygent.toml` key and count most.  `on_event` hears every event, `approve` decides about what needs
    consent (True, False, or a Decision); without it such things are declined.  Both are called on the
    agent's own thread.  Use it in a `with` block, or call `close`.
    Raises PygentError when the settings or the folder can't be used.
    """

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        config: str | Path | None = None,
        on_event: Callable[[Envelope], None] | None = None,
        approve: Callable[[Approval], bool | Decision] | None = None,
        **settings: object,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pygent", daemon=True)
        self._thread.start()
        self._config = None if config is None else Path(config)
        try:
            self._app, self._folder = self._do(self._open(Path(folder), settings, _Front(on_event, approve)))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Pygent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, text: str, *, session_id: str | None = None) -> TurnResult:
        """Run a turn to its end, in a session or a new one; `session_id` of the result goes on with it."""
        return self._do(self._ask(text, session_id))

    def delegate(
        self,
        prompt: str,
        *,
        persona: str | None = None,
        files: Sequence[str] = (),
        timeout: float | None = None,
        step_timeout: float | None = None,
    ) -> Task:
        """Give work to a background agent; returns at once.  Timeouts in seconds."""
        request = DelegateRequest(
            prompt, self._folder, persona=persona, files=files, timeout=timeout, step_timeout=step_timeout
        )
        return self._do(self._app.tasks.delegate(request))

    def wait(self, *task_ids: str, timeout: float | None = None) -> list[Task]:
        """Wait for tasks, at most `timeout` seconds; those that still run are returned too."""
        return self._do(self._app.tasks.wait(task_ids, timeout))

    def reply(self, task_id: str) -> str:
        """What a task's agent said at its end; empty before."""
        return self._do(_called(self._app.tasks.results.reply, task_id))

    def collect(self, task_id: str, path: str, dest: str | None = None) -> list[str]:
        """Copy a file or folder out of a task's workspace into the folder; returns the copies' paths."""
        return self._do(_called(self._app.tasks.results.collect, task_id, path, dest, self._folder))

    def personas(self) -> list[Persona]:
        """The main persona, then those for delegated agents."""
        return self._do(_called(self._folder.personas))

    def close(self) -> None:
        """End everything that runs.  May be called twice."""
        if not self._loop.is_closed():
            self._do(self._app.close())
            self._stop()

    async def _open(self, folder: Path, settings: dict[str, object], front: _Front) -> tuple[App, Folder]:
        environ = dict(os.environ)  # noqa: TID251 - the API is a front end and reads it once
        app = App(environ=environ, home=Path.home(), flags=settings, config_file=self._config)
        app.attach(front)
        return app, app.sessions.folder(folder)

    async def _ask(self, text: str, session_id: str | None) -> TurnResult:
        app = self._app
        session = app.sessions.get(session_id) if session_id else app.sessions.new(self._folder)
        return await session.chat(text)

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Front:
    """The caller's functions as a front end."""

    name = "api"

    def __init__(
        self,
        on_event: Callable[[Envelope], None] | None,
        approve: Callable[[Approval], bool | Decision] | None,
    ) -> None:
        self._on_event = on_event
        self._approve = approve

    def emit(self, envelope: Envelope) -> None:
        if self._on_event is not None:
            self._on_event(envelope)

    async def approve(self, approval: Approval) -> Decision:
        said = self._approve(approval) if self._approve is not None else False
        if isinstance(said, Decision):
            return said
        return Decision(decision="accept" if said else "decline")

    async def ask(self, question: Question) -> str | None:
        return None


async def _called(function: Callable[..., Result], *arguments: Any) -> Result:
    return function(*arguments)
