"""One answer out of the pieces of a chat completion, whichever server streams it.

The differences it bears, beside those of `calls`: content as a list of parts (BerriAI/litellm#16272),
reasoning under three names or in the text, a whole answer in place of a stream, errors in the middle of one.
"""

from __future__ import annotations

from typing import Any

from pygent.model import Answer, Listener
from pygent.model.calls import CUT, DAMAGED, Calls
from pygent.model.reasoning import Reasoning
from pygent.model.sse import Damaged, values
from pygent.model.thoughts import Thoughts
from pygent.model.usage import reported
from pygent.records import Usage

WIRE = "wire"
"""The field of a stored message that is ours alone: what the server wants back beside the message's own
fields.  It is taken out before a message is sent."""


class Truncated(Exception):
    """The stream ended before the answer did; `empty` if nothing had come at all."""

    def __init__(self, reason: str = "the answer broke off", *, empty: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.empty = empty


class Refused(Exception):
    """The server sent an error in place of an answer; `body` is what it sent."""

    def __init__(self, body: Any) -> None:
        super().__init__("refused")
        self.body = body


def damaged(event: Damaged) -> Exception:
    """What to raise for an event that is no JSON: an error that was not quoted properly, or a broken answer.

    transformers writes an exception's lines into one.
    """
    _, error, words = event.text.partition('{"error": ')
    return Refused({"error": words.strip('"{}')}) if error else Truncated("a piece of the answer was damaged")


class EventFold:
    """What the folds of both wires share: events as their JSON, the end of the stream, and damage.

    `call_mark` is what the data of an event with a part of a call contains.
    """

    call_mark = b""

    def __init__(self) -> None:
        self._began = self._damaged = False
        self.done = False

    def event(self, name: bytes, lines: list[bytes]) -> None:
        """Take in an event.  Raises Refused, Truncated."""
        if not lines:
            return
        if lines[0] == b"[DONE]":
            self.done = True
            return
        try:
            found = values(lines)
        except Damaged as error:
            raise damaged(error) from None
        for value, bad in found:
            self._damaged = self._damaged or (bad and any(self.call_mark in line for line in lines))
            if isinstance(value, dict) and name:
                value.setdefault("type", name.decode("utf-8", "replace"))
            self.chunk(value)

    def chunk(self, chunk: Any) -> None:
        """Take in the JSON of an event, or of a whole answer.  Raises Refused."""
        raise NotImplementedError


class ChatFold(EventFold):
    """Takes in the events of one stream."""

    call_mark = b'"tool_calls"'

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._text: list[str] = []
        self._reasoning = Reasoning(listener.reasoning)
        self._thoughts = Thoughts(self._say, self._reasoning.say)
        self._calls = Calls()
        self._usage: Usage | None = None
        self._finish: str | None = None

    def chunk(self, chunk: Any) -> None:
        """Take in a chunk, or a whole completion.  Raises Refused."""
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            return
        if chunk.get("error") or chunk.get("type") == "error":
            raise Refused(chunk)
        self._began = True
        self._count(chunk)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        delta = choices[0].get("delta") or choices[0].get("message")
        if isinstance(delta, dict):
            self._delta(delta)
        if finish := choices[0].get("finish_reason"):
            if finish == "error":
                raise Refused(choices[0] if choices[0].get("error") else chunk)
            self._finish = str(finish)

    def _count(self, chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage")
        if usage is None and isinstance(groq := chunk.get("x_groq"), dict):
            usage = groq.get("usage")
        if isinstance(usage, dict):
            self._usage = reported(usage, self._usage)

    def _delta(self, delta: dict[str, Any]) -> None:
        content = delta.get("content")
        if content:
            if isinstance(content, list):
                self._parts(content)
            else:
                self._thoughts.feed(str(content))
        elif refusal := delta.get("refusal"):
            self._say(str(refusal))
        if len(delta) > 1 or not content:
            self._reasoning.delta(delta)
            for piece in delta.get("tool_calls") or ():
                if isinstance(piece, dict):
                    self._call(piece)

    def _say(self, text: str) -> None:
        self._text.append(text)
        self._listener.text(text)

    def _parts(self, parts: list[Any]) -> None:
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                self._thoughts.feed(part["text"])
            elif isinstance(part, dict) and isinstance(part.get("thinking"), list):
                self._reasoning.say("".join(str(inner.get("text", "")) for inner in part["thinking"]))

    def _call(self, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name, call_id = str(function.get("name") or ""), str(piece.get("id") or "")
        call = self._calls.piece(piece.get("index"), call_id, name)
        call.add(function.get("arguments"))
        if isinstance(extra := piece.get("extra_content"), dict):
            call.extra["extra_content"] = extra

    def answer(self) -> Answer:
        """The finished answer.  Raises Truncated if the stream just stopped."""
        if self._finish is None and not self.done:
            if not self._began:
                raise Truncated("the answer was empty", empty=True)
            raise Truncated
        self._thoughts.end()
        problem = CUT if self._finish == "length" else DAMAGED if self._damaged else None
        calls = self._calls.asked(problem)
        extra: dict[str, Any] = self._reasoning.fields() if calls else {}
        extras = {call.id: call.extra for call in self._calls if call.extra}
        if extras:
            extra[WIRE] = {"calls": extras}
        text = "".join(self._text)
        return Answer(text=text, calls=calls, usage=self._usage, finish=self._finish, extra=extra)
