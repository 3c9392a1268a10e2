"""One streamed answer of a language model, whatever server speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pygent.events import Notice
from pygent.records import Usage


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A tool call as the model asked for it.

    `arguments` is a JSON object's text, re-serialised; if what came was not one it is `{}` and `error`
    says what was wrong: some servers refuse a whole conversation for bad arguments in its history.
    """

    call_id: str
    name: str
    arguments: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer; `extra` are message fields that the server wants back unchanged."""

    text: str
    calls: Sequence[AskedCall]
    usage: Usage | None
    finish: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: chat messages already serialised to JSON, one each, and the tools likewise.

    Serialised once and kept, older messages cost nothing at the next step.
    """

    messages: Sequence[bytes]
    tools: bytes | None = None
    """A JSON array of function tools."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """What the caller wants to hear while the answer streams; plain calls on the event loop."""

    text: Callable[[str], None]
    reasoning: Callable[[str], None]
    notice: Callable[[Notice], None]


class Model(Protocol):
    """A language model behind an endpoint."""

    async def answer(self, prompt: Prompt, listener: Listener) -> Answer:
        """Send the prompt and fold the streamed answer.

        Retries what may be retried, each announced as a Notice; never returns a truncated answer.
        Cancelling closes the connection.  Raises ModelError (also code `noApiKey`), and ContextOverflow
        for a prompt that is too long for the model.
        """

    async def window(self, model: str) -> int | None:
        """The tokens that the model's context holds, as its server tells or as an overflow has taught.

        None where nobody knows.  Asks the server once and is cheap from then on; never raises.
        """

    async def models(self) -> list[str]:
        """The ids of the models that the endpoint lists.  Raises ModelError."""

    def adaptations(self, model: str) -> list[str]:
        """What was learnt about the endpoint with this model, a sentence each, for `pygent doctor`."""

    async def close(self) -> None:
        """Close the connections; an unclosed client can hang an unrelated subprocess on 3.12 and 3.13."""
