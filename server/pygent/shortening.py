"""Making a message list shorter: pure functions from serialised chat messages to fewer or smaller ones.

What is stored and shown to people is never touched; only what the model is sent gets shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

LISTENING = "I am listening."
"""What stands for the assistant where a server refuses two messages of the person in a row."""
IMAGE_WEIGHT = 4000
"""Bytes that an image weighs: it costs about a thousand tokens, however long its data address is."""
FILE_TOOLS = {"read_file": "read", "write_file": "changed", "edit_file": "changed"}
_IMAGE_GONE = "[An image was here; look at it again if it matters.]"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Entry(NamedTuple):
    """A message as it is sent.

    `seq` is the number of the last event in it, `weight` its bytes with images counted as `IMAGE_WEIGHT`,
    `said` what a person's words added to the result of a tool.
    """

    data: bytes
    role: str
    seq: int
    weight: int
    said: str = ""


def entry(message: dict[str, Any], seq: int, said: str = "") -> Entry:
    """A message as an entry."""
    data = _encode(message)
    weight = len(data)
    if isinstance(content := message.get("content"), list):
        urls = [part["image_url"]["url"] for part in content if part.get("type") == "image_url"]
        weight += sum(IMAGE_WEIGHT - len(url) for url in urls)
    return Entry(data, message["role"], seq, weight, said)


def message_of(found: Entry) -> dict[str, Any]:
    """An entry's message."""
    return _decode(found.data)


def boundary(entries: Sequence[Entry], through: int, *, open_calls: bool) -> int:
    """How many of the entries make up what happened up to the event `through`.

    Never between a call and its results: a server refuses what would be left.
    """
    cut = len(entries)
    while cut and entries[cut - 1].seq > through:
        cut -= 1
    if cut == len(entries) and open_calls:
        cut -= 1
        while cut and entries[cut].role == "tool":
            cut -= 1
    while 0 < cut < len(entries) and entries[cut].role == "tool":
        cut -= 1
    return cut


def trimmed(entries: Sequence[Entry], keep: int) -> list[Entry]:
    """The entries with long outputs and arguments cut to `keep` characters, and without images."""
    return [_trimmed(found, keep) if found.weight > keep else found for found in entries]


def without_steps(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without calls and their results: what the person said, and the agent's last words to it."""
    kept: list[Entry] = []
    words: Entry | None = None
    for found in entries:
        if found.role == "user" or found.said:
            kept += [] if words is None else [words]
            words = None
            text = found.said.strip()
            kept.append(found if not text else entry({"role": "user", "content": text}, found.seq))
        elif found.role == "assistant" and (content := message_of(found).get("content")):
            words = entry({"role": "assistant", "content": content}, found.seq)
    return kept if words is None else [*kept, words]


def summarised(entries: Sequence[Entry], summary: str) -> list[Entry]:
    """The entries as one message of the summary."""
    return [entry({"role": "user", "content": summary}, entries[-1].seq)] if entries else []


def joined(*parts: Iterable[Entry]) -> list[Entry]:
    """The parts as one list in which no message of the person follows another or a tool's result."""
    whole: list[Entry] = []
    for part in parts:
        for found in part:
            if found.role == "user" and whole and whole[-1].role in ("user", "tool"):
                whole.append(entry({"role": "assistant", "content": LISTENING}, whole[-1].seq))
            whole.append(found)
    return whole


def files_of(entries: Iterable[Entry]) -> dict[str, str]:
    """The files that the entries' calls read or changed, by path."""
    files: dict[str, str] = {}
    for found in entries:
        if found.role != "assistant" or b'"tool_calls"' not in found.data:
            continue
        for call in message_of(found).get("tool_calls", ()):
            function = call["function"]
            path = _decode(function["arguments"]).get("path") if function["name"] in FILE_TOOLS else None
            if isinstance(path, str) and files.get(path) != "changed":
                files[path] = FILE_TOOLS[function["name"]]
    return files


def cut(text: str, keep: int) -> str:
    """The beginning and the end of a text that is longer than `keep` characters, and what is missing."""
    gone = len(text) - keep
    if gone < keep // 4 + 100:
        return text
    head = keep * 2 // 3
    note = f"[… {gone} characters were left out to save room; call again if they matter …]"
    return f"{text[:head]}\n{note}\n{text[len(text) - (keep - head) :]}"


def _trimmed(found: Entry, keep: int) -> Entry:
    message = message_of(found)
    content = message.get("content")
    if found.role == "tool":
        output = str(content).removesuffix(found.said)
        message["content"] = cut(output, keep) + found.said
    elif found.role == "user" and isinstance(content, list):
        texts = [part.get("text", _IMAGE_GONE) for part in content]
        message["content"] = "\n".join(texts)
    elif found.role == "assistant":
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = _short_arguments(call["function"]["arguments"], keep)
    else:
        return found
    return entry(message, found.seq, found.said)


def _short_arguments(arguments: str, keep: int) -> str:
    """Arguments whose texts are short; still an object, as servers demand."""
    if len(arguments) <= keep:
        return arguments
    return _encode({name: _short(value, keep) for name, value in _decode(arguments).items()}).decode()


def _short(value: Any, keep: int) -> Any:
    if isinstance(value, str):
        return cut(value, keep)
    if isinstance(value, list | dict) and len(text := _encode(value).decode()) > keep:
        return cut(text, keep)
    return value
