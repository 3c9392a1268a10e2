"""Tool calls as a server streams them, made whole.

The differences it bears are those found in the issue trackers of servers and clients: indexes that are
missing or all 0 (ollama/ollama#15457), ids that change in each piece (BerriAI/litellm#40040), names that
repeat (open-webui/open-webui#22177), arguments as an object (huggingface/text-generation-inference#2136).
"""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from pygent.model import AskedCall

_LETTERS = string.ascii_letters + string.digits
CUT = "The answer reached its token limit inside this call, so it was not run. Do less in one call."
DAMAGED = "The arguments were damaged on their way, so the call was not run. Call again."


@dataclass(slots=True)
class PartialCall:
    """A call so far; `extra` are fields of it that the server wants back."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def add(self, arguments: Any) -> None:
        """Take in a piece of the arguments, or all of them as an object."""
        if isinstance(arguments, str):
            self.arguments.append(arguments)
        elif arguments is not None:
            self.arguments.append(json.dumps(arguments))


class Calls:
    """The calls of one answer, in the order in which they were opened."""

    def __init__(self) -> None:
        self._calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}

    def __iter__(self) -> Any:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def piece(self, index: Any, call_id: str, name: str) -> PartialCall:
        """The call that a piece belongs to, its id and name taken in; a new one if the piece opens one."""
        call = self._which(index, call_id, name)
        call.id = call.id or call_id
        if name and name != call.name:
            call.name += name
        return call

    def _which(self, index: Any, call_id: str, name: str) -> PartialCall:
        if isinstance(index, int):
            known = self._by_index.get(index)
            if known is None or (name and call_id and known.id and call_id != known.id):
                known = self._by_index[index] = self._new()
            return known
        same = next((call for call in self._calls if call_id and call.id == call_id), None)
        if same is not None:
            return same
        return self._new() if name or not self._calls else self._calls[-1]

    def _new(self) -> PartialCall:
        self._calls.append(PartialCall())
        return self._calls[-1]

    def asked(self, problem: str | None) -> list[AskedCall]:
        """The finished calls, each with an id of its own; `problem` says why none of them may run."""
        taken: set[str] = set()
        asked = []
        for call in self._calls:
            if not call.id or call.id in taken:
                call.id = minted()
            taken.add(call.id)
            asked.append(_asked(call.id, call.name, "".join(call.arguments), problem))
        return asked


def minted() -> str:
    """A new id of a call: nine letters and digits are what the pickiest server takes (Mistral, code 3280)."""
    return "".join(secrets.choice(_LETTERS) for _ in range(9))


def _asked(call_id: str, name: str, text: str, problem: str | None) -> AskedCall:
    if problem is not None:
        return AskedCall(call_id, name, "{}", problem)
    try:
        arguments = json.loads(text.strip() or "{}", strict=False)
    except (ValueError, RecursionError) as error:
        return AskedCall(call_id, name, "{}", f"The arguments were not valid JSON: {error}. Call again.")
    if arguments is None or isinstance(arguments, dict):
        return AskedCall(call_id, name, json.dumps(arguments or {}, ensure_ascii=False))
    return AskedCall(call_id, name, "{}", "The arguments were not a JSON object. Call again.")
