"""The whole vocabulary: what happens, what is asked, and who listens.

These types are the domain and the wire at once (PROTOCOL sections 3 to 5): snake_case in Python,
camelCase only when serialised, with `type` as the tag of an event.  Absent optional fields are not sent.
Times are integer milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from pygent.records import (
    Approval,
    ChangeKind,
    Decision,
    Failure,
    Level,
    Question,
    Task,
    ToolCall,
    ToolStatus,
    TurnStatus,
    Usage,
    Verdict,
    Wire,
)


class Event(Wire, frozen=True, kw_only=True, tag_field="type", tag=lambda name: name[0].lower() + name[1:]):
    """Something that happened in a session."""


class TurnStarted(Event, frozen=True, kw_only=True):
    """A person's message, or a task's prompt, opened a turn."""

    text: str
    images: list[str] = msgspec.field(default_factory=list)


class TextDelta(Event, frozen=True, kw_only=True):
    """A piece of the assistant's text; not stored, the stored form is `Message`."""

    item_id: str
    text: str


class ReasoningDelta(Event, frozen=True, kw_only=True):
    """A piece of the model's reasoning; not stored."""

    item_id: str
    text: str


class Message(Event, frozen=True, kw_only=True):
    """A whole text, once it is complete.

    An assistant's message holds the tool calls of the same answer, and in `extra` the fields that its
    server wants back (such as `reasoning_content`), so that the model's message list is a projection of
    the stored events.
    """

    item_id: str
    role: Literal["assistant", "user"]
    text: str
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class ToolStarted(Event, frozen=True, kw_only=True):
    """A tool call is about to run; `title` is a short line for people."""

    item_id: str
    name: str
    title: str
    arguments: dict[str, Any]


class ToolOutput(Event, frozen=True, kw_only=True):
    """Output of a running tool as it is produced; not stored."""

    item_id: str
    text: str


class ToolFinished(Event, frozen=True, kw_only=True):
    """The end of a tool call; `output` is exactly what the model is told."""

    item_id: str
    status: ToolStatus
    output: str
    truncated: bool
    duration_ms: int
    exit_code: int | None = None
    image: str | None = None


class ChangeMade(Event, frozen=True, kw_only=True):
    """A tool changed a file; `diff` is unified."""

    item_id: str
    uri: str
    kind: ChangeKind
    diff: str


class ApprovalRequested(Event, frozen=True, kw_only=True):
    """The agent waits for a person's consent."""

    approval: Approval


class ApprovalResolved(Event, frozen=True, kw_only=True):
    """An approval was answered, by a client, a timeout or a rule (`by`)."""

    approval_id: str
    decision: Verdict
    by: str
    feedback: str | None = None


class QuestionAsked(Event, frozen=True, kw_only=True):
    """The agent waits for an answer."""

    question: Question


class QuestionAnswered(Event, frozen=True, kw_only=True):
    """A question got its answer."""

    question_id: str
    answer: str


class UsageReported(Event, tag="usage", frozen=True, kw_only=True):
    """Tokens of the turn so far, as in `Usage`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    context_tokens: int | None = None
    context_window: int | None = None
    cost: float | None = None
    estimated: bool = False

    @property
    def usage(self) -> Usage:
        """The same as a record."""
        return msgspec.convert(self, Usage, from_attributes=True)


class Compacted(Event, frozen=True, kw_only=True):
    """Older messages were made shorter for the model; what is stored and shown stays as it was.

    It concerns what happened up to the event `through`.  `form` says how: `outputs` cut long outputs and
    arguments to `keep` characters, `turns` left only what the person and, in the end, the agent said,
    `summary` put `summary` in the place of everything.  Tokens are estimates of the whole prompt.
    """

    tokens_before: int
    tokens_after: int
    form: Literal["outputs", "turns", "summary"] = "summary"
    through: int = 0
    keep: int = 0
    summary: str = ""

    @property
    def told(self) -> str:
        """How much shorter, for people."""
        return f"~{self.tokens_before:,} → ~{self.tokens_after:,} tokens"


class Checkpoint(Event, frozen=True, kw_only=True):
    """The snapshots before and after what the turn changed, its commands included; what undo goes back to."""

    before: str
    after: str


class TurnUndone(Event, frozen=True, kw_only=True):
    """The changes of a turn were taken back, or with `redone` made again."""

    turn_id: str
    redone: bool = False


class Forked(Event, frozen=True, kw_only=True):
    """The session goes on from here as a copy of another.

    `turn_id` is the turn before which it left it, None for its end.  `changed` says that turns after that
    changed files, which stay as they are.
    """

    session_id: str
    turn_id: str | None = None
    changed: bool = False


class TaskChanged(Event, frozen=True, kw_only=True):
    """A delegated task of this session changed."""

    task: Task


class Notice(Event, frozen=True, kw_only=True):
    """Something a person should know: a fallback, a retry, a stall, a configuration problem.

    With the code `retry` the numbers say when a request to the model is sent again, in milliseconds since
    the epoch, and as which of how many further attempts: what a front end needs for a countdown.
    """

    level: Level
    text: str
    code: str | None = None
    retry_at: int | None = None
    attempt: int | None = None
    attempts: int | None = None


class TurnFinished(Event, frozen=True, kw_only=True):
    """The one end of every turn."""

    status: TurnStatus
    reply: str
    usage: Usage
    error: Failure | None = None


AnyEvent = (
    TurnStarted
    | TextDelta
    | ReasoningDelta
    | Message
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | ChangeMade
    | ApprovalRequested
    | ApprovalResolved
    | QuestionAsked
    | QuestionAnswered
    | UsageReported
    | Compacted
    | Checkpoint
    | TurnUndone
    | Forked
    | TaskChanged
    | Notice
    | TurnFinished
)

EPHEMERAL = (TextDelta, ReasoningDelta, ToolOutput)
"""Events that are shown and not stored: their stored form follows as `Message` or `ToolFinished`."""


class Envelope(Wire, frozen=True, kw_only=True):
    """An event with its place: `seq` counts the stored events of a session from 1.

    An event that is not stored carries the `seq` of the last stored one before it.
    """

    session_id: str
    seq: int
    at: int
    event: AnyEvent
    turn_id: str | None = None
    task_id: str | None = None


def event_types() -> list[str]:
    """The tags of all events, in the order of the protocol page."""
    return [str(cls.__struct_config__.tag) for cls in AnyEvent.__args__]


Emit = Callable[[AnyEvent], None]
"""Announces an event of the running turn; a plain call that never blocks."""


class Client(Protocol):
    """A front end, as the layers below see it."""

    name: str

    def emit(self, envelope: Envelope) -> None:
        """Show an event.  Called on the event loop; must not block or raise."""

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask for consent; None if nobody here can answer, so that the approval goes on waiting."""

    async def ask(self, question: Question) -> str | None:
        """Ask a question; None if nobody here can answer."""
