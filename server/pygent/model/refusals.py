"""What went wrong with a model server, in words for a person."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from pygent.errors import ContextOverflow, ModelError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 508, 520, 521, 522, 523, 524, 529})
_OVERFLOW = re.compile(
    r"context[ _](length|size|window|limit)|maximum (context|allowed input) length|prompt is too long"
    r"|exceed\w* (model )?token limit|ContextWindowExceeded|input length should be",
    re.I,
)
_HTML = re.compile(r"\s*<(!doctype|html)", re.I)


def said(body: Any) -> str:
    """The server's own words out of an error body of whatever shape."""
    if isinstance(body, list) and body:
        return said(body[0])
    if isinstance(body, dict):
        for key in ("error", "message", "detail", "msg"):
            if body.get(key):
                return said(body[key])
        return json.dumps(body)[:300]
    return " ".join(str(body).split())[:500]


def parsed(text: str) -> Any:
    """An error body as JSON where it is; a page of HTML is only named."""
    if _HTML.match(text):
        return "the server answered an HTML page"
    try:
        return json.loads(text)
    except ValueError:
        return text or "no reason given"


def refusal(status: int, body: Any, *, base_url: str, model: str, key: str | None) -> ModelError:
    """The error for a status and body, never with the key in it."""
    words = redacted(said(body), key)
    message = f"The model server at {base_url} answered {status}: {words.rstrip('.')}."
    if _OVERFLOW.search(words):
        numbers = [int(number) for number in re.findall(r"\d{3,}", words)]
        limit, requested = min(numbers, default=None), max(numbers, default=None)
        return ContextOverflow(
            message,
            "Begin a new session, or use a larger model.",
            status=status,
            limit=limit,
            requested=requested if requested != limit else None,
        )
    return ModelError(message, _fix(status, words, model), status=status)


def _fix(status: int, words: str, model: str) -> str | None:
    if status in (401, 403):
        return "Check OPENAI_API_KEY and that it belongs to OPENAI_BASE_URL."
    if status == 404:
        return f"Check OPENAI_BASE_URL (it usually ends in /v1) and that the model {model} exists there."
    if status == 429:
        return "Wait, or check the quota of the account."
    if "tool" in words.lower() and "support" in words.lower():
        return f"The model {model} can't call tools; set PYGENT_MODEL to one that can."
    return None


def redacted(text: str, key: str | None) -> str:
    """The text without the key."""
    return text.replace(key, "[key]") if key else text


def wait_of(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait; None if it does not say."""
    try:
        if value := headers.get("retry-after-ms"):
            return float(value) / 1000
        if value := headers.get("retry-after"):
            return float(value) if value.strip().replace(".", "").isdigit() else _until(value)
    except (ValueError, TypeError):
        pass
    return None


def _until(date: str) -> float:
    return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
