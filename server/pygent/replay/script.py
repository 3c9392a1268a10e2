"""The script of a replayed model: what it answers, to whom, and how it misbehaves.

A script is a JSON object `{"replies": [...]}`.  Each conversation, known by its first user message, goes
through the replies on its own; the first one that still may be used and whose `match` holds is given.
`{{step}}` in a text or in arguments becomes the number of replies the conversation has had, `{{task}}` the
last task id that its messages mention.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a reply fits: what these texts contain; `tools` demands or forbids results so far."""

    first: str | None = None
    """The first user message."""
    last: str | None = None
    """The last message, of a user or a tool."""
    system: str | None = None
    """The system message."""


class ScriptedCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call; `arguments` is an object, or a text to be sent as it is."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer goes wrong."""

    drop: bool = False
    """The connection closes before a byte is sent."""
    cut: int | None = None
    """The connection closes after so many bytes of the body."""
    stall: bool = False
    """After what was to be sent (see `cut`) nothing comes any more, and the connection stays open."""
    no_done: bool = False
    """Neither `[DONE]` nor a finish reason is sent."""
    reset: bool = False
    """Where the connection closes, it is reset (RST) instead."""
    raw: str | None = None
    """The body, as it is, in place of an answer."""
    raw_base64: str | None = None
    """The same, for bytes that are no text."""
    content_type: str = "text/event-stream"


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer; `times` is how often a conversation may get it, 0 for any number."""

    match: Match = Match()
    text: str = ""
    reasoning: str = ""
    tool_calls: list[ScriptedCall] = []
    usage: dict[str, Any] | None = None
    finish: str | None = None
    status: int = 200
    body: Any = None
    """The body of an error, as JSON, or a text."""
    headers: dict[str, str] = {}
    fault: Fault | None = None
    events: list[Any] = []
    """The data of the events, exactly so, in place of an answer; `[DONE]` follows but for `no_done`."""
    times: int = 1
    fragment: int = 16
    """Characters per streamed piece of text."""
    tokens: int = 0
    """So many generated one-token pieces in place of `text`."""
    delay: float = 0.0
    """Seconds between two pieces."""
    wire: int = 0
    """Bytes per write, to cut events anywhere; 0 for whole events."""
    newline: str = "\n"
    comments: bool = False
    """Send `: keep-alive` comments between events."""


class Demand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that this server refuses, whatever the conversation.

    `path` leads to values of the request by names and dots; `*` is every item of a list, `role=user` those
    items where it holds.  The request is refused if `test` is true of any value: it is `present`, its field
    is `absent`, it is `null` or `empty`, or it is no text that the whole pattern `like` matches (`unlike`).
    """

    path: str
    test: Literal["present", "absent", "null", "empty", "unlike"] = "present"
    like: str = ""
    status: int = 400
    body: Any = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All replies, the models that the server lists, and what it refuses.

    `routes` are answers to other requests, by method and path such as `GET /props`; one that is the path of
    an API takes that one's place.  `lenient` servers take what strict ones refuse.
    """

    replies: list[Reply]
    demands: list[Demand] = []
    routes: dict[str, Any] = {}
    lenient: bool = False
    models: tuple[str, ...] = ("gpt-4.1-mini", "replayed")
    together: bool = False
    """All requests are of one conversation, whatever they begin with."""
    window: int | None = None
    """Tokens that a prompt may have: the server counts them, reports the count and refuses longer ones."""
    tells: bool = False
    """The list of models says how large the window is."""
    overflow: str = "request ({tokens} tokens) exceeds the available context size ({window} tokens)"
    """How it refuses them."""
    note: str = ""


def read_script(path: Path) -> Script:
    """A script from a JSON file.  Raises OSError and msgspec.ValidationError, which names the place."""
    return msgspec.json.decode(path.read_bytes(), type=Script)


class Tracks:
    """Where each conversation stands in the script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._used: dict[str, list[int]] = {}

    def next(self, messages: list[dict[str, Any]]) -> Reply | None:
        """The conversation's next reply; None if the script has none."""
        first = next((text_of(message) for message in messages if message["role"] == "user"), "")
        system = text_of(messages[0]) if messages[0]["role"] == "system" else ""
        used = self._used.setdefault("" if self._script.together else first, [0] * len(self._script.replies))
        for number, reply in enumerate(self._script.replies):
            match = reply.match
            given = {"first": first, "last": text_of(messages[-1]), "system": system}
            fits = all((getattr(match, name) or "") in text for name, text in given.items())
            if fits and (reply.times == 0 or used[number] < reply.times):
                used[number] += 1
                return _filled(reply, sum(used), messages)
        return None


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whichever form its content has."""
    content = message.get("content") or ""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content)


def _filled(reply: Reply, step: int, messages: list[dict[str, Any]]) -> Reply:
    raw = msgspec.json.encode(reply)
    if b"{{" not in raw:
        return reply
    tasks = re.findall(r"tsk_[0-9a-f]+", " ".join(text_of(message) for message in messages))
    raw = raw.replace(b"{{step}}", str(step).encode())
    raw = raw.replace(b"{{task}}", (tasks[-1] if tasks else "").encode())
    return msgspec.json.decode(raw, type=Reply)
