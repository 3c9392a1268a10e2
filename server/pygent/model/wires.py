"""What a wire is: how a prompt is written for an endpoint and how its answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pygent.model import Answer, Listener, Prompt


class Fold(Protocol):
    """Makes one answer out of a stream's events."""

    done: bool

    def event(self, name: bytes, lines: list[bytes]) -> None:
        """Take in a server-sent event.  Raises Refused, Truncated."""

    def chunk(self, chunk: Any) -> None:
        """Take in the JSON of an event, or of a whole answer.  Raises Refused."""

    def answer(self) -> Answer:
        """The finished answer.  Raises Truncated."""


class Wire(Protocol):
    """A dialect of HTTP; `path` is below the base URL."""

    path: str

    def body(self, prompt: Prompt, learnt: Mapping[str, str]) -> bytes:
        """The request, with what was learnt of the endpoint applied."""

    def fold(self, listener: Listener) -> Fold:
        """A reader for the answer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of answers: the most tokens, and how hard to think."""

    max_tokens: int | None = None
    reasoning_effort: str | None = None
