"""Halves of characters: JSON can name a surrogate without its other half, and no UTF-8 can hold it.

Editors that count in UTF-16 send such halves when a key press cuts a character in two.
"""

from __future__ import annotations

import re
from typing import Any

_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")


def whole(text: str) -> str:
    """A text with its halves joined, and those that are alone replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def mended(message: Any, body: bytes) -> Any:
    """A message with whole texts only, but for text synchronisation: its positions count halves, too."""
    if not _ESCAPED.search(body):
        return message
    if isinstance(message, dict) and message.get("method") in (
        "textDocument/didChange",
        "textDocument/didOpen",
    ):
        return message
    return _mended(message)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {whole(key): _mended(one) for key, one in value.items()}
    return value
