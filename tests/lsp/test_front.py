"""A client that stops reading: what it is spared, what it gets anyway, and how it learns what it missed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from tests.lsp.inprocess import Loop

from pygent.events import Envelope, Message, Notice, TextDelta
from pygent.lsp.outbox import FULL, SLOW
from pygent.lsp.server import Host

LONG = "x" * 100_000


def envelope(seq: int, event: Any, session: str = "ses_1") -> Envelope:
    return Envelope(session_id=session, seq=seq, at=0, event=event)


def events(loop: Loop) -> list[dict[str, Any]]:
    bodies = [json.loads(body) for _ in range(1000) for body in loop.server.protocol.outbox.take()]
    return [one["params"] for one in bodies if one.get("method") == "pygent/event"]


async def test_memory_is_bounded_and_the_gap_is_told() -> None:
    loop = Loop(Host(object), {}, events=True)  # type: ignore[arg-type]
    loop.close_reading()
    front, outbox = loop.server.front, loop.server.protocol.outbox
    sizes = []
    for seq in range(1, 1001):
        front.emit(envelope(seq, Message(item_id="itm_1", role="assistant", text=LONG)))
        front.emit(envelope(seq, TextDelta(item_id="itm_1", text=LONG)))
        sizes.append(outbox._size)
    assert max(sizes) < FULL + 2 * len(LONG)
    outbox.caught_up = front.caught_up
    heard = events(loop)
    stored = [one["seq"] for one in heard if one["event"]["type"] == "message"]
    passing = [one for one in heard if one["event"]["type"] == "textDelta"]
    assert stored == list(range(1, len(stored) + 1))
    assert len(passing) <= SLOW // len(LONG) + 1
    notice = heard[-1]
    assert (notice["event"]["type"], notice["event"]["code"]) == ("notice", "leftOut")
    assert (notice["sessionId"], notice["seq"]) == ("ses_1", 1000)
    front.emit(envelope(1001, Message(item_id="itm_2", role="assistant", text="next")))
    assert [one["seq"] for one in events(loop)] == [1001]
    loop.close()


async def test_each_session_with_a_gap_is_named_once() -> None:
    loop = Loop(Host(object), {}, events=True)  # type: ignore[arg-type]
    loop.close_reading()
    front, outbox = loop.server.front, loop.server.protocol.outbox
    for seq in range(1, 400):
        for session in ("ses_1", "ses_2"):
            front.emit(envelope(seq, Message(item_id="itm_1", role="assistant", text=LONG), session))
    outbox.caught_up = front.caught_up
    notices = [one for one in events(loop) if one["event"]["type"] == "notice"]
    assert sorted(one["sessionId"] for one in notices) == ["ses_1", "ses_2"]
    loop.close()


def told(loop: Loop) -> list[tuple[str, int, str]]:
    """The messages that a client is given."""
    bodies = [json.loads(body) for _ in range(100) for body in loop.server.protocol.outbox.take()]
    return [
        (one["method"], one["params"]["type"], one["params"]["message"])
        for one in bodies
        if one.get("method", "").startswith("window/")
    ]


async def test_a_client_without_events_is_told_of_each_notice_once() -> None:
    loop = Loop(Host(object), {})  # type: ignore[arg-type]
    loop.close_reading()
    front = loop.server.front
    for turn in ("trn_1", "trn_2"):
        for level in ("info", "warning", "error"):
            for _ in range(3):
                notice = Notice(level=level, text=f"{level} of {turn}")  # type: ignore[arg-type]
                front.emit(msgspec.structs.replace(envelope(1, notice), turn_id=turn))
    messages = told(loop)
    for turn in ("trn_1", "trn_2"):
        assert [one for one in messages if one[0] == "window/showMessage" and turn in one[2]] == [
            ("window/showMessage", 2, f"warning of {turn}"),
            ("window/showMessage", 1, f"error of {turn}"),
        ]
        assert ("window/logMessage", 3, f"info of {turn}") in messages
    loop.close()
