"""JSON in and out, and halves of characters, which JSON can name and no UTF-8 can hold.

Editors that count in UTF-16 send such halves when a key press cuts a character in two.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_SYNCHRONISATION = ("textDocument/didChange", "textDocument/didOpen")
_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")


def whole(text: str) -> str:
    """A text with its halves joined, and those that are alone replaced by U+FFFD."""
    return _joined(text, "replace")


def paired(text: str) -> str:
    """A text with the halves joined that stand together; those that are alone stay."""
    return _joined(text, "surrogatepass")


def _joined(text: str, alone: str) -> str:
    """A text with its halves joined; `alone` is the way of `bytes.decode` with those that have no other."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", alone)
    return text


def decoded(body: bytes) -> Any:
    """A message with whole texts only.  Raises ValueError and RecursionError.

    But for text synchronisation: its positions count halves, too, and Vim sends the bytes that a file has,
    be they UTF-8 or not.
    """
    try:
        message = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        message = json.loads(body.decode("utf-8", "replace"))
        if not _synchronises(message):
            raise
    return _mended(message) if _ESCAPED.search(body) and not _synchronises(message) else message


def encoded(value: Any) -> bytes:
    """A value as JSON, with whole texts only.  Raises ValueError, TypeError and RecursionError."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(msgspec.to_builtins(value, enc_hook=str)))


def _synchronises(message: Any) -> bool:
    return isinstance(message, dict) and message.get("method") in _SYNCHRONISATION


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {whole(key): _mended(one) for key, one in value.items()}
    return value
