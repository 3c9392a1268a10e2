"""`PYGENT_HISTORY_FILE`: the conversation in the JSON form of the original Pygent 1.0.

A list of chat messages, `{role, content, tool_calls?, tool_call_id?}`.  It is read when a session starts and
written at the end of each turn; the store stays the truth in between.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pygent import files
from pygent.errors import PygentError
from pygent.events import AnyEvent, Message, ToolFinished, TurnFinished, TurnStarted
from pygent.records import NO_USAGE, ToolCall, new_id, now_ms

MAX_FILE = 256 * 1024 * 1024
"""Bytes of a history file."""


def root_of(path: Path, *roots: Path) -> Path | None:
    """The one of the folders, which commands can change, that a history file lies in."""
    return next((root for root in roots if root in path.parents), None)


class Written:
    """What Pygent wrote into history files that commands can change: the hash of each, in the state folder.

    A conversation that somebody else wrote would be taken for what the person said.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "histories.json"

    def note(self, path: Path, data: bytes) -> None:
        """Remember what is about to be written, beside what was written before.  Raises OSError."""
        entries = self._entries()
        mark = hashlib.sha256(data).hexdigest()
        entries[str(path)] = [mark, *(one for one in entries.get(str(path), ()) if one != mark)][:2]
        files.write_chosen(self._path, msgspec.json.encode(entries), 0o600)

    def is_ours(self, path: Path, data: bytes) -> bool:
        """Whether a file holds what was written last; True for one that was never written."""
        marks = self._entries().get(str(path))
        return marks is None or hashlib.sha256(data).hexdigest() in marks

    def _entries(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, ValueError):
            return {}


def write(
    path: Path, messages: Sequence[bytes], root: Path | None = None, written: Written | None = None
) -> None:
    """Replace the history file with these serialised chat messages; it is for its owner only.

    `root` is as of `root_of`; below one, `written` remembers what it is now.  Raises OSError.
    """
    data = b"[\n" + b",\n".join(messages) + b"\n]\n"
    if root is None:
        files.write_chosen(path, data, 0o600)
        return
    if written is not None:
        written.note(path, data)  # first: whoever is killed in between finds the old file, which is ours too
    files.write_atomic(path, data, 0o600, root=root)


def read(path: Path, root: Path | None = None, written: Written | None = None) -> list[AnyEvent]:
    """The events that the file's conversation amounts to; none if there is no file.

    `root` is as of `root_of`.  Raises PygentError `conflict` if the file is no conversation, or below a root
    not the one that was `written`; it is left as it is.
    """
    try:
        data = files.read_chosen(path, MAX_FILE) if root is None else files.read(path, root, MAX_FILE)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PygentError("conflict", f"The history file {path} can't be read: {error.strerror}.") from error
    if len(data) > MAX_FILE:
        raise PygentError("conflict", f"The history file {path} is larger than {MAX_FILE >> 20} MiB.")
    if root is not None and written is not None and not written.is_ours(path, data):
        raise PygentError("conflict", f"The history file {path} was changed by something else than Pygent.")
    if not data.strip():
        return []
    try:
        return list(events_of(msgspec.json.decode(data, type=list[dict[str, Any]])))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PygentError("conflict", f"The history file {path} is damaged: {error}.") from error


def set_aside(path: Path, root: Path | None = None) -> Path:
    """Rename a damaged history file, so that it is never overwritten; returns its new name."""
    aside = path.with_name(f"{path.name}.damaged-{now_ms()}")
    with files.folder_of(path, root or path.parent) as (folder, name):
        os.rename(name, aside.name, src_dir_fd=folder, dst_dir_fd=folder)
    return aside


def events_of(messages: Sequence[dict[str, Any]]) -> Iterator[AnyEvent]:
    """The events that chat messages amount to.  Raises ValueError, TypeError or KeyError."""
    items: dict[str, str] = {}
    # The system message is made anew for each turn.
    for turn in _turns([message for message in messages if message["role"] not in ("system", "developer")]):
        asked = turn[0]["role"] == "user"
        yield TurnStarted(text=_text(turn[0].get("content")) if asked else "")
        events = [_event(message, items) for message in turn[asked:]]
        yield from events
        replies = [event.text for event in events if isinstance(event, Message) and event.text]
        yield TurnFinished(status="completed", reply=replies[-1] if replies else "", usage=NO_USAGE)


def _turns(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The messages in groups that each begin with a user's message (the first one may not)."""
    turns: list[list[dict[str, Any]]] = []
    for message in messages:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _event(message: dict[str, Any], items: dict[str, str]) -> Message | ToolFinished:
    text = _text(message.get("content"))
    if message["role"] == "tool":
        item = items.get(message["tool_call_id"], new_id("itm"))
        return ToolFinished(item_id=item, status="completed", output=text, truncated=False, duration_ms=0)
    if message["role"] != "assistant":
        raise ValueError(f"a message has the unknown role {message['role']!r}")
    calls = [_call(call) for call in message.get("tool_calls") or []]
    items.update({call.call_id: call.item_id for call in calls})
    return Message(item_id=new_id("itm"), role="assistant", text=text, tool_calls=calls)


def _call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except ValueError:
        arguments = "{}"
    return ToolCall(
        item_id=new_id("itm"), call_id=str(call["id"]), name=str(function["name"]), arguments=arguments
    )


def _text(content: object) -> str:
    """The text of a message's content, which may be a string, a list of parts or nothing."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)
