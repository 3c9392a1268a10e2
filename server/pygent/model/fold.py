"""One answer out of the pieces of a stream, whichever server sends them.

The differences it bears are those found in the issue trackers of servers and clients: indexes that are
missing or all 0 (ollama/ollama#15457), ids that change in each piece (BerriAI/litellm#40040), names that
repeat (open-webui/open-webui#22177), arguments as an object (huggingface/text-generation-inference#2136),
content as a list of parts (BerriAI/litellm#16272), a whole answer in place of a stream.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pygent.model import Answer, AskedCall, Listener
from pygent.records import Usage

_LETTERS = string.ascii_letters + string.digits


class Truncated(Exception):
    """The stream ended before the answer did."""


class Refused(Exception):
    """The server sent an error in place of an answer; `body` is what it sent."""

    def __init__(self, body: Any) -> None:
        super().__init__("refused")
        self.body = body


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Fold:
    """Takes in the events of one stream."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._usage: Usage | None = None
        self._finish: str | None = None
        self.done = False

    def event(self, name: bytes, lines: list[bytes]) -> None:
        """Take in an event.  Raises Refused."""
        if not lines:
            return
        if lines[0] == b"[DONE]":
            self.done = True
            return
        for chunk in _decoded(lines):
            self.chunk(chunk, failed=name == b"error")

    def chunk(self, chunk: Any, *, failed: bool = False) -> None:
        """Take in a chunk, or a whole completion.  Raises Refused."""
        if not isinstance(chunk, dict):
            return
        if failed or chunk.get("error"):
            raise Refused(chunk)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        delta = choices[0].get("delta") or choices[0].get("message")
        if isinstance(delta, dict):
            self._delta(delta)
        if finish := choices[0].get("finish_reason"):
            if finish == "error":
                raise Refused(chunk)
            self._finish = str(finish)

    def _delta(self, delta: dict[str, Any]) -> None:
        content = delta.get("content")
        if content:
            if isinstance(content, list):
                self._parts(content)
            else:
                self._say(str(content))
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._think(str(thought))
        for piece in delta.get("tool_calls") or ():
            if isinstance(piece, dict):
                self._call(piece)

    def _say(self, text: str) -> None:
        self._text.append(text)
        self._listener.text(text)

    def _think(self, text: str) -> None:
        self._reasoning.append(text)
        self._listener.reasoning(text)

    def _parts(self, parts: list[Any]) -> None:
        for part in parts:
            if isinstance(part, dict) and part.get("text"):
                self._say(str(part["text"]))
            elif isinstance(part, dict) and isinstance(part.get("thinking"), list):
                self._think("".join(str(inner.get("text", "")) for inner in part["thinking"]))

    def _call(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        name, call_id = function.get("name") or "", piece.get("id") or ""
        call = self._which(piece.get("index"), str(call_id), name)
        call.id = call.id or str(call_id)
        if name and name != call.name:
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments.append(arguments)
        elif arguments is not None:
            call.arguments.append(json.dumps(arguments))

    def _which(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a piece belongs to; a new one if it opens one."""
        if isinstance(index, int):
            known = self._by_index.get(index)
            if known is None or (name and call_id and known.id and call_id != known.id):
                known = self._by_index[index] = self._new()
            return known
        same = next((call for call in self._calls if call_id and call.id == call_id), None)
        if same is not None:
            return same
        return self._new() if name or not self._calls else self._calls[-1]

    def _new(self) -> _Call:
        self._calls.append(_Call())
        return self._calls[-1]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def answer(self) -> Answer:
        """The finished answer.  Raises Truncated if the stream just stopped."""
        if self._finish is None and not self.done:
            raise Truncated
        cut = self._finish == "length"
        reasoning = "".join(self._reasoning)
        return Answer(
            text=self.text,
            calls=[_asked(call, cut) for call in self._calls],
            usage=self._usage,
            finish=self._finish,
            extra={"reasoning_content": reasoning} if reasoning and self._calls else {},
        )


def _decoded(lines: list[bytes]) -> Iterable[Any]:
    """The JSON of an event; of several lines that are no JSON together, each."""
    try:
        return (msgspec.json.decode(b"\n".join(lines)),)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    found = []
    for line in lines:
        try:
            found.append(json.loads(line.decode("utf-8", "replace"), strict=False))
        except ValueError:
            continue
    return found


def _asked(call: _Call, cut: bool) -> AskedCall:
    text = "".join(call.arguments).strip()
    # Nine letters and digits are what the pickiest server takes as an id (Mistral, code 3280).
    call_id = call.id or "".join(secrets.choice(_LETTERS) for _ in range(9))
    if cut:
        problem = (
            "The answer reached its token limit inside this call, so it was not run. Do less in one call."
        )
        return AskedCall(call_id, call.name, "{}", problem)
    try:
        arguments = json.loads(text or "{}", strict=False)
    except ValueError as error:
        return AskedCall(call_id, call.name, "{}", f"The arguments were not valid JSON: {error}. Call again.")
    if isinstance(arguments, dict):
        return AskedCall(call_id, call.name, json.dumps(arguments, ensure_ascii=False))
    if arguments is None:
        return AskedCall(call_id, call.name, "{}")
    return AskedCall(call_id, call.name, "{}", "The arguments were not a JSON object. Call again.")


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")) or 0,
        completion_tokens=_count(usage.get("completion_tokens")) or 0,
        cached_tokens=_count(cached),
    )


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None
