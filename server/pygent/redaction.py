"""Keeping the API key out of everything that is shown, stored or sent."""

from __future__ import annotations

from typing import TypeVar

import msgspec

MASK = "[key]"
SHORTEST = 8
"""Characters below which a key is a placeholder such as `none`, and hiding it would garble plain text."""


Record = TypeVar("Record", bound=msgspec.Struct)


class Redactor:
    """Takes a secret out of text that comes in pieces, also where a cut goes through it."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret if secret and len(secret) >= SHORTEST else ""
        self._held = ""

    def whole(self, text: str) -> str:
        """A whole text without the secret."""
        return text.replace(self._secret, MASK) if self._secret else text

    def record(self, value: Record) -> Record:
        """A record without the secret: itself where it holds none."""
        if not self._secret:
            return value
        encoded, inner = msgspec.json.encode(value), msgspec.json.encode(self._secret)[1:-1]
        if inner not in encoded:
            return value
        return msgspec.json.decode(encoded.replace(inner, MASK.encode()), type=type(value))

    def feed(self, text: str, *, final: bool = False) -> str:
        """The next piece; what could be the secret's beginning waits for the piece after it."""
        if not self._secret:
            return text
        text, self._held = (self._held + text).replace(self._secret, MASK), ""
        if not final:
            kept = self._beginning(text)
            text, self._held = text[: len(text) - kept], text[len(text) - kept :]
        return text

    def _beginning(self, text: str) -> int:
        """How many characters at the end of the text are the secret's first."""
        longest = min(len(self._secret) - 1, len(text))
        return next((size for size in range(longest, 0, -1) if self._secret.startswith(text[-size:])), 0)
