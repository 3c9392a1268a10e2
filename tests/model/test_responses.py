"""What is the Responses API's alone: items, reasoning that goes back, and servers that leave events out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.model.asking import CALL, HI, IMAGE, SYSTEM, Heard, after_call, ask, client, prompt

from pygent.errors import ModelError
from pygent.replay import Fault, ReplayServer, Reply, Script

RESULT = {"role": "tool", "tool_call_id": "abc", "content": "ok"}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def ended(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = {"object": "response", "status": "completed", "output": list(output), **fields}
    return event("completed", response=response)


FUNCTION = {"type": "function_call", "id": "fc_1", "call_id": "abc", "name": "bash", "arguments": '{"a": 1}'}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AA=="}


async def test_the_request() -> None:
    async with (
        ReplayServer(Script(replies=[Reply(text="ok")])) as server,
        client(server.base_url, "responses") as model,
    ):
        await model.answer(prompt(SYSTEM, IMAGE), Heard().listener)
    request = server.requests[0]
    assert (request["store"], request["include"]) == (False, ["reasoning.encrypted_content"])
    assert request["instructions"] == "s"
    assert request["input"][0]["content"][0] == {"type": "input_text", "text": "look"}
    (tool,) = request["tools"]
    assert (tool["type"], tool["name"], "function" in tool) == ("function", "bash", False)


async def test_reasoning_goes_back_in_its_place_with_what_is_stored() -> None:
    first = Reply(text="I look.", reasoning="hm", tool_calls=[CALL])
    script = Script(replies=[first, Reply(text="done")])
    async with ReplayServer(script) as server, client(server.base_url, "responses") as model:
        answer = await model.answer(prompt(), Heard().listener)
        (call,) = answer.calls
        function = {"name": call.name, "arguments": call.arguments}
        calls = [{"id": call.call_id, "type": "function", "function": function}]
        asked = {"role": "assistant", "content": answer.text, **answer.extra, "tool_calls": calls}
        assert (await model.answer(prompt(SYSTEM, HI, asked, RESULT), Heard().listener)).text == "done"
    items = server.requests[1]["input"]
    kinds = [item.get("type", item.get("role")) for item in items]
    assert kinds == ["user", "reasoning", "assistant", "function_call", "function_call_output"]
    assert items[1]["encrypted_content"] == "c2VjcmV0"
    assert json.loads(items[3]["arguments"]) == CALL.arguments


async def test_a_conversation_may_change_its_wire() -> None:
    """What one wire keeps of an answer is nothing that the other would send."""
    by_responses = await ask([Reply(reasoning="hm", tool_calls=[CALL])], "responses")
    by_chat = await ask([Reply(reasoning="hm", tool_calls=[CALL])], "chat")
    assert (await ask([Reply(text="ok")], "chat", sent=after_call(**by_responses.extra))).text == "ok"
    assert (await ask([Reply(text="ok")], "responses", sent=after_call(**by_chat.extra))).text == "ok"


LEFT_OUT = {
    "only the end": [ended(message("Hello"), FUNCTION)],
    "items that are done, and an end without output": [
        event("output_item.done", output_index=0, item=message("Hello")),
        event("output_item.done", output_index=1, item=FUNCTION),
        ended(),
    ],
    "deltas, and an end that numbers its items otherwise": [
        event("output_item.added", output_index=0, item=THOUGHT),
        event("output_text.delta", output_index=1, delta="Hel"),
        event("output_text.delta", output_index=1, delta="lo"),
        ended(message("Hello"), FUNCTION),
    ],
    "the end says more than was streamed": [
        event("output_text.delta", output_index=0, delta="Hel"),
        ended(message("Hello"), FUNCTION),
    ],
    "arguments in pieces, never repeated": [
        event("output_text.delta", output_index=0, delta="Hello"),
        event("output_item.added", output_index=1, item={**FUNCTION, "arguments": ""}),
        event("function_call_arguments.delta", output_index=1, delta='{"a"'),
        event("function_call_arguments.delta", output_index=1, delta=": 1}"),
        ended(),
    ],
    "deltas without an index": [event("output_text.delta", delta="Hello"), ended(message("Hello"), FUNCTION)],
    "unknown events between": [
        event("web_search_call.searching", output_index=0),
        {"type": "keepalive"},
        ended(message("Hello"), FUNCTION),
    ],
}


@pytest.mark.parametrize("events", LEFT_OUT.values(), ids=LEFT_OUT.keys())
async def test_servers_that_leave_events_out(events: list[Any]) -> None:
    heard = Heard()
    answer = await ask([Reply(events=events)], "responses", heard=heard)
    assert answer.text == heard.text == "Hello"
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in answer.calls] == [
        ("abc", "bash", {"a": 1})
    ]


async def test_items_without_an_end_are_no_answer() -> None:
    events = [event("output_item.done", output_index=0, item=message("Hello"))]
    heard = Heard()
    cut = Reply(events=events, fault=Fault(no_done=True))
    answer = await ask([cut, Reply(text="Hello you")], "responses", heard=heard)
    assert answer.text == heard.text == "Hello you"


async def test_the_type_may_stand_only_in_the_events_name() -> None:
    data = json.dumps({"response": ended(message("Hello"))["response"]})
    raw = f"event: response.completed\ndata: {data}\n\n"
    assert (await ask([Reply(fault=Fault(raw=raw))], "responses")).text == "Hello"


FAILED = {
    "may pass": ({"code": "server_error", "message": "try later"}, True),
    "too often": ({"code": "rate_limit_exceeded", "message": "slow"}, True),
    "will not": ({"code": "invalid_request_error", "message": "bad"}, False),
}


@pytest.mark.parametrize(("error", "passes"), FAILED.values(), ids=FAILED.keys())
async def test_a_response_that_failed(error: dict[str, Any], passes: bool) -> None:
    failed = Reply(
        events=[event("failed", response={"object": "response", "status": "failed", "error": error})]
    )
    if passes:
        assert (await ask([failed, Reply(text="ok")], "responses")).text == "ok"
    else:
        with pytest.raises(ModelError, match=error["message"]):
            await ask([failed, Reply(text="ok")], "responses")


async def test_a_refusal_of_the_model_is_its_text() -> None:
    part = {"type": "refusal", "refusal": "No."}
    answer = await ask([Reply(events=[ended({**message(""), "content": [part]})])], "responses")
    assert answer.text == "No."
