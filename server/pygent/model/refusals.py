"""What went wrong with a model server, in words for a person."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pygent.errors import ContextOverflow, ModelError
from pygent.model import overflow
from pygent.redaction import Redactor, without_userinfo

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 508, 520, 521, 522, 523, 524, 529})
QUOTA = re.compile(r"insufficient_quota|insufficient (balance|credits|funds)|billing|out of credits", re.I)
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype|html|head|body)\b", re.I | re.S)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_AGAIN_IN = re.compile(r"(?:again|retry) in (?:(\d+)h)?\s*(?:(\d+)m(?!s))?\s*(?:([\d.]+) ?(ms|s))?", re.I)
_LONGEST = 400
"""Characters of a server's words that are shown."""


def said(body: Any) -> str:
    """The server's own words out of an error body of whatever shape."""
    if isinstance(body, list) and body:
        return said(body[0])
    if isinstance(body, dict):
        if raw := _raw(body):
            return raw
        for key in ("error", "message", "detail", "msg", "response"):
            if body.get(key):
                return said(body[key])
        return json.dumps(body)[:_LONGEST]
    text = str(body)
    if page := _page(text):
        return page
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_LONGEST]


def _raw(body: dict[str, Any]) -> str | None:
    """What the server behind a router said (`error.metadata.raw`), where the router says little."""
    metadata = body.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not raw:
        return None
    return said(parsed(raw) if isinstance(raw, str) else raw)


def parsed(text: str) -> Any:
    """An error body as JSON where it is; a page of HTML is only named."""
    if page := _page(text):
        return page
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip() or "no reason given"


def _page(text: str) -> str | None:
    if not _HTML.match(text):
        return None
    title = _TITLE.search(text)
    name = " ".join(re.sub(r"<[^>]*>?", "", title[1]).split())[:80] if title else ""
    return f"the server answered an HTML page{f' ({name})' if name else ''}"


def refusal(status: int, body: Any, *, base_url: str, model: str, key: str | None) -> ModelError:
    """The error for a status and body, never with the key in it."""
    words = redacted(said(body), key)
    message = f"The model server at {shown(base_url)} answered {status}: {words.rstrip('.')}."
    if (found := overflow.recognised(status, words + _codes(body), body)) is not None:
        fix = "The conversation is too long for this model: begin a new session, or use a larger model."
        return ContextOverflow(message, fix, status=status, limit=found.limit, requested=found.requested)
    return ModelError(message, _fix(status, words + _codes(body), model), status=status)


_FIXES = (
    (
        re.compile(r"enable-auto-tool-choice"),
        "Start vLLM with --enable-auto-tool-choice and --tool-call-parser.",
    ),
    (
        re.compile(r"tool.{0,60}(not support|unsupport)|not support.{0,30}(tool|function)", re.I),
        "The model {model} can't call tools; set PYGENT_MODEL to one that can.",
    ),
    (re.compile(r"HTML page"), "Check OPENAI_BASE_URL: it usually ends in /v1."),
    (
        re.compile(r"no_db_connection"),
        "Check OPENAI_API_KEY: this is what a LiteLLM proxy says to a wrong one.",
    ),
    (
        re.compile(r"model_not_found|model.{0,60}(not found|not exist)", re.I),
        "Check PYGENT_MODEL: `{model}`.",
    ),
)
_STATUS_FIXES = {
    401: "Check OPENAI_API_KEY and that it belongs to OPENAI_BASE_URL.",
    402: "Add credit to the account, or set OPENAI_BASE_URL to another server.",
    403: "Check OPENAI_API_KEY and that it may use the model {model}.",
    404: "Check OPENAI_BASE_URL (it usually ends in /v1) and that it has the model {model}.",
    407: "The proxy wants a name and password: HTTPS_PROXY=http://name:password@host:port.",
    429: "Wait, or use another model.",
}


def _fix(status: int, words: str, model: str) -> str | None:
    if status in (402, 429) and QUOTA.search(words):
        return "The account has no quota left: add credit, or set OPENAI_API_KEY to another account's."
    fix = next((fix for pattern, fix in _FIXES if pattern.search(words)), _STATUS_FIXES.get(status))
    return None if fix is None else fix.replace("{model}", model)


def final(status: int, body: Any, headers: Mapping[str, str]) -> bool:
    """Whether sending the same again is of no use."""
    if (told := headers.get("x-should-retry")) in ("true", "false"):
        return told == "false"
    return status not in RETRIED or bool(QUOTA.search(said(body) + _codes(body)))


def status_within(body: Any) -> int:
    """The HTTP status that an error inside a 200 stream stands for; 500 where it has none."""
    error = body.get("error") if isinstance(body, dict) else None
    for part in (error, body):
        code = part.get("code") or part.get("status") if isinstance(part, dict) else None
        if str(code).isdigit() and 400 <= int(str(code)) < 600:
            return int(str(code))
    words = _codes(body)
    known = {"invalid_request": 400, "authentication": 401, "insufficient_quota": 429, "rate_limit": 429}
    return next((status for name, status in known.items() if name in words), 500)


def _codes(body: Any) -> str:
    """The codes and types of an error body, for patterns."""
    if isinstance(body, list) and body:
        return _codes(body[0])
    if not isinstance(body, dict):
        return ""
    own = " ".join(str(body[name]) for name in ("code", "type", "status") if body.get(name))
    return f" {own}" + "".join(_codes(body.get(name)) for name in ("error", "response"))


def redacted(text: str, key: str | None) -> str:
    """The text without the key, and without the name and password in addresses."""
    return without_userinfo(Redactor(key).whole(text))


def shown(url: str) -> str:
    """An address without the name and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def wait_of(headers: Mapping[str, str], body: Any) -> float | None:
    """The seconds that a server asks to wait, in its headers or its words; None if it does not say."""
    try:
        if value := headers.get("retry-after-ms"):
            return max(0.0, float(value) / 1000)
        if value := headers.get("retry-after"):
            return float(value) if value.strip().replace(".", "", 1).isdigit() else _until(value)
    except (ValueError, TypeError, OverflowError):
        pass
    return _said_wait(said(body))


def _said_wait(words: str) -> float | None:
    found = _AGAIN_IN.search(words)
    if found is None or not any(found.groups()[:3]):
        return None
    hours, minutes, seconds, unit = found.groups()
    rest = float(seconds.rstrip(".") or 0) / (1000 if unit.lower() == "ms" else 1) if seconds else 0
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + rest


def _until(date: str) -> float:
    return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
