"""`Agent`: a conversation that blocks, prints, and keeps its history as a plain list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pygent import history as stored
from pygent.classic.front import Front
from pygent.classic.messages import Message, ToolCall, ToolCallFunction, wire
from pygent.classic.models import Adapter, ChatModel, OpenAIModel, custom_model
from pygent.classic.persona import Persona
from pygent.classic.prompts import Builder, base, build_system_msg, global_builder
from pygent.classic.runtime import FolderRuntime, Runtime
from pygent.equipment import Custom
from pygent.errors import PygentError
from pygent.events import Envelope, ToolFinished, TurnStarted
from pygent.events import Message as Said
from pygent.records import TurnResult
from pygent.session import Session
from pygent.tools import Tool
from pygent.tools.user import of_program

ENDS = ("stop", "ask_user")


class Agent:
    """An assistant with a runtime of its own.

    What is left out comes from the settings.  `model` is an object with a `chat` method; `history` a list of
    chat messages to go on from; `disabled_tools` names of tools that the model is not offered;
    `confirm_bash` whether commands are asked for; `max_non_tool_replies` after how many answers without a
    tool call `run_until_stop` ends (1 if left out).  `session` is one that its own program shows and sets
    up, such as the interactive session of a custom command.
    """

    def __init__(
        self,
        runtime: FolderRuntime | None = None,
        model: ChatModel | None = None,
        model_name: str | None = None,
        persona: Persona | None = None,
        system_message_builder: Builder | None = None,
        system_msg: str = "",
        history: Sequence[Any] = (),
        history_file: str | Path | None = None,
        disabled_tools: list[str] | None = None,
        log_file: str | Path | None = None,
        confirm_bash: bool | None = None,
        max_non_tool_replies: int | None = None,
        *,
        session: Session | None = None,
    ) -> None:
        self.runtime: FolderRuntime = runtime or Runtime()
        given = {"history_file": history_file, "log_file": log_file, "confirm_bash": confirm_bash}
        if set_ones := {key: value for key, value in given.items() if value is not None}:
            self.runtime.configure(**{key: _plain(value) for key, value in set_ones.items()})
        settings = self.runtime.folder.settings
        self.model: ChatModel = model or custom_model() or OpenAIModel()
        self.model_name = model_name or settings.model
        self.persona = persona or Persona(settings.persona_name, settings.persona)
        self.system_message_builder = system_message_builder
        self.disabled_tools = disabled_tools if disabled_tools is not None else []
        self.confirm_bash = settings.confirm_bash
        self.max_non_tool_replies = max_non_tool_replies
        self.tools: Callable[[], dict[str, Tool]] = of_program
        """Gives the tools that this agent has; those that the program registered if nothing is set."""
        self.timed_out = False
        self._given_system = system_msg
        self.system_msg = self._system_text("")
        self._session = session
        self._owned = session is None
        self._taking_over = False
        self._calls: dict[str, str] = {}
        """The ids of calls as the model gave them, by the core's own."""
        self._history: list[Any] = [{"role": "system", "content": self.system_msg}]
        self._known = 1
        """How much of the history the session has."""
        self._history += [message for message in history if wire(message)["role"] != "system"]

    # -- the conversation ------------------------------------------------------------------------

    @property
    def history(self) -> list[Any]:
        """The chat messages, the system message first; what is appended is said at the next step."""
        session = self._open()
        if not self._owned:
            self._read(session)
        return self._history

    def step(self, user_msg: str | None = None, role: str = "user") -> Message:
        """One answer of the model, with the tools that it calls; prints both.  Raises PygentError.

        Without a message the conversation goes on where it is; a `role` other than `user` is said in the
        person's voice, as servers refuse system messages in the middle.
        """
        self._run(user_msg or "", steps=1)
        return self._last()

    def run_until_stop(
        self,
        user_msg: str,
        max_steps: int = 20,
        step_timeout: float | None = None,
        max_time: float | None = None,
    ) -> Message | None:
        """Work until the model stops, asks, or has answered; returns its last message.

        `max_steps` counts answers of the model; the limits of time are in seconds, those of the settings
        where left out.  Raises PygentError.
        """
        settings = self.runtime.folder.settings
        seconds = max_time or settings.task_timeout
        self.timed_out = False
        text = user_msg
        for _ in range(self.max_non_tool_replies or 1):
            pace = step_timeout or settings.step_timeout
            result = self._run(text, steps=max_steps, step_timeout=pace, seconds=seconds)
            if result is None or result.status != "completed" or self._ended():
                break
            text = "Go on until you are done, then call stop."
        return self._last() if any(isinstance(one, Message) for one in self._history) else None

    def append_history(self, message: Any) -> None:
        """Add a chat message to the conversation."""
        self.history.append(message)

    def refresh_system_message(self) -> None:
        """Make the system message anew, after tools or persona were changed."""
        self.system_msg = self._system_text("")
        self._history[0] = {"role": "system", "content": self.system_msg}

    def close(self) -> None:
        """Nothing is kept open but the runtime, which `runtime.cleanup()` ends."""

    # -- over the core ---------------------------------------------------------------------------

    def custom(self, *, steps: int | None = None, step_timeout: float | None = None) -> Custom:
        """What this agent puts in the place of a session's own."""
        plain = isinstance(self.model, OpenAIModel)
        return Custom(
            model=None if plain else Adapter(self.model, lambda: list(self._history)),
            system=self._system_of_session,
            tools=self.tools,
            steps=steps,
            step_timeout=step_timeout,
        )

    def _system_text(self, text: str) -> str:
        """The system message; `text` is Pygent's own for the session, empty where there is none yet."""
        if self._given_system:
            return self._given_system
        builder = self.system_message_builder or global_builder() or build_system_msg
        token = base.set(text)
        try:
            return builder(self.persona, self.disabled_tools)
        finally:
            base.reset(token)

    def _system_of_session(self, text: str) -> str:
        self.system_msg = self._system_text(text)
        return self.system_msg

    def _open(self) -> Session:
        if self._session is None:
            said = self._history[1:]
            self._session = self.runtime.call(self._begin)
            self._read(self._session)
            self._history += said
        return self._session

    def _begin(self) -> Session:
        assert isinstance(self.runtime, Runtime)
        app, folder = self.runtime.app, self.runtime.folder
        session = app.sessions.new(folder, persona=self.persona.record(), model=self.model_name)
        app.attach(Front(session.id, self.persona.name, self._hear, lambda: self.confirm_bash))
        return session

    def _read(self, session: Session) -> None:
        """Make the history that of the session."""
        messages = map(self._message, self.runtime.call(session.events))
        self._history[1:] = [message for message in messages if message is not None]
        self._known = len(self._history)

    def _hear(self, envelope: Envelope) -> bool:
        """Take an event into the history; False for what the history had before the session."""
        if self._taking_over:
            return False
        message = self._message(envelope)
        if message is not None:
            self._history.append(message)
            self._known = len(self._history)
        return True

    def _run(
        self, text: str, *, steps: int, step_timeout: float | None = None, seconds: float | None = None
    ) -> TurnResult | None:
        """A turn; None if it took longer than `seconds`.  Raises PygentError if it failed."""
        session = self._open()
        self._take_over(session)
        if self._owned:
            session.custom = self.custom(steps=steps, step_timeout=step_timeout)
        session.tools.off = set(self.disabled_tools)
        try:
            result = self.runtime.do(asyncio.wait_for(session.chat(text), seconds))
        except asyncio.TimeoutError:
            self.timed_out = True
            return None
        finally:
            if not self._owned:
                self._read(session)
            self._history[0] = {"role": "system", "content": self.system_msg}
        if result.status == "failed" and result.error is not None:
            raise PygentError("modelError", result.error.message, result.error.fix)
        self.timed_out = result.error is not None and result.error.code == "stepTimeout"
        return result

    def _take_over(self, session: Session) -> None:
        """Let the session know what the script put into the history by itself."""
        added = [wire(message) for message in self._history[self._known :]]
        if added:
            self._known = len(self._history)
            self._taking_over = True
            try:
                self.runtime.call(lambda: session.take_over_history(list(stored.events_of(added))))
            finally:
                self._taking_over = False

    def _last(self) -> Message:
        return next(one for one in reversed(self._history) if isinstance(one, Message))

    def _ended(self) -> bool:
        """Whether the last answer stopped or asked."""
        return any(call.function.name in ENDS for call in self._last().tool_calls or ())

    def _message(self, envelope: Envelope) -> Any:
        """The chat message that an event adds to the history; None for none."""
        match envelope.event:
            case TurnStarted(text=text) if text:
                return {"role": "user", "content": text}
            case Said(role="assistant", text=text, tool_calls=calls):
                self._calls.update({call.item_id: call.call_id for call in calls})
                asked = [
                    ToolCall(call.call_id, "function", ToolCallFunction(call.name, call.arguments))
                    for call in calls
                ]
                return Message("assistant", text or None, asked or None)
            case Said(text=text):
                return {"role": "user", "content": text}
            case ToolFinished(item_id=item, output=output):
                return {"role": "tool", "content": output, "tool_call_id": self._calls.get(item, item)}
            case _:
                return None


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
