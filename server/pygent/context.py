"""How long a prompt is, in tokens, and how long it may be."""

from __future__ import annotations

SPARSEST, DENSEST = 1.5, 8.0
"""Bytes per token between which a server's count is believed; some count only what was not cached."""


class Meter:
    """Tokens of prompts, estimated from their bytes and calibrated by what a server counts.

    One per session: the texts of a conversation are alike, and models differ less than texts do.
    """

    def __init__(self) -> None:
        self.bytes_per_token = 3.5
        self.calibrated = False
        self._windows: dict[str, int] = {}

    def tokens(self, size: int) -> int:
        """The tokens of so many bytes."""
        return round(size / self.bytes_per_token)

    def size(self, tokens: float) -> int:
        """The bytes of so many tokens."""
        return int(tokens * self.bytes_per_token)

    def calibrate(self, size: int, tokens: int) -> None:
        """Learn from a server's count of a prompt of so many bytes."""
        if tokens > 0 and SPARSEST <= size / tokens <= DENSEST:
            self.bytes_per_token = size / tokens
            self.calibrated = True

    def learn_window(self, model: str, tokens: int) -> None:
        """Remember that a model refused a prompt as longer than so many tokens."""
        self._windows[model] = tokens

    def window(self, model: str, *, told: int | None, configured: int | None) -> int | None:
        """What a model takes: as configured, else as its server tells, but never more than it took."""
        known = configured or told
        learnt = self._windows.get(model)
        return learnt if known is None or (learnt is not None and learnt < known) else known
