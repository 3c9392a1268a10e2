"""How long is waited, for whom, and what a person is told."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest
from tests.model.asking import Heard, ask, client, prompt

from pygent.config.settings import Limits
from pygent.errors import ModelError
from pygent.model.connection import Connection, Endpoint
from pygent.model.refusals import final, parsed, said, shown, status_within, wait_of
from pygent.model.retries import DROPS, Again, Attempts, Policy
from pygent.replay import Fault, ReplayServer, Reply, Script

OK = Reply(text="ok")
ERROR = ModelError("no")


def later(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


WAITS: dict[str, tuple[dict[str, str], Any, float | None]] = {
    "seconds": ({"retry-after": "7"}, "", 7),
    "a part of a second": ({"retry-after": "0.5"}, "", 0.5),
    "milliseconds first": ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
    "a date that is past": ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0),
    "nonsense": ({"retry-after": "soon"}, "", None),
    "negative": ({"retry-after-ms": "-5"}, "", 0),
    "openai's words": ({}, {"error": {"message": "Rate limit. Please try again in 20s. Visit"}}, 20),
    "groq's words": ({}, "Please try again in 6m12.5s.", 372.5),
    "milliseconds in words": ({}, "Please try again in 250ms.", 0.25),
    "hours in words": ({}, "Please try again in 1h2m3s", 3723),
    "gemini's words": ({}, [{"error": {"message": "quota. Please retry in 23.4s."}}], 23.4),
    "no time": ({}, "Please try again later.", None),
    "again in the words of something else": ({}, "try again in the console", None),
}


@pytest.mark.parametrize(("headers", "body", "wait"), WAITS.values(), ids=WAITS.keys())
def test_waits(headers: dict[str, str], body: Any, wait: float | None) -> None:
    assert wait_of(headers, body) == wait


def test_a_date_says_how_long() -> None:
    found = wait_of({"retry-after": later(30)}, "")
    assert found is not None
    assert 28 <= found <= 30


async def test_retry_after_is_obeyed_and_announced(wire: str) -> None:
    heard, before = Heard(), time.time() * 1000
    await ask([Reply(status=429, headers={"retry-after": "0.2"}), OK], wire, heard=heard)
    (notice,) = heard.notices
    assert "429" in notice.text
    assert "Trying again in 0.2 s (1 of 5)." in notice.text
    assert notice.retry_at is not None
    assert notice.retry_at - before >= 200
    assert time.time() * 1000 >= notice.retry_at


@pytest.mark.parametrize(
    "headers", [{"retry-after": "61"}, {"retry-after-ms": "61000"}, {"retry-after": later(86400)}]
)
async def test_more_than_a_minute_is_not_waited_for_and_it_is_said_until_when(
    wire: str, headers: dict[str, str]
) -> None:
    heard = Heard()
    with pytest.raises(ModelError) as error:
        await ask([Reply(status=429, headers=headers), OK], wire, heard=heard)
    assert "until" in str(error.value.fix)
    assert heard.notices == []


QUOTAS = {
    "openai": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    "by type": (429, {"error": {"message": "no", "type": "insufficient_quota"}}),
    "deepseek": (402, {"error": {"message": "Insufficient Balance"}}),
    "openrouter": (402, {"error": {"message": "Insufficient credits. Add more at", "code": 402}}),
}


@pytest.mark.parametrize(("status", "body"), QUOTAS.values(), ids=QUOTAS.keys())
async def test_an_empty_account_stops_at_once_with_what_to_do(wire: str, status: int, body: Any) -> None:
    heard = Heard()
    with pytest.raises(ModelError) as error:
        await ask([Reply(status=status, body=body), OK], wire, heard=heard)
    assert "add credit" in str(error.value.fix)
    assert heard.notices == []


async def test_gemini_says_quota_and_means_a_minute() -> None:
    body = [{"error": {"code": 429, "message": "You exceeded your current quota. Please retry in 0.01s."}}]
    assert (await ask([Reply(status=429, body=body), OK])).text == "ok"


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "OPENAI_BASE_URL"), (402, "credit")],
)
async def test_what_to_do_about_it(wire: str, status: int, words: str) -> None:
    with pytest.raises(ModelError) as error:
        await ask([Reply(status=status, body={"error": {"message": "no"}}), OK], wire)
    assert words in str(error.value.fix)
    assert error.value.status == status


async def test_the_pauses_grow_up_to_the_slowest() -> None:
    heard = Heard()
    attempts = Attempts(Policy(attempts=6, first=0.001, slowest=0.004), heard.listener)
    waits = []
    for _ in range(5):
        before = time.monotonic()
        await attempts.pause(Again("x", ERROR))
        waits.append(time.monotonic() - before)
    assert all(
        wait >= least for wait, least in zip(waits, (0.00075, 0.0015, 0.003, 0.003, 0.003), strict=True)
    )
    with pytest.raises(ModelError):
        await attempts.pause(Again("x", ERROR))
    assert [notice.attempt for notice in heard.notices] == [1, 2, 3, 4, 5]


async def test_a_kind_of_failure_may_have_its_own_limit() -> None:
    attempts = Attempts(Policy(first=0), Heard().listener)
    await attempts.pause(Again("x", ERROR, kind="stall", most=2))
    await attempts.pause(Again("y", ERROR))
    with pytest.raises(ModelError):
        await attempts.pause(Again("x", ERROR, kind="stall", most=2))


async def test_a_kept_connection_that_was_closed_is_no_attempt(wire: str) -> None:
    heard = Heard()
    dropped = [Reply(fault=Fault(drop=True)) for _ in range(DROPS - 1)]
    failed = [Reply(status=500, headers={"retry-after-ms": "1"}) for _ in range(5)]
    script = Script(replies=[OK, *dropped, *failed, OK])
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        await model.answer(prompt(), heard.listener)
        assert (await model.answer(prompt(), heard.listener)).text == "ok"
    assert [notice.attempt for notice in heard.notices] == [None] * (DROPS - 1) + [1, 2, 3, 4, 5]


async def test_a_connection_that_is_always_dropped_is_given_up(wire: str) -> None:
    script = Script(replies=[OK, Reply(fault=Fault(drop=True), times=0)])
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        await model.answer(prompt(), Heard().listener)
        with pytest.raises(ModelError, match="connection was lost"):
            await model.answer(prompt(), Heard().listener)


# -- words -----------------------------------------------------------------------------------------

NESTED: Any = "x"
for _ in range(50):
    NESTED = {"error": NESTED}
SHAPES = {
    "nested": (NESTED, "x"),
    "an empty object": ({}, "{}"),
    "an empty error": ({"error": {}, "message": "m"}, "m"),
    "an empty array": ([], "[]"),
    "null": (None, "None"),
    "a page inside": ({"error": {"message": "<html><title>502 Bad Gateway</title>"}}, "502 Bad Gateway"),
    "raw that is a page": ({"error": {"message": "no", "metadata": {"raw": "<html></html>"}}}, "HTML page"),
    "control characters": ({"error": "a\x1b[31mb\nc"}, "a [31mb c"),
}


@pytest.mark.parametrize(("body", "words"), SHAPES.values(), ids=SHAPES.keys())
def test_the_servers_words(body: Any, words: str) -> None:
    assert words in said(body)
    assert "\n" not in said(body)
    assert "<html" not in said(body)


def test_long_words_are_cut() -> None:
    assert len(said("x" * 10_000)) == 400
    assert len(said({"error": {"message": "y" * 10_000}})) == 400


def test_pages_are_named() -> None:
    assert parsed("<!-- c --><HTML><TITLE> 502\n<b>Bad</b> Gateway </TITLE>") == (
        "the server answered an HTML page (502 Bad Gateway)"
    )
    assert parsed("  <!doctype html>") == "the server answered an HTML page"
    assert parsed("") == "no reason given"
    assert parsed('{"a": 1}') == {"a": 1}


def test_an_address_is_shown_without_what_is_secret_in_it() -> None:
    assert shown("https://me:pw@host:8000/v1?api-key=k") == "https://host:8000/v1"


def test_statuses_within() -> None:
    assert status_within({"error": {"code": "429"}}) == 429
    assert status_within({"object": "error", "code": 400}) == 400
    assert status_within({"error": {"type": "invalid_request_error"}}) == 400
    assert status_within({"error": {"code": "server_error"}}) == 500
    assert status_within("what") == 500


def test_what_is_final() -> None:
    assert final(400, {}, {})
    assert not final(500, {}, {})
    assert final(500, {}, {"x-should-retry": "false"})
    assert not final(400, {}, {"x-should-retry": "true"})


# -- stalls ----------------------------------------------------------------------------------------


async def test_a_silent_stream_is_noticed_and_asked_for_again(wire: str) -> None:
    heard = Heard()
    stalled = Reply(text="Hello there", fragment=2, fault=Fault(cut=1500, stall=True))
    limits = Limits(stall_timeout=0.3)
    answer = await ask([stalled, Reply(text="Hello there")], wire, heard=heard, limits=limits)
    assert answer.text == heard.text == "Hello there"
    assert "nothing came for 0.3 s" in heard.notices[0].text


async def test_a_server_that_is_always_silent_is_given_up(wire: str) -> None:
    heard = Heard()
    stalled = Reply(text="Hello", fault=Fault(cut=0, stall=True), times=0)
    with pytest.raises(ModelError) as error:
        await ask([stalled], wire, heard=heard, limits=Limits(stall_timeout=0.2))
    assert "limits.stall_timeout" in str(error.value.fix)
    assert len(heard.notices) == 2


def test_a_connection_says_what_it_lost_without_the_key() -> None:
    connection = Connection(Endpoint("http://h/v1", "sk-secret"))
    assert connection.plain(OSError("sk-secret is bad\nreally.")) == "[key] is bad really"
