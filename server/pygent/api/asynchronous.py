"""The asynchronous API: sessions whose turns are read event by event."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pygent.app import App
from pygent.checkpoints import Undone
from pygent.classic.models import Adapter, ChatModel
from pygent.delegation import DelegateRequest
from pygent.equipment import Custom
from pygent.events import AnyEvent, Envelope, TurnFinished
from pygent.model import Model
from pygent.records import Approval, Decision, Persona, Question, SessionInfo, Task, TurnResult, new_id
from pygent.session import Session
from pygent.tools import Tool
from pygent.tools.user import of_function

Approve = Callable[[Approval], "bool | Decision | Awaitable[bool | Decision]"]
Ask = Callable[[Question], "str | Awaitable[str | None] | None"]


class AsyncPygent:
    """An agent at work in a folder.

    `config` names a settings file in place of the folder's `pygent.toml`; `settings` are settings by their
    `pygent.toml` key and count most.  `on_event` hears every event; `approve` decides about what needs
    consent (True, False or a Decision; without it such things are declined) and `ask` answers questions;
    both may be async.  `tools` are functions that the model may call, beside those that are built in;
    `model` answers in place of the endpoint; `system` makes the system message of Pygent's own.
    Use it in an `async with` block.  Entering raises PygentError when settings or folder can't be used.
    """

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        config: str | Path | None = None,
        on_event: Callable[[Envelope], None] | None = None,
        approve: Approve | None = None,
        ask: Ask | None = None,
        tools: Sequence[Callable[..., Any] | Tool] = (),
        model: Model | ChatModel | None = None,
        system: Callable[[str], str] | None = None,
        **settings: object,
    ) -> None:
        self._root = Path(folder)
        self._config = None if config is None else Path(config)
        self._settings = settings
        self._front = _Front(on_event, approve, ask)
        made = [one if isinstance(one, Tool) else of_function(one) for one in tools]
        self._tools = {tool.name: tool for tool in made}
        self._model = model
        self._system = system

    async def __aenter__(self) -> AsyncPygent:
        # The API is a front end, and reads the environment once.
        environ = dict(os.environ)  # noqa: TID251
        self._app = App(environ=environ, home=Path.home(), flags=self._settings, config_file=self._config)
        try:
            self._folder = self._app.sessions.folder(self._root)
        except BaseException:
            await self._app.close()
            raise
        self._app.sessions.custom = self._custom
        self._app.attach(self._front)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.close()

    # -- conversations ---------------------------------------------------------------------------

    def session(
        self,
        session_id: str | None = None,
        *,
        persona: str | Persona | None = None,
        model: str | None = None,
        title: str | None = None,
    ) -> ChatSession:
        """A conversation by its id, or a new one.  Raises PygentError `notFound`."""
        sessions = self._app.sessions
        if session_id is None:
            return ChatSession(
                self, sessions.new(self._folder, persona=persona, model=model, title=title), self._front
            )
        return ChatSession(self, sessions.get(session_id), self._front)

    def sessions(self, limit: int = 50) -> list[SessionInfo]:
        """The folder's conversations, the last used first."""
        page, _ = self._app.sessions.page(folder_uri=self._folder.uri, limit=limit)
        return page

    async def ask(self, text: str, *, session_id: str | None = None) -> TurnResult:
        """Run a turn to its end, in a session or a new one; `session_id` of the result goes on with it."""
        return await self.session(session_id).chat(text)

    # -- delegated work --------------------------------------------------------------------------

    async def delegate(
        self,
        prompt: str,
        *,
        persona: str | Persona | None = None,
        files: Sequence[str] = (),
        timeout: float | None = None,
        step_timeout: float | None = None,
        session_id: str | None = None,
        isolation: Literal["copy", "files"] | None = None,
    ) -> Task:
        """Give work to a background agent; returns at once.  Timeouts in seconds.

        Raises PygentError for an unknown persona or file.
        """
        request = DelegateRequest(
            prompt,
            self._folder,
            persona=persona,
            files=files,
            session_id=session_id,
            isolation=isolation,
            timeout=timeout,
            step_timeout=step_timeout,
        )
        return await self._app.tasks.delegate(request)

    def tasks(self) -> list[Task]:
        """Every task, of every process, the latest first."""
        return self._app.tasks.recorded()

    async def wait(self, *task_ids: str, timeout: float | None = None) -> list[Task]:
        """Wait for tasks, at most `timeout` seconds; those that still run are returned too."""
        return await self._app.tasks.wait(task_ids, timeout)

    async def cancel(self, task_id: str) -> Task:
        """End a task.  Raises PygentError `notFound`."""
        return await self._app.tasks.cancel(task_id)

    def reply(self, task_id: str) -> str:
        """What a task's agent said at its end; empty before."""
        return self._app.tasks.results.reply(task_id)

    def collect(self, task_id: str, path: str, dest: str | None = None) -> list[str]:
        """Copy a file or folder out of a task's workspace into the folder; returns the copies' paths."""
        return self._app.tasks.results.collect(task_id, path, dest, self._folder)

    async def diff(self, task_id: str) -> str:
        """What a task changed of what it was given, as a unified diff."""
        text, _ = await self._app.tasks.results.diff(task_id)
        return text

    async def apply(self, task_id: str, *, preview: bool = False) -> Any:
        """Take a task's changes over, merged three ways; `applied` paths and `conflicts`, left alone."""
        return await self._app.tasks.results.apply(task_id, preview=preview, folder=self._folder)

    def personas(self) -> list[Persona]:
        """The main persona, then those for delegated agents."""
        return self._folder.personas()

    def _custom(self, info: SessionInfo) -> Custom:
        model: Any = self._model
        if model is not None and not hasattr(model, "answer"):
            model = Adapter(model)
        return Custom(model=model, system=self._system, tools=self._offered if self._tools else None)

    def _offered(self) -> dict[str, Tool]:
        return {**self._folder.tools(), **self._tools}


class ChatSession:
    """A conversation of an AsyncPygent."""

    def __init__(self, agent: AsyncPygent, session: Session, front: _Front) -> None:
        self._agent = agent
        self._session = session
        self._front = front

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    @property
    def info(self) -> SessionInfo:
        """The session's record."""
        return self._session.info

    def chat(self, text: str, *, images: Sequence[str | Path] = ()) -> Chat:
        """A turn: iterate over its events, or await it for its result."""
        return Chat(self._session, self._front, text, [Path(image) for image in images])

    def events(self, after: int = 0) -> list[Envelope]:
        """The stored events with a number above `after`."""
        return self._session.events(after)

    async def cancel(self) -> bool:
        """End the running turn; False if none runs."""
        return await self._session.cancel()

    async def undo(self, *, redo: bool = False, preview: bool = False) -> Undone:
        """Take back what the last turn changed, or make it again.  Raises PygentError."""
        return await self._session.undo(redo=redo, preview=preview)


class Chat:
    """One turn, begun when it is first iterated over or awaited.

    Leaving the iteration early cancels the turn.  Raises PygentError `busy` while another turn runs.
    """

    def __init__(self, session: Session, front: _Front, text: str, images: Sequence[Path]) -> None:
        self._session = session
        self._front = front
        self._text = text
        self._images = images
        self.result: TurnResult | None = None
        """How the turn ended, once it has."""

    def __await__(self) -> Generator[Any, None, TurnResult]:
        return self._run().__await__()

    async def __aiter__(self) -> AsyncIterator[AnyEvent]:
        turn_id = new_id("trn")
        heard = self._front.listen(turn_id)
        job = asyncio.ensure_future(self._run(turn_id))
        job.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (event := await heard.get()) is not None:
                yield event
                if isinstance(event, TurnFinished):
                    break
            await job
        finally:
            self._front.leave(turn_id)
            if not job.done():
                job.cancel()
                await asyncio.wait({job})

    async def _run(self, turn_id: str | None = None) -> TurnResult:
        self.result = await self._session.chat(self._text, images=self._images, turn_id=turn_id)
        return self.result


class _Front:
    """The caller's functions as a front end."""

    name = "api"

    def __init__(
        self, on_event: Callable[[Envelope], None] | None, approve: Approve | None, ask: Ask | None
    ) -> None:
        self._on_event = on_event
        self._approve = approve
        self._ask = ask
        self._heard: dict[str, asyncio.Queue[AnyEvent | None]] = {}

    def listen(self, turn_id: str) -> asyncio.Queue[AnyEvent | None]:
        """The events of a turn from now on; None after the last."""
        queue = self._heard[turn_id] = asyncio.Queue()
        return queue

    def leave(self, turn_id: str) -> None:
        """Hear no more of a turn."""
        del self._heard[turn_id]

    def emit(self, envelope: Envelope) -> None:
        if (queue := self._heard.get(envelope.turn_id or "")) is not None:
            queue.put_nowait(envelope.event)
        if self._on_event is not None:
            self._on_event(envelope)

    async def approve(self, approval: Approval) -> Decision:
        said = await _answered(self._approve, approval) if self._approve is not None else False
        if isinstance(said, Decision):
            return said
        return Decision(decision="accept" if said is True else "decline")  # "no" would be true

    async def ask(self, question: Question) -> str | None:
        answer = await _answered(self._ask, question) if self._ask is not None else None
        return None if answer is None else str(answer)


async def _answered(function: Callable[[Any], Any], asked: object) -> Any:
    said = function(asked)
    return await said if inspect.isawaitable(said) else said
