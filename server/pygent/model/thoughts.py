"""Reasoning that a server leaves in front of the text, between `<think>` and `</think>`.

Local servers do where they don't know the model's template (lmstudio-ai/lmstudio-bug-tracker#1569); as text
it would be read aloud, take room in every later prompt and be mistaken for the answer.
"""

from __future__ import annotations

from collections.abc import Callable

OPEN, CLOSE = "<think>", "</think>"


class Thoughts:
    """Parts the pieces of an answer; those of the text go to `text`, those of the reasoning to `reason`."""

    def __init__(self, text: Callable[[str], None], reason: Callable[[str], None]) -> None:
        self._text = text
        self._reason = reason
        self._held = ""
        self._take: Callable[[str], None] = self._before

    def feed(self, piece: str) -> None:
        """Take in the next piece."""
        self._take(piece)

    def end(self) -> None:
        """Nothing follows: what was held back as the possible beginning of a mark is none."""
        held, self._held = self._held, ""
        if held and self._take == self._before:
            self._text(held)
        elif held and self._take == self._inside:
            self._reason(held)

    def _before(self, piece: str) -> None:
        self._held += piece
        start = self._held.lstrip()
        if len(start) < len(OPEN) and OPEN.startswith(start):
            return
        held, self._held = self._held, ""
        if start.startswith(OPEN):
            self._take = self._inside
            self._inside(start[len(OPEN) :])
        else:
            self._take = self._text
            self._text(held)

    def _inside(self, piece: str) -> None:
        said, closed, rest = (self._held + piece).partition(CLOSE)
        self._held = "" if closed else _begun(said)
        if said := said[: len(said) - len(self._held)]:
            self._reason(said)
        if closed:
            self._take = self._between
            self._between(rest)

    def _between(self, piece: str) -> None:
        """Leave out the empty lines in front of the text."""
        if text := piece.lstrip():
            self._take = self._text
            self._text(text)


def _begun(said: str) -> str:
    """The end of a text that may be the beginning of the closing mark."""
    lengths = range(min(len(CLOSE) - 1, len(said)), 0, -1)
    return next((said[-length:] for length in lengths if CLOSE.startswith(said[-length:])), "")
