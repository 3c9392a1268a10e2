"""The problems that other language servers report, as far as the editor tells of them.

A server is never sent the diagnostics of others; it sees those under the cursor, in the context of a request
for code actions.
"""

from __future__ import annotations

from typing import Any

from pygent.lsp.buffers import Range

MAX_PER_DOCUMENT = 100


class Problems:
    """What is known, by document; gone when that is closed."""

    def __init__(self) -> None:
        self._known: dict[str, list[dict[str, Any]]] = {}

    def told(self, uri: str, span: Range, diagnostics: list[dict[str, Any]]) -> None:
        """Take in what the editor says of a range; what was known there is replaced."""
        kept = [one for one in self._known.get(uri, []) if not _meet(one["range"], span)]
        kept += [one for one in diagnostics if _is_problem(one)]
        self._known[uri] = kept[-MAX_PER_DOCUMENT:]
        if not kept:
            del self._known[uri]

    def closed(self, params: dict[str, Any]) -> None:
        """`textDocument/didClose`."""
        self._known.pop(params["textDocument"]["uri"], None)

    def known(self) -> dict[str, list[dict[str, Any]]]:
        """The problems by the URI of their document."""
        return dict(self._known)


def _is_problem(one: Any) -> bool:
    try:
        return isinstance(one["message"], str) and _place(one["range"]["start"]) <= _place(
            one["range"]["end"]
        )
    except (KeyError, TypeError):
        return False


def _place(position: Any) -> tuple[int, int]:
    return int(position["line"]), int(position["character"])


def _meet(one: Range, other: Range) -> bool:
    return _place(one["start"]) <= _place(other["end"]) and _place(other["start"]) <= _place(one["end"])
