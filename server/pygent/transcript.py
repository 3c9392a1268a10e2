"""The model's view of a session: chat messages as a projection of its stored events.

Each message is serialised once and kept as bytes, so that a step late in a long session costs what an
early one costs, and the prefix that the server caches stays byte for byte the same.

Several servers refuse what others demand, so the list is kept acceptable to the strictest: one result for
every call, no two user messages in a row, no user message right after a tool result (Mistral answers
3230), arguments that are always JSON objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from pygent.events import (
    AnyEvent,
    Compacted,
    Envelope,
    Forked,
    Message,
    ToolFinished,
    TurnFinished,
    TurnStarted,
    TurnUndone,
)
from pygent.records import ToolCall
from pygent.shortening import (
    LISTENING,
    Entry,
    boundary,
    entry,
    files_of,
    joined,
    message_of,
    summarised,
    trimmed,
    without_steps,
)

INTERRUPTED = "Interrupted: the program ended before this call finished. It may have taken effect in part."
CANCELLED = "The person cancelled the turn before this call was run."

UNDONE = (
    "[The changes that you made in an earlier turn were taken back. Read files again before you edit them.]"
)
FORKED = (
    "[The conversation goes on from an earlier point, but files that were changed after it stay changed. "
    "Read files again before you edit them.]"
)
REDONE = "[The changes that had been taken back are there again.]"

ImageUrl = Callable[[str], "str | None"]
"""Gives the data URL of a stored image, or None if it is gone."""

_encode = msgspec.json.Encoder().encode


class Transcript:
    """Folds events into chat messages; `messages` holds one JSON object each, without the system message.

    `size` is their weight in bytes.  `said` is everything that the person said, with the
    numbers of the events, `turn_began` the number of the last turn's first event, `seq` that of the last
    event, `files` what calls that a
    summary has replaced did with files (path: `read` or `changed`).
    """

    def __init__(self, image_url: ImageUrl) -> None:
        self.messages: list[bytes] = []
        self.size = 0
        self.said: list[tuple[int, str]] = []
        self.files: dict[str, str] = {}
        self.compacted = False
        self.turn_began = 0
        self.seq = 0
        self._entries: list[Entry] = []
        self._image_url = image_url
        self._last: dict[str, Any] = {}
        self._open: dict[str, ToolCall] = {}
        self._images: list[str] = []
        self._answer_expected = False

    def apply(self, event: AnyEvent, seq: int | None = None) -> None:
        """Take in the next event of the session; `seq` is its number, by default the next."""
        self.seq = self.seq + 1 if seq is None else seq
        if (fold := _FOLDS.get(type(event))) is not None:
            fold(self, event)

    @property
    def open_calls(self) -> list[str]:
        """The item ids of calls that have no result."""
        return list(self._open)

    @property
    def entries(self) -> Sequence[Entry]:
        """The messages with what is known of each."""
        return self._entries

    @property
    def answer(self) -> str | None:
        """The model's last word, if nothing is left to do after it."""
        last = self._last
        done = last.get("role") == "assistant" and not self._open and "tool_calls" not in last
        return str(last.get("content") or "") if done else None

    def close_calls(self, output: str) -> None:
        """Give every call that has no result this one."""
        for call in self._open.values():
            self._push({"role": "tool", "tool_call_id": call.call_id, "content": output})
        self._open.clear()
        self._show_images()

    def _begin_turn(self, event: TurnStarted) -> None:
        self.turn_began = self.seq
        self._hear(event.text, event.images)

    def _end_turn(self, event: TurnFinished) -> None:
        self.close_calls(CANCELLED if event.status == "cancelled" else INTERRUPTED)
        self._answer_expected = event.status == "needsInput"

    def _add_message(self, event: Message) -> None:
        if event.role == "user":
            self._hear(event.text, [])
        else:
            self._add_assistant(event)

    def _compact(self, event: Compacted) -> None:
        if event.form == "summary":
            cut = boundary(self._entries, event.through, open_calls=bool(self._open))
            self.files |= files_of(self._entries[:cut])
        self.compacted = True
        self._entries = shortened(self._entries, event, open_calls=bool(self._open))
        self.messages = [found.data for found in self._entries]
        self.size = sum(found.weight for found in self._entries)
        self._last = message_of(self._entries[-1]) if self._entries else {}

    def _hear(self, text: str, images: list[str]) -> None:
        """Take in what the person says."""
        self.said.append((self.seq, text))
        self._add_user(text, images)
        self._answer_expected = False

    def _note(self, event: TurnUndone | Forked) -> None:
        """Tell the model something that nobody said."""
        if isinstance(event, TurnUndone):
            text = REDONE if event.redone else UNDONE
        elif event.changed:
            text = FORKED
        else:
            return
        expected, self._answer_expected = self._answer_expected, False
        self._add_user(text, [])
        self._answer_expected = expected

    def _add_user(self, text: str, images: list[str]) -> None:
        self.close_calls(INTERRUPTED)
        if not text and not images:
            return
        role = self._last.get("role")
        if role == "tool" and (self._answer_expected or not images):
            note = "The person answers" if self._answer_expected else "A message from the person"
            self._extend_last(f"\n\n{note}: {text}")
        elif role == "user" and not images and isinstance(self._last["content"], str):
            self._extend_last(f"\n\n{text}")
        else:
            if role in ("tool", "user"):
                self._push({"role": "assistant", "content": LISTENING})
            self._push({"role": "user", "content": self._content(text, images)})

    def _add_assistant(self, event: Message) -> None:
        self.close_calls(INTERRUPTED)
        if not event.text and not event.tool_calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": event.text, **event.extra}
        if event.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in event.tool_calls
            ]
        self._open = {call.item_id: call for call in event.tool_calls}
        self._push(message)

    def _add_result(self, event: ToolFinished) -> None:
        call = self._open.pop(event.item_id, None)
        if call is None:
            return
        self._push({"role": "tool", "tool_call_id": call.call_id, "content": event.output})
        if event.image is not None:
            self._images.append(event.image)
        if not self._open:
            self._show_images()

    def _show_images(self) -> None:
        """Show the images of the last results: tool results carry text only, and no user may follow them."""
        if self._images:
            self._push({"role": "assistant", "content": "Let me look at it."})
            self._push({"role": "user", "content": self._content("The image:", self._images)})
            self._images = []

    def _content(self, text: str, images: list[str]) -> str | list[dict[str, Any]]:
        urls = [url for url in map(self._image_url, images) if url is not None]
        if not urls:
            return text
        parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
        return parts + [{"type": "image_url", "image_url": {"url": url}} for url in urls]

    def _push(self, message: dict[str, Any]) -> None:
        self._last = message
        self._keep(entry(message, self.seq))

    def _extend_last(self, text: str) -> None:
        self._last["content"] += text
        before = self._entries.pop()
        self.messages.pop()
        self.size -= before.weight
        said = before.said + text if before.role == "tool" else ""
        self._keep(entry(self._last, self.seq, said))

    def _keep(self, found: Entry) -> None:
        self._entries.append(found)
        self.messages.append(found.data)
        self.size += found.weight


_FOLDS: dict[type, Callable[[Transcript, Any], None]] = {
    TurnStarted: Transcript._begin_turn,
    Message: Transcript._add_message,
    ToolFinished: Transcript._add_result,
    TurnUndone: Transcript._note,
    Forked: Transcript._note,
    Compacted: Transcript._compact,
    TurnFinished: Transcript._end_turn,
}
FOLDED = tuple(str(kind.__struct_config__.tag) for kind in _FOLDS)  # type: ignore[attr-defined]
"""The types of the events that make up the messages."""


def shortened(entries: Sequence[Entry], event: Compacted, *, open_calls: bool) -> list[Entry]:
    """What messages are after this event."""
    cut = boundary(entries, event.through, open_calls=open_calls)
    older: Sequence[Entry] = entries[:cut]
    match event.form:
        case "outputs":
            older = trimmed(older, event.keep)
        case "turns":
            older = without_steps(older)
        case "summary":
            older = summarised(older, event.summary)
    return joined(older, entries[cut:])


def conversation(envelopes: Iterable[Envelope]) -> list[dict[str, Any]]:
    """The session's messages for people and clients (`pygent.session.get`).

    Each is `{role: "user" | "assistant" | "tool", text, turnId, at}`, an assistant's with `toolCalls`
    (`{itemId, name, arguments}`) where it called tools, a tool's with `itemId`, `name` and `status`.
    """
    names: dict[str, str] = {}
    messages = []
    for envelope in envelopes:
        match envelope.event:
            case TurnStarted(text=text):
                entry: dict[str, Any] = {"role": "user", "text": text}
            case Message(role=role, text=text, tool_calls=calls):
                names.update({call.item_id: call.name for call in calls})
                entry = {"role": role, "text": text}
                if calls:
                    entry["toolCalls"] = [
                        {"itemId": call.item_id, "name": call.name, "arguments": call.arguments}
                        for call in calls
                    ]
            case ToolFinished() as done:
                name = names.get(done.item_id, "")
                entry = {"role": "tool", "text": done.output, "itemId": done.item_id, "name": name}
                entry["status"] = done.status
            case _:
                continue
        messages.append({**entry, "turnId": envelope.turn_id, "at": envelope.at})
    return messages


def export(title: str, envelopes: Iterable[Envelope], form: Literal["md", "json"]) -> str:
    """The conversation as Markdown to read, or as JSON with the messages of `conversation`."""
    messages = conversation(envelopes)
    if form == "json":
        return msgspec.json.format(_encode({"title": title, "messages": messages}), indent=2).decode()
    headings = {"user": "## You", "assistant": "## Pygent"}
    parts = [f"# {title}"]
    for message in messages:
        if message["role"] == "tool":
            fence = _fence(message["text"])
            parts.append(f"{fence}text {message['name']} ({message['status']})\n{message['text']}\n{fence}")
        elif message["text"]:
            parts.append(f"{headings[message['role']]}\n\n{message['text']}")
    return "\n\n".join(parts) + "\n"


def _fence(text: str) -> str:
    """A code fence that no line of the text can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence
