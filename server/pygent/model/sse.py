"""Server-sent events out of bytes that may be cut anywhere.

Stricter readers fail on what servers really send: CRLF, comments, events without data, lines of many
megabytes (WHATWG HTML, section 9.2, read tolerantly).
"""

from __future__ import annotations

from typing import Any

import msgspec

LONGEST = 128 * 1024 * 1024
"""Bytes of one event that are held; no answer has as many."""


class TooLong(Exception):
    """An event without an end."""


class EventReader:
    """Gathers events; `feed` returns those that are complete as (name, data lines)."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._held = 0
        self._name = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[bytes, list[bytes]]]:
        """Take in a piece of the stream.  Raises TooLong."""
        self._held += len(data)
        if self._held > LONGEST:
            raise TooLong
        if b"\n" not in data:
            self._pending.append(data)
            return []
        lines = (b"".join([*self._pending, data])).split(b"\n")
        self._pending = [lines.pop()]
        self._held = len(self._pending[0])
        return self._events(lines)

    def finish(self) -> list[tuple[bytes, list[bytes]]]:
        """What the end of the stream completes: some servers leave the last blank line out."""
        lines, self._pending = [b"".join(self._pending), b""], []
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
        events: list[tuple[bytes, list[bytes]]] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._lines.append(line[5:].strip())
            elif not line.strip():
                if self._lines or self._name:
                    events.append((self._name, self._lines))
                self._name, self._lines = b"", []
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
        return events


class Damaged(Exception):
    """The data of an event is no JSON; `text` is what it is."""

    def __init__(self, text: str) -> None:
        super().__init__("damaged")
        self.text = text


def values(lines: list[bytes]) -> list[tuple[Any, bool]]:
    """The JSON values of an event's lines, together or one each, each with whether bytes of it were bad.

    Raises Damaged for what began as JSON: leaving out a piece could make another command of a call.  Other
    words, such as `ping`, are no data.
    """
    try:
        return [(msgspec.json.decode(b"\n".join(lines)), False)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [found for line in lines for found in _value(line)]


def _value(line: bytes) -> list[tuple[Any, bool]]:
    import json  # noqa: PLC0415 - only for what the strict reader refuses

    if not line.startswith((b"{", b"[")):
        return []
    text = line.decode("utf-8", "replace")
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise Damaged(text) from None
    # A lone surrogate can't be sent or stored.
    clean = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return [(clean, "\ufffd" in text or clean != value)]
