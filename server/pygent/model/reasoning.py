"""The model's reasoning in the shapes in which chat servers stream it, and as they want it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAMES = ("reasoning_content", "reasoning", "reasoning_details")
"""The fields of an assistant's message that hold reasoning (DeepSeek, vLLM and Ollama, OpenRouter)."""
_JOINED = ("text", "summary", "data")


class Reasoning:
    """The reasoning of one answer; `say` shows a piece of it."""

    def __init__(self, listener: Callable[[str], None]) -> None:
        self._listener = listener
        self._texts: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        """Show a piece that is not sent back."""
        if text:
            self._listener(text)

    def delta(self, delta: dict[str, Any]) -> None:
        """Take in what a piece of the answer has of it; the same words under two names are shown once."""
        name = next((name for name in NAMES[:2] if isinstance(delta.get(name), str) and delta[name]), None)
        if name is not None:
            self._texts.setdefault(name, []).append(delta[name])
            self._listener(delta[name])
        details = delta.get("reasoning_details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                self._detail(detail)
                if name is None:
                    self.say(str(detail.get("text") or detail.get("summary") or ""))

    def _detail(self, piece: dict[str, Any]) -> None:
        """Join the pieces of one block of `reasoning_details`; what is no text comes once."""
        place = (piece.get("type"), piece.get("index"))
        last = self._details[-1] if self._details else None
        if last is None or (last.get("type"), last.get("index")) != place:
            self._details.append(dict(piece))
            return
        for key, value in piece.items():
            if key in _JOINED and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value

    def fields(self) -> dict[str, Any]:
        """The fields of the message in which the server wants it back: as they came."""
        if self._details:
            return {"reasoning_details": self._details}
        return {name: "".join(texts) for name, texts in self._texts.items()}
