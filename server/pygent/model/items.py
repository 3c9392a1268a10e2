"""One answer out of the events of a response (Responses API), also where a server leaves events out.

What counts is the final `response` where it holds the output, else the items that were done, else the
deltas.  An answer ends with `response.completed` or `response.incomplete`; a stream that stops before is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygent.model import Answer, AskedCall, Listener
from pygent.model.calls import CUT, DAMAGED, Calls, minted
from pygent.model.fold import WIRE, EventFold, Refused, Truncated
from pygent.model.usage import reported
from pygent.records import Usage

_REASONS = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}


class _Item:
    """An item of the output so far; `said` is the text that has been shown of it."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.item = item
        self.said: list[str] = []
        self.arguments: list[str] = []
        self.done = False


class ResponsesFold(EventFold):
    """Takes in the events of one stream."""

    call_mark = b"function_call"

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._items: dict[int, _Item] = {}
        self._usage: Usage | None = None
        self._finish: str | None = None

    def chunk(self, chunk: Any) -> None:
        """Take in an event's JSON, or a whole response.  Raises Refused."""
        if not isinstance(chunk, dict):
            return
        self._began = True
        kind = str(chunk.get("type") or "")
        if kind in ("error", "response.failed") or (chunk.get("error") and not kind.startswith("response.")):
            raise Refused(_problem(chunk))
        if chunk.get("object") == "response":
            self._ended(chunk)
        elif kind in ("response.completed", "response.incomplete", "response.done"):
            self._ended(chunk.get("response"))
        elif kind.startswith("response."):
            self._part(kind.removeprefix("response."), chunk)

    def _part(self, kind: str, chunk: dict[str, Any]) -> None:
        delta = chunk.get("delta")
        if kind == "output_item.added":
            self._item(chunk).item.update(_object(chunk.get("item")))
        elif kind == "output_item.done":
            self._complete(self._item(chunk), _object(chunk.get("item")))
        elif kind in ("output_text.delta", "refusal.delta"):
            self._say(self._item(chunk, "message"), str(delta or ""), self._listener.text)
        elif kind in ("reasoning_summary_text.delta", "reasoning_text.delta"):
            self._say(self._item(chunk, "reasoning"), str(delta or ""), self._listener.reasoning)
        elif kind == "function_call_arguments.delta":
            self._item(chunk, "function_call").arguments.append(str(delta or ""))
        elif kind == "function_call_arguments.done" and isinstance(chunk.get("arguments"), str):
            self._item(chunk, "function_call").item["arguments"] = chunk["arguments"]

    def _item(self, chunk: dict[str, Any], kind: str = "") -> _Item:
        index = chunk.get("output_index")
        if not isinstance(index, int):
            index = max(self._items, default=0)
        return self._items.setdefault(index, _Item({"type": kind} if kind else {}))

    def _say(self, item: _Item, text: str, show: Callable[[str], None]) -> None:
        if text:
            item.said.append(text)
            show(text)

    def _complete(self, known: _Item, item: dict[str, Any]) -> None:
        """An item is done; what of its text has not been streamed is shown now."""
        known.item.update(item)
        known.done = True
        kind = known.item.get("type")
        if kind in ("message", "reasoning") and not known.said:
            show = self._listener.text if kind == "message" else self._listener.reasoning
            self._say(known, _text(known.item), show)

    def _ended(self, response: Any) -> None:
        response = _object(response)
        if response.get("status") == "failed" or response.get("error"):
            raise Refused(_problem(response))
        if isinstance(usage := response.get("usage"), dict):
            self._usage = reported(usage, self._usage)
        output = response.get("output")
        self._settle([item for item in output if isinstance(item, dict)] if isinstance(output, list) else [])
        reason = _object(response.get("incomplete_details")).get("reason")
        cut = response.get("status") == "incomplete"
        self._finish = _REASONS.get(str(reason), "length") if cut else "stop"
        self.done = True

    def _settle(self, output: list[dict[str, Any]]) -> None:
        """Take the output as the response tells it at its end; what was not streamed is shown now."""
        streamed = self._text()
        if not output or (streamed and not any(item.get("type") == "message" for item in output)):
            return
        thought = any(item.said for item in self._items.values() if item.item.get("type") == "reasoning")
        self._items = {index: _Item(item) for index, item in enumerate(output)}
        for item in self._items.values():
            kind = item.item.get("type")
            item.done, item.said = True, [_text(item.item)]
            if kind == "reasoning" and not thought:
                self._listener.reasoning(item.said[0])
        text = self._text()
        if text.startswith(streamed) and text != streamed:
            self._listener.text(text[len(streamed) :])

    def _text(self) -> str:
        items = (self._items[index] for index in sorted(self._items))
        return "".join("".join(item.said) for item in items if item.item.get("type") == "message")

    def answer(self) -> Answer:
        """The finished answer.  Raises Truncated if the stream just stopped."""
        items = [self._items[index] for index in sorted(self._items)]
        if self._finish is None and not (self.done and items and all(item.done for item in items)):
            raise Truncated(
                "the answer broke off" if self._began else "the answer was empty", empty=not self._began
            )
        calls = self._asked(items)
        extra = {WIRE: {"items": _kept(items)}} if calls and _has_reasoning(items) else {}
        return Answer(text=self._text(), calls=calls, usage=self._usage, finish=self._finish, extra=extra)

    def _asked(self, items: list[_Item]) -> list[AskedCall]:
        calls = Calls()
        for index, item in enumerate(items):
            if item.item.get("type") == "function_call":
                known = item.item
                known["call_id"] = str(known.get("call_id") or known.get("id") or minted())
                call = calls.piece(index, known["call_id"], str(known.get("name") or ""))
                call.add(known.get("arguments") or "".join(item.arguments))
        return calls.asked(CUT if self._finish == "length" else DAMAGED if self._damaged else None)


def _kept(items: list[_Item]) -> list[dict[str, Any]]:
    """The output as it is sent back: reasoning whole, and the places of the message and the calls."""
    kept = []
    for item in (item.item for item in items):
        match item.get("type"):
            case "reasoning":
                kept.append({name: value for name, value in item.items() if name != "status"})
            case "function_call":
                kept.append({"type": "function_call", "call_id": item["call_id"]})
            case "message":
                kept.append({"type": "message"})
            case _:
                pass
    return kept


def _has_reasoning(items: list[_Item]) -> bool:
    return any(item.item.get("type") == "reasoning" for item in items)


def _text(item: dict[str, Any]) -> str:
    """The text of a message or of reasoning."""
    parts = [*(item.get("content") or ()), *(item.get("summary") or ())]
    texts = (part.get("text") or part.get("refusal") for part in parts if isinstance(part, dict))
    return "".join(str(text) for text in texts if text)


def _problem(chunk: dict[str, Any]) -> dict[str, Any]:
    """The error in the shape of an error body."""
    response = _object(chunk.get("response")) or chunk
    error = response.get("error") or chunk.get("error")
    return {"error": error} if error else {"error": {"message": "the response failed", **_plain(chunk)}}


def _plain(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: chunk[name] for name in ("message", "code") if chunk.get(name)}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
