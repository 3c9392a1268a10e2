"""Server-sent events out of bytes that may be cut anywhere.

Stricter readers fail on what servers really send: CRLF, comments, events without data, lines of many
megabytes (WHATWG HTML, section 9.2, read tolerantly).
"""

from __future__ import annotations


class EventReader:
    """Gathers events; `feed` returns those that are complete as (name, data lines)."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._name = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[bytes, list[bytes]]]:
        """Take in a piece of the stream."""
        if b"\n" not in data:
            self._pending.append(data)
            return []
        lines = (b"".join([*self._pending, data])).split(b"\n")
        self._pending = [lines.pop()]
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
