"""What must be the same over both wires: whole answers, retries, refusals, cancelling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import msgspec
import pytest
from tests.model.asking import CALL, IMAGE, KEY, SYSTEM, Heard, after_call, ask, client, prompt

from pygent.config import Settings
from pygent.config.settings import AnswerSettings
from pygent.errors import ModelError
from pygent.model import Answer, Listener
from pygent.model.client import open_model
from pygent.replay import Demand, Fault, Match, ReplayServer, Reply, Script, ScriptedCall

SOON = {"retry-after-ms": "1"}
FIRST = Reply(
    text="Hello, wörld! 😀 " * 3,
    reasoning="hm",
    usage={"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
)


async def test_text_reasoning_usage_and_calls(wire: str) -> None:
    heard = Heard()
    second = ScriptedCall(name="bash", id="def")
    answer = await ask([msgspec.structs.replace(FIRST, tool_calls=[CALL, second])], wire, heard=heard)
    assert answer.text == heard.text == FIRST.text
    assert heard.reasoning == "hm"
    assert answer.usage is not None
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (7, 5, 4)
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in answer.calls] == [
        ("abc", "bash", {"cmd": "ls 'ä'"}),
        ("def", "bash", {}),
    ]
    assert heard.notices == []


async def test_a_whole_answer_in_place_of_a_stream(wire: str) -> None:
    whole: dict[str, Any] = {}
    reply = msgspec.structs.replace(FIRST, tool_calls=[CALL])
    async with (
        ReplayServer(Script(replies=[reply], lenient=True)) as server,
        client(server.base_url, wire) as model,
    ):
        body = json.loads(model._wire.body(prompt(), {})) | {"stream": False}
        async with httpx2.AsyncClient(trust_env=False) as raw:
            whole = (await raw.post(f"{server.base_url}{model._wire.path}", json=body)).json()
    heard = Heard()
    answer = await ask([Reply(body=whole)], wire, heard=heard)
    assert answer.text == heard.text == FIRST.text
    assert [call.call_id for call in answer.calls] == ["abc"]
    assert answer.usage is not None


@pytest.mark.parametrize("width", [1, 2, 7, 1000])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_events_may_be_cut_anywhere(wire: str, width: int, newline: str) -> None:
    reply = Reply(
        text="äöü😀 text", tool_calls=[CALL], wire=width, newline=newline, comments=True, fragment=1
    )
    answer = await ask([reply], wire)
    assert answer.text == "äöü😀 text"
    assert json.loads(answer.calls[0].arguments) == CALL.arguments


@pytest.mark.parametrize(
    "arguments",
    ["{", "[1]", '"text"', "{'a': 1}", '{"a": 1} {', "[" * 100_000],
    ids=["cut", "list", "text", "python", "two", "deep"],
)
async def test_bad_arguments_never_reach_the_history(wire: str, arguments: str) -> None:
    reply = Reply(tool_calls=[ScriptedCall(name="bash", arguments=arguments)], fragment=100_000)
    answer = await ask([reply], wire)
    assert answer.calls[0].arguments == "{}"
    assert answer.calls[0].error


async def test_what_is_left_out_of_the_arguments_is_an_empty_object(wire: str) -> None:
    answer = await ask([Reply(tool_calls=[ScriptedCall(name="bash", arguments="")])], wire)
    assert (answer.calls[0].arguments, answer.calls[0].error) == ("{}", None)


async def test_a_call_that_the_token_limit_cut_is_not_run(wire: str) -> None:
    answer = await ask([Reply(tool_calls=[CALL], finish="length")], wire)
    assert answer.calls[0].error is not None
    assert "token limit" in answer.calls[0].error


async def test_a_text_that_the_token_limit_cut_is_said_to_be(wire: str) -> None:
    heard = Heard()
    answer = await ask([Reply(text="Once upon", finish="length")], wire, heard=heard)
    assert (answer.text, answer.finish) == ("Once upon", "length")
    assert [notice.text for notice in heard.said("length")] == [
        "The answer reached its token limit and is cut off."
    ]


@pytest.mark.parametrize(
    ("finish", "words"), [("content_filter", "content filter"), ("length", "token limit")]
)
async def test_an_answer_without_a_word_says_why(wire: str, finish: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        await ask([Reply(finish=finish, times=0)], wire)


# -- what is tried again ---------------------------------------------------------------------------

RETRIED = {
    "429": Reply(status=429, headers=SOON),
    "500": Reply(status=500, headers=SOON),
    "503 html": Reply(status=503, body="<html>bad gateway</html>", headers=SOON),
    "529": Reply(status=529, headers=SOON),
    "408": Reply(status=408, headers=SOON),
    "dropped": Reply(fault=Fault(drop=True)),
    "reset": Reply(fault=Fault(drop=True, reset=True)),
    "broken off": Reply(text="Hello", fault=Fault(cut=300)),
    "reset in the middle": Reply(text="Hello", fault=Fault(cut=300, reset=True)),
    "no end": Reply(text="Hello", fault=Fault(no_done=True)),
    "error in the stream": Reply(events=[{"error": {"message": "overloaded"}}]),
    "error with a code in the stream": Reply(events=[{"error": {"message": "busy", "code": 503}}]),
    "empty": Reply(text=""),
    "empty body": Reply(fault=Fault(raw="")),
    "empty body, whole": Reply(fault=Fault(raw="", content_type="application/json")),
    "half a whole answer": Reply(fault=Fault(raw='{"object": "resp', content_type="application/json")),
    "a damaged event": Reply(events=[], fault=Fault(raw='data: {"choices": [}\n\ndata: [DONE]\n\n')),
    "told to": Reply(status=400, body={"error": {"message": "odd"}}, headers={"x-should-retry": "true"}),
}


@pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
async def test_what_may_pass_is_tried_again_and_said(wire: str, failure: Reply) -> None:
    heard = Heard()
    answer = await ask([failure, FIRST], wire, heard=heard)
    assert answer.text == FIRST.text
    assert heard.text == FIRST.text
    (notice,) = heard.notices
    assert (notice.code, notice.attempt, notice.attempts) == ("retry", 1, 5)
    assert notice.retry_at is not None
    assert "Trying again" in notice.text


async def test_another_answer_after_a_broken_one_begins_on_its_own_line(wire: str) -> None:
    heard = Heard()
    first = Reply(text="One thing", reasoning="aa", fragment=3, fault=Fault(no_done=True))
    await ask([first, Reply(text="Other words", reasoning="aab", fragment=3)], wire, heard=heard)
    assert heard.text == "One thing\nOther words"
    assert heard.reasoning == "aab"


async def test_a_longer_answer_after_a_broken_one_is_shown_from_where_it_goes_on(wire: str) -> None:
    heard = Heard()
    replies = [
        Reply(text="Hello", fragment=2, fault=Fault(no_done=True)),
        Reply(text="Hello, you", fragment=3, fault=Fault(no_done=True)),
        Reply(text="Hello, you there", fragment=16),
    ]
    answer = await ask(replies, wire, heard=heard)
    assert heard.text == answer.text == "Hello, you there"


async def test_giving_up_names_the_reason(wire: str) -> None:
    heard = Heard()
    with pytest.raises(ModelError, match="500"):
        await ask([Reply(status=500, headers=SOON, times=0)], wire, heard=heard)
    assert [notice.attempt for notice in heard.notices] == [1, 2, 3, 4, 5]


async def test_an_empty_answer_is_asked_for_again_once(wire: str) -> None:
    heard = Heard()
    with pytest.raises(ModelError, match="twice"):
        await ask([Reply(text="", times=0)], wire, heard=heard)
    assert len(heard.notices) == 1


# -- what is not -----------------------------------------------------------------------------------

REFUSED = {
    "400": (Reply(status=400, body={"error": {"message": "bad field"}}), "bad field"),
    "401": (Reply(status=401, body={"error": f"wrong key {KEY}"}), "wrong key [key]"),
    "402": (Reply(status=402, body={"error": {"message": "no credit"}}), "no credit"),
    "404": (Reply(status=404, body={"detail": "no such model"}), "no such model"),
    "an array": (Reply(status=400, body=[{"error": {"message": "from Google"}}]), "from Google"),
    "plain text": (Reply(status=403, body="go away"), "go away"),
    "quota": (Reply(status=429, body={"error": {"message": "no", "code": "insufficient_quota"}}), "no"),
    "a long wait": (Reply(status=429, headers={"retry-after": "3600"}), "429"),
    "a redirect": (Reply(status=307, headers={"location": "http://127.0.0.1:9/v1"}), "redirects"),
    "a page": (Reply(body="<!DOCTYPE html><title>Sign in</title><p>hi"), "HTML page (Sign in)"),
    "told not to": (Reply(status=500, headers={"x-should-retry": "false"}), "500"),
    "a refusal in the stream": (
        Reply(events=[{"error": {"message": "bad", "code": 400}}]),
        "answered 400: bad",
    ),
}


@pytest.mark.parametrize(("reply", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_will_not_pass_is_said_in_the_servers_words(wire: str, reply: Reply, words: str) -> None:
    heard = Heard()
    with pytest.raises(ModelError) as error:
        await ask([reply, FIRST], wire, heard=heard)
    assert words in error.value.message
    assert "\n" not in error.value.message
    assert "<" not in error.value.message
    assert KEY not in error.value.message + str(error.value.fix)
    assert heard.notices == []


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize(
    "shape", [{"error": {"message": KEY}}, {"detail": f"Bearer {KEY}"}, KEY, [KEY]], ids=str
)
async def test_a_server_that_echoes_the_key(wire: str, status: int, shape: Any) -> None:
    heard = Heard()
    with pytest.raises(ModelError) as error:
        await ask([Reply(status=status, body=shape, headers=SOON, times=0)], wire, heard=heard)
    assert KEY not in " ".join([error.value.message, str(error.value.fix), *(n.text for n in heard.notices)])
    assert "[key]" in error.value.message


# -- images, cancelling, connections ---------------------------------------------------------------


async def test_images_are_sent(wire: str) -> None:
    async with ReplayServer(Script(replies=[FIRST])) as server, client(server.base_url, wire) as model:
        await model.answer(prompt(SYSTEM, IMAGE), Heard().listener)
    assert "data:image/png;base64,AA==" in json.dumps(server.requests[0])


async def test_a_server_that_takes_no_images_gets_words_and_the_person_is_told(wire: str) -> None:
    path = "messages.*.content.type=image_url" if wire == "chat" else "input.*.content.type=input_image"
    body = {"error": {"message": "image input is not supported - hint: you may need to provide the mmproj"}}
    demand = Demand(path=path, status=500, body=body)
    heard = Heard()
    script = Script(replies=[FIRST, FIRST], demands=[demand])
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        for _ in range(2):
            assert (await model.answer(prompt(SYSTEM, IMAGE), heard.listener)).text == FIRST.text
    assert len(server.requests) == 3, "what was learnt is not asked again"
    (notice,) = heard.notices
    assert (notice.code, notice.level) == ("adapted", "warning")
    assert "takes no images" in notice.text
    assert "this model takes none" in json.dumps(server.requests[-1])


async def test_an_image_that_is_refused_for_itself_is_left_out_only_then(wire: str) -> None:
    path = "messages.*.content.type=image_url" if wire == "chat" else "input.*.content.type=input_image"
    demand = Demand(path=path, body={"error": {"message": "Could not process image"}})
    script = Script(replies=[FIRST, FIRST], demands=[demand])
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        for _ in range(2):
            assert (await model.answer(prompt(SYSTEM, IMAGE), Heard().listener)).text == FIRST.text
        assert model.adaptations("replayed") == []
    assert len(server.requests) == 4


async def test_cancelling_closes_the_connection(wire: str) -> None:
    reply = Reply(text="Hello", fragment=5, fault=Fault(cut=1400, stall=True))
    async with ReplayServer(Script(replies=[reply])) as server, client(server.base_url, wire) as model:
        begun = asyncio.Event()
        listener = Listener(lambda _: begun.set(), lambda _: None, lambda _: None)
        job = asyncio.create_task(model.answer(prompt(), listener))
        await begun.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job


async def test_cancelling_in_the_wait_for_another_attempt(wire: str) -> None:
    waits = asyncio.Event()
    reply = Reply(status=429, headers={"retry-after": "30"}, times=0)
    async with ReplayServer(Script(replies=[reply])) as server, client(server.base_url, wire) as model:
        listener = Listener(lambda _: None, lambda _: None, lambda _: waits.set())
        job = asyncio.create_task(model.answer(prompt(), listener))
        await waits.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
    assert len(server.requests) == 1


async def test_one_connection_serves_answer_after_answer(wire: str) -> None:
    replies = [Reply(text="One."), Reply(tool_calls=[CALL]), FIRST]
    async with ReplayServer(Script(replies=replies)) as server, client(server.base_url, wire) as model:
        for _ in range(3):
            await model.answer(prompt(), Heard().listener)
        assert server.accepted == 1


async def test_a_body_that_never_ends_is_not_waited_for(wire: str) -> None:
    async with ReplayServer(Script(replies=[FIRST])) as server, client(server.base_url, wire) as model:
        body = json.loads(model._wire.body(prompt(), {}))
        async with httpx2.AsyncClient(trust_env=False) as raw:
            text = (await raw.post(f"{server.base_url}{model._wire.path}", json=body)).text
    replies = [Reply(fault=Fault(raw=text, stall=True)), FIRST]
    async with ReplayServer(Script(replies=replies)) as server, client(server.base_url, wire) as model:
        answers = [await asyncio.wait_for(model.answer(prompt(), Heard().listener), 10) for _ in range(2)]
        assert [answer.text for answer in answers] == [FIRST.text] * 2
        assert server.accepted == 2


async def test_answers_at_the_same_time_do_not_mix(wire: str) -> None:
    numbers = range(10, 30)
    replies = [Reply(text=f"answer to {n}", match=Match(first=f"question {n}"), fragment=2) for n in numbers]
    async with ReplayServer(Script(replies=replies)) as server, client(server.base_url, wire) as model:

        async def one(n: int) -> Answer:
            question = {"role": "user", "content": f"question {n}"}
            return await model.answer(prompt(SYSTEM, question), Heard().listener)

        answers = await asyncio.gather(*(one(n) for n in numbers))
    assert [answer.text for answer in answers] == [f"answer to {n}" for n in numbers]


async def test_a_server_that_is_not_there(wire: str) -> None:
    async with client("http://127.0.0.1:9/v1", wire) as model:
        with pytest.raises(ModelError, match=r"127\.0\.0\.1:9.*can't be reached"):
            await model.answer(prompt(), Heard().listener)
        with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
            await model.models()


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(ModelError) as error:
        open_model(Settings(), {}, None)
    assert error.value.code == "noApiKey"


@pytest.mark.parametrize(("key", "sent"), [(KEY, f"Bearer {KEY}"), (None, "Bearer none")])
async def test_the_key_goes_to_the_server_and_a_server_without_one_gets_a_word(
    wire: str, key: str | None, sent: str
) -> None:
    async with (
        ReplayServer(Script(replies=[FIRST])) as server,
        client(server.base_url, wire, key=key) as model,
    ):
        await model.answer(prompt(), Heard().listener)
    assert server.headers[0]["authorization"] == sent


async def test_auto_is_chat_completions() -> None:
    async with ReplayServer(Script(replies=[FIRST])) as server, client(server.base_url, "auto") as model:
        await model.answer(prompt(), Heard().listener)
    assert "messages" in server.requests[0]


async def test_what_is_asked_of_answers_is_sent(wire: str) -> None:
    answers = AnswerSettings(max_tokens=77, reasoning_effort="low")
    script = Script(replies=[FIRST])
    async with ReplayServer(script) as server, client(server.base_url, wire, answers=answers) as model:
        await model.answer(after_call(), Heard().listener)
    (request,) = server.requests
    if wire == "chat":
        assert (request["max_tokens"], request["reasoning_effort"]) == (77, "low")
    else:
        assert (request["max_output_tokens"], request["reasoning"]["effort"]) == (77, "low")
