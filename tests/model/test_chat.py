"""The model client against a server that misbehaves the way real ones do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from pygent.config import Settings
from pygent.errors import ModelError
from pygent.events import Notice
from pygent.model import Answer, Listener, Prompt
from pygent.model.chat import ChatModel, open_model
from pygent.replay import Fault, ReplayServer, Reply, Script, ScriptedCall

KEY = "sk-key-of-the-test"
SOON = {"retry-after-ms": "1"}
TOOLS = b'[{"type":"function","function":{"name":"bash","parameters":{"type":"object","properties":{}}}}]'
FIRST = Reply(
    text="Hello, wörld! 😀 " * 3, reasoning="hm", usage={"prompt_tokens": 7, "completion_tokens": 5}
)
CALL = ScriptedCall(name="bash", arguments={"cmd": "ls 'ä'"}, id="abc")


class Heard:
    """What the listener was told."""

    def __init__(self) -> None:
        self.text, self.reasoning = "", ""
        self.notices: list[Notice] = []
        self.listener = Listener(self._text, self._reasoning, self.notices.append)

    def _text(self, text: str) -> None:
        self.text += text

    def _reasoning(self, text: str) -> None:
        self.reasoning += text


def prompt(*messages: dict[str, Any]) -> Prompt:
    default = ({"role": "system", "content": "s"}, {"role": "user", "content": "hi"})
    return Prompt([msgspec.json.encode(message) for message in messages or default], TOOLS, "replayed")


async def ask(*replies: Reply, heard: Heard | None = None, sent: Prompt | None = None) -> Answer:
    async with ReplayServer(Script(replies=list(replies))) as server:
        model = ChatModel(server.base_url, KEY)
        try:
            return await model.answer(sent or prompt(), (heard or Heard()).listener)
        finally:
            await model.close()


def sse(*chunks: Any, done: bool = True) -> Reply:
    """A reply of exactly these chunks."""
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return Reply(fault=Fault(raw="".join(events) + ("data: [DONE]\n\n" if done else "")))


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def piece(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields])


async def test_text_reasoning_usage_and_a_call() -> None:
    heard = Heard()
    reply = msgspec.structs.replace(FIRST, tool_calls=[CALL])
    answer = await ask(reply, heard=heard)
    assert answer.text == heard.text == FIRST.text
    assert heard.reasoning == "hm"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    (call,) = answer.calls
    assert (call.call_id, call.name, json.loads(call.arguments)) == ("abc", "bash", {"cmd": "ls 'ä'"})
    assert answer.extra == {"reasoning_content": "hm"}
    assert heard.notices == []


@pytest.mark.parametrize("wire", [1, 2, 7, 1000])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_events_may_be_cut_anywhere(wire: int, newline: str) -> None:
    reply = Reply(text="äöü😀 text", tool_calls=[CALL], wire=wire, newline=newline, comments=True, fragment=1)
    answer = await ask(reply)
    assert answer.text == "äöü😀 text"
    assert json.loads(answer.calls[0].arguments) == CALL.arguments


async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer() -> None:
    short = Reply(text="abc", tool_calls=[CALL], fragment=4)
    whole = await ask(short)
    for cut in range(0, 2400, 61):
        heard = Heard()
        first = msgspec.structs.replace(short, fault=Fault(cut=cut))
        answer = await ask(first, short, heard=heard)
        assert (answer.text, answer.calls) == (whole.text, whole.calls), cut
        assert heard.text == "abc", cut


ODD_CALLS = {
    "index missing": [
        piece(id="a", function={"name": "x", "arguments": '{"n":1}'}),
        piece(id="b", function={"name": "y", "arguments": "{}"}),
    ],
    "every index 0": [
        piece(index=0, id="a", function={"name": "x", "arguments": '{"n":1}'}),
        piece(index=0, id="b", function={"name": "y", "arguments": "{}"}),
    ],
    "a fresh id in each piece": [
        piece(index=0, id="a", function={"name": "x", "arguments": '{"n"'}),
        piece(index=0, id="zz", function={"arguments": ":1}"}),
        piece(index=1, id="b", function={"name": "y", "arguments": ""}),
    ],
    "name repeated": [
        piece(index=0, id="a", function={"name": "x", "arguments": '{"n"'}),
        piece(index=0, function={"name": "x", "arguments": ":1}"}),
        piece(index=1, id="b", function={"name": "y", "arguments": "{}"}),
    ],
    "arguments an object": [
        piece(index=0, id="a", function={"name": "x", "arguments": {"n": 1}}),
        piece(index=1, id="b", function={"name": "y", "arguments": None}),
    ],
    "no index and no id in what follows": [
        piece(id="a", function={"name": "x", "arguments": '{"n"'}),
        piece(function={"arguments": ":1}"}),
        piece(id="b", function={"name": "y"}),
    ],
    "both in one piece": [
        delta(
            tool_calls=[
                {"id": "a", "function": {"name": "x", "arguments": '{"n":1}'}},
                {"id": "b", "function": {"name": "y", "arguments": "{}"}},
            ]
        )
    ],
}


@pytest.mark.parametrize("chunks", ODD_CALLS.values(), ids=ODD_CALLS.keys())
async def test_calls_of_odd_servers(chunks: list[Any]) -> None:
    answer = await ask(sse(*chunks, delta("tool_calls")))
    assert [(call.name, json.loads(call.arguments)) for call in answer.calls] == [("x", {"n": 1}), ("y", {})]
    assert len({call.call_id for call in answer.calls}) == 2


ODD_ENDS = {
    "finish but no [DONE]": sse(delta(content="ok"), delta("stop"), done=False),
    "[DONE] but no finish": sse(delta(content="ok")),
    "usage with null choices": sse(delta(content="ok"), {"choices": None, "usage": {}}, delta("stop")),
    "first chunk without choices": sse(
        {"choices": [], "prompt_filter_results": []}, delta("stop", content="ok")
    ),
    "content as parts": sse(delta("stop", content=[{"type": "text", "text": "ok"}])),
    "choices of another type": sse({"choices": "?"}, delta("stop", content="ok")),
    "no blank line at the end": Reply(fault=Fault(raw=f"data: {json.dumps(delta('stop', content='ok'))}")),
    "a retry field": Reply(
        fault=Fault(raw=f"retry: 5\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "a damaged event": Reply(
        fault=Fault(raw=f"data: {{x\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "a whole completion": Reply(
        fault=Fault(
            raw=json.dumps({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}),
            content_type="application/json",
        )
    ),
}


@pytest.mark.parametrize("reply", ODD_ENDS.values(), ids=ODD_ENDS.keys())
async def test_answers_of_odd_servers(reply: Reply) -> None:
    assert (await ask(reply)).text == "ok"


@pytest.mark.parametrize(
    "arguments",
    ["{", "[1]", '"text"', "{'a': 1}", '{"a": 1} {'],
    ids=["cut", "list", "text", "python", "two"],
)
async def test_bad_arguments_never_reach_the_history(arguments: str) -> None:
    answer = await ask(Reply(tool_calls=[ScriptedCall(name="bash", arguments=arguments)]))
    assert answer.calls[0].arguments == "{}"
    assert answer.calls[0].error


async def test_a_call_that_the_token_limit_cut_is_not_run() -> None:
    answer = await ask(Reply(tool_calls=[CALL], finish="length"))
    assert answer.calls[0].error is not None
    assert "token limit" in answer.calls[0].error


RETRIED = {
    "429": Reply(status=429, headers=SOON),
    "500": Reply(status=500, headers=SOON),
    "503 html": Reply(status=503, body="<html>bad gateway</html>", headers=SOON),
    "529": Reply(status=529, headers=SOON),
    "dropped": Reply(fault=Fault(drop=True)),
    "broken off": Reply(text="Hello", fault=Fault(cut=300)),
    "no end": Reply(text="Hello", fault=Fault(no_done=True)),
    "error in the stream": sse({"error": {"message": "overloaded"}}),
    "empty": Reply(text=""),
    "empty body": Reply(fault=Fault(raw="")),
}


@pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
async def test_what_may_pass_is_tried_again_and_said(failure: Reply) -> None:
    heard = Heard()
    answer = await ask(failure, FIRST, heard=heard)
    assert answer.text == FIRST.text
    assert heard.text == FIRST.text
    (notice,) = heard.notices
    assert notice.code == "retry"
    assert "Trying again" in notice.text


async def test_another_answer_after_a_broken_one_begins_on_its_own_line() -> None:
    heard = Heard()
    first = Reply(text="One thing", fragment=3, fault=Fault(no_done=True))
    await ask(first, Reply(text="Other words", fragment=3), heard=heard)
    assert heard.text == "One thing\nOther words"


REFUSED = {
    "400": (Reply(status=400, body={"error": {"message": "bad field"}}), "bad field"),
    "401": (Reply(status=401, body={"error": f"wrong key {KEY}"}), "wrong key [key]"),
    "404": (Reply(status=404, body={"detail": "no such model"}), "no such model"),
    "an array": (Reply(status=400, body=[{"error": {"message": "from Google"}}]), "from Google"),
    "plain text": (Reply(status=403, body="go away"), "go away"),
    "quota": (Reply(status=429, body={"error": {"message": "no", "code": "insufficient_quota"}}), "no"),
    "a long wait": (Reply(status=429, headers={"retry-after": "3600"}), "429"),
    "a redirect": (Reply(status=307, headers={"location": "http://127.0.0.1:9/v1"}), "redirects"),
}


@pytest.mark.parametrize(("reply", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_will_not_pass_is_said_in_the_servers_words(reply: Reply, words: str) -> None:
    heard = Heard()
    with pytest.raises(ModelError) as error:
        await ask(reply, FIRST, heard=heard)
    assert words in error.value.message
    assert KEY not in error.value.message + str(error.value.fix)
    assert heard.notices == []


async def test_a_field_that_a_server_does_not_take_is_left_out_from_then_on() -> None:
    refusal = Reply(status=400, body={"error": {"message": "unknown field stream_options"}})
    async with ReplayServer(Script(replies=[refusal, FIRST, FIRST])) as server:
        model = ChatModel(server.base_url, KEY)
        await model.answer(prompt(), Heard().listener)
        await model.answer(prompt(), Heard().listener)
        await model.close()
    assert ["stream_options" in request for request in server.requests] == [True, False, False]


async def test_giving_up_names_the_reason() -> None:
    with pytest.raises(ModelError, match="500"):
        await ask(Reply(status=500, headers=SOON, times=0))


async def test_cancelling_closes_the_connection() -> None:
    async with ReplayServer(
        Script(replies=[Reply(text="Hello", fault=Fault(cut=400, stall=True))])
    ) as server:
        model = ChatModel(server.base_url, KEY)
        begun = asyncio.Event()
        listener = Listener(lambda _: begun.set(), lambda _: None, lambda _: None)
        job = asyncio.create_task(model.answer(prompt(), listener))
        await begun.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await model.close()


async def test_a_server_that_is_not_there() -> None:
    model = ChatModel("http://127.0.0.1:9/v1", KEY)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
        await model.models()
    await model.close()


async def test_the_models_are_listed() -> None:
    async with ReplayServer(Script(replies=[], models=("b", "a"))) as server:
        model = ChatModel(server.base_url, None)
        assert await model.models() == ["a", "b"]
        await model.close()


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(ModelError) as error:
        open_model(Settings())
    assert error.value.code == "noApiKey"


async def test_the_key_goes_to_the_server_and_a_server_without_one_gets_a_word() -> None:
    for key, sent in ((KEY, f"Bearer {KEY}"), (None, "Bearer none")):
        async with ReplayServer(Script(replies=[FIRST])) as server:
            model = open_model(Settings(api_key=key, base_url=server.base_url))
            await model.answer(prompt(), Heard().listener)
            await model.close()
            assert server.headers[0]["authorization"] == sent


async def test_one_connection_serves_answer_after_answer() -> None:
    async with ReplayServer(Script(replies=[Reply(text="One."), Reply(tool_calls=[CALL]), FIRST])) as server:
        model = ChatModel(server.base_url, KEY)
        for _ in range(3):
            await model.answer(prompt(), Heard().listener)
        await model.close()
        assert server.accepted == 1


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
    raw = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"
    async with ReplayServer(Script(replies=[Reply(fault=Fault(raw=raw, stall=True)), FIRST])) as server:
        model = ChatModel(server.base_url, KEY)
        assert (await asyncio.wait_for(model.answer(prompt(), Heard().listener), 10)).text == "Hi."
        assert (await model.answer(prompt(), Heard().listener)).text == FIRST.text
        await model.close()
        assert server.accepted == 2
