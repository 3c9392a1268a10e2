"""What the product keeps and says: sessions, tasks, usage, consent, and how a turn ended.

These types are the domain and the wire at once (PROTOCOL section 3): snake_case in Python, camelCase only
when serialised.  Absent optional fields are not sent.  Times are integer milliseconds since the epoch.
"""

from __future__ import annotations

import secrets
import time
from typing import Literal

import msgspec

Isolation = Literal["docker", "bubblewrap", "landlock", "local"]
ToolStatus = Literal["completed", "failed", "declined", "cancelled", "timedOut"]
TurnStatus = Literal["completed", "needsInput", "cancelled", "failed", "limit"]
TaskStatus = Literal[
    "queued", "running", "waiting", "completed", "failed", "cancelled", "timedOut", "interrupted"
]
Verdict = Literal["accept", "acceptForSession", "decline", "cancel"]
ChangeKind = Literal["created", "edited", "deleted"]
Level = Literal["info", "warning", "error"]


def now_ms() -> int:
    """The current time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id(prefix: Literal["ses", "trn", "itm", "tsk", "apr", "chk"]) -> str:
    """A new opaque id such as `ses_0199…`, sortable by its time of creation (microseconds)."""
    return f"{prefix}_{time.time_ns() // 1000:014x}{secrets.token_hex(4)}"


class Wire(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """A value that travels: camelCase fields, defaults left out.

    Values form no cycles, so the garbage collector need not look at them: a long session has thousands.
    """


class Usage(Wire, frozen=True, kw_only=True):
    """Tokens of a turn so far, or of a session; `cost` in the currency of the configured prices.

    `context_tokens` is the length of the last prompt, `context_window` what the model takes.  `estimated`:
    the server did not count, so that the numbers are guesses from the length of the texts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    context_tokens: int | None = None
    context_window: int | None = None
    cost: float | None = None
    estimated: bool = False


NO_USAGE = Usage(prompt_tokens=0, completion_tokens=0)


class Failure(Wire, frozen=True, kw_only=True):
    """Why a turn or task failed: a stable `code`, a sentence for a person, and how to mend it."""

    code: str
    message: str
    fix: str | None = None


class Approval(Wire, frozen=True, kw_only=True):
    """Something that may only happen with a person's consent.

    `command` is exactly what will run.  `detail` and `diff` are for people: the whole of what will be done,
    never the model's description of it, with each character that can't be seen as `\\u{…}`; show `detail`
    rather than `command`.  `isolation` is `local` for what runs outside of any sandbox, as tools of MCP
    servers and of the person's own do.  `network`: whether it reaches the network; `background`: whether it
    goes on after the answer; `outside`: paths outside of the workspace that it can change; `why`: in a
    sentence, what else a person should know.
    """

    id: str
    session_id: str
    kind: Literal["command", "edit", "tool", "path"]
    title: str
    detail: str
    isolation: Isolation
    task_id: str | None = None
    command: str | None = None
    diff: str | None = None
    background: bool = False
    network: bool | None = None
    outside: list[str] = []
    why: str | None = None


class Decision(Wire, frozen=True, kw_only=True):
    """The answer to an `Approval`; `feedback` is told to the model."""

    decision: Verdict
    feedback: str | None = None


class Question(Wire, frozen=True, kw_only=True):
    """A question of the agent to the person, with answers to choose from or free text."""

    id: str
    session_id: str
    prompt: str
    options: list[str] | None = None


class Change(Wire, frozen=True, kw_only=True):
    """A file that a turn changed."""

    uri: str
    kind: ChangeKind


class ToolCall(Wire, frozen=True, kw_only=True):
    """One call that the model asked for.

    `call_id` is the model server's id, kept verbatim; `arguments` is the JSON text that is sent back to
    the server (`{}` if what came did not parse, so that the history stays acceptable).
    """

    item_id: str
    call_id: str
    name: str
    arguments: str


class Persona(Wire, frozen=True, kw_only=True):
    """A named character of an agent.

    `unconfirmed`: a folder or snapshot says so that the person has not trusted.
    """

    name: str
    description: str = ""
    unconfirmed: bool = False


class Task(Wire, frozen=True, kw_only=True):
    """A piece of delegated work (PROTOCOL section 3, Delegation); `steps` counts model answers.

    `base` is the snapshot of what it was given, with which `diff` and `apply` compare, and `result` that of
    what it has made since; both are git trees, named by their content.  `timeout` and `step_timeout` are its
    limits in seconds.  `queue_place` is 1 for the queued task that comes next.
    """

    id: str
    title: str
    prompt: str
    status: TaskStatus
    persona: Persona
    session_id: str
    created_at: int
    workspace: str
    steps: int
    usage: Usage
    changed_files: list[str]
    parent_session_id: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    waiting_for: str | None = None
    error: Failure | None = None
    base: str | None = None
    result: str | None = None
    timeout: float | None = None
    step_timeout: float | None = None
    queue_place: int | None = None


class Mail(Wire, frozen=True, kw_only=True):
    """A message that waits for a session: one that `steers` joins the running turn, others begin `turn_id`.

    `images` are those of the store.
    """

    number: int
    text: str
    turn_id: str
    steers: bool
    images: list[str] = []


class SessionInfo(Wire, frozen=True, kw_only=True):
    """A conversation as a list shows it; `folder_uri` is the workspace folder it works in.

    `usage` is that of all its turns that have ended.
    """

    id: str
    title: str
    created_at: int
    updated_at: int
    workspace: str
    persona: Persona
    status: Literal["idle", "running", "waiting"]
    folder_uri: str | None = None
    model: str | None = None
    task_id: str | None = None
    parent_session_id: str | None = None
    usage: Usage | None = None


class TurnResult(Wire, frozen=True, kw_only=True):
    """How a turn ended; `reply` is the assistant's last text."""

    session_id: str
    turn_id: str
    status: TurnStatus
    reply: str
    changes: list[Change]
    usage: Usage
    question: Question | None = None
    error: Failure | None = None
