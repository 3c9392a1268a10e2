"""Each difference between real servers that we know of, by its name and its server.

Where a server answers oddly, the scripted server sends just what was recorded or reported; where it refuses,
it refuses the same, and the client has to find its way and to remember it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.model.asking import (
    CALL,
    IMAGE,
    SYSTEM,
    Heard,
    after_call,
    ask,
    client,
    delta,
    exactly,
    piece,
    prompt,
)

from pygent.config.settings import AnswerSettings
from pygent.errors import ModelError
from pygent.model import Prompt
from pygent.replay import Demand, Fault, ReplayServer, Reply, Script

OK = Reply(text="ok")
X, Y = ("x", {"n": 1}), ("y", {})
TWO = [X, Y]


def fn(name: str | None, arguments: Any = "") -> dict[str, Any]:
    return {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}


CALLS = {
    "openai: in pieces, by index": [
        piece(index=0, id="a", type="function", function=fn("x")),
        piece(index=0, function=fn(None, '{"n"')),
        piece(index=0, function=fn(None, ":1}")),
        piece(index=1, id="b", type="function", function=fn("y")),
        piece(index=1, function=fn(None, "{}")),
    ],
    "openai: name and arguments repeated by a newer model": [
        piece(index=0, id="a", function=fn("x", '{"n"')),
        piece(index=0, function=fn("x", ":1}")),
        piece(index=1, id="b", function=fn("y", "{}")),
    ],
    "transformers: whole calls, in one delta": [
        delta(
            tool_calls=[
                {"index": 0, "id": "r_tool_call_0", "function": fn("x", '{"n":1}')},
                {"index": 1, "id": "r_tool_call_1", "function": fn("y", "{}")},
            ]
        )
    ],
    "ollama before 0.4.7, sglang: no index": [
        piece(id="a", function=fn("x", '{"n":1}')),
        piece(id="b", function=fn("y", "{}")),
    ],
    "ollama, litellm on ollama: every call index 0": [
        piece(index=0, id="a", function=fn("x", '{"n":1}')),
        piece(index=0, id="b", function=fn("y", "{}")),
    ],
    "litellm on oci: a fresh id in each delta": [
        piece(index=0, id="a", function=fn("x", '{"n"')),
        piece(index=0, id="zz", function=fn(None, ":1}")),
        piece(index=1, id="b", function=fn("y", "")),
    ],
    "vllm, groq: an id is missing": [
        piece(index=0, function=fn("x", '{"n":1}')),
        piece(index=1, function=fn("y", "{}")),
    ],
    "vllm: arguments None": [
        piece(index=0, id="a", function=fn("x", '{"n":1}')),
        piece(index=1, id="b", function=fn("y", None)),
    ],
    "vllm, lmdeploy: the second call at index 0, later ids ''": [
        piece(index=0, id="a", function=fn("x", '{"n"')),
        piece(index=0, id="", function=fn(None, ":1}")),
        piece(index=0, id="b", function=fn("y", "{")),
        piece(index=0, id="", function=fn(None, "}")),
    ],
    "sglang: name '' at first, then late": [
        piece(index=0, id="a", function=fn("", "")),
        piece(index=0, function=fn("x", '{"n":1}')),
        piece(index=1, id="b", function=fn("y", "{}")),
    ],
    "sglang: id None for later calls": [
        piece(index=0, id="a", function=fn("x", '{"n":1}')),
        piece(index=1, id=None, function=fn("y", "{}")),
    ],
    "tgi: arguments as an object, id always 0": [
        piece(index=0, id="0", function=fn("x", {"n": 1})),
        piece(index=1, id="0", function=fn("y", {})),
    ],
    "gemini: no index, one chunk each": [
        piece(id="", function=fn("x", '{"n":1}'), type="function"),
        piece(id="", function=fn("y", "{}"), type="function"),
    ],
    "anthropic: arguments '' first, content '' in each delta": [
        delta(content="", tool_calls=[{"index": 0, "id": "a", "function": fn("x", "")}]),
        delta(content="", tool_calls=[{"index": 0, "function": fn(None, '{"n":1}')}]),
        delta(content="", tool_calls=[{"index": 1, "id": "b", "function": fn("y", "")}]),
    ],
    "mistral: ids of nine": [
        piece(index=0, id="AbCdEf123", function=fn("x", '{"n":1}')),
        piece(index=1, id="AbCdEf124", function=fn("y", "{}")),
    ],
    "no index and no id in what follows": [
        piece(id="a", function=fn("x", '{"n"')),
        piece(function=fn(None, ":1}")),
        piece(id="b", function={"name": "y"}),
    ],
    "control characters in the arguments": [
        piece(index=0, id="a", function=fn("x", '{"n":\t1}')),
        piece(index=1, id="b", function=fn("y", "\n{\n}\n")),
    ],
}


@pytest.mark.parametrize("chunks", CALLS.values(), ids=CALLS.keys())
async def test_calls(chunks: list[Any]) -> None:
    answer = await ask([exactly(*chunks, delta("tool_calls"))])
    assert [(call.name, json.loads(call.arguments)) for call in answer.calls] == TWO
    assert len({call.call_id for call in answer.calls}) == 2
    assert all(call.error is None and call.call_id for call in answer.calls)


async def test_gemini_a_name_in_pieces_becomes_one() -> None:
    chunks = [
        piece(index=0, id="a", function={"name": "ba"}),
        piece(index=0, function={"name": "sh", "arguments": "{}"}),
    ]
    answer = await ask([exactly(*chunks, delta("stop"))])
    assert [call.name for call in answer.calls] == ["bash"]


async def test_an_id_of_ours_suits_the_pickiest_server() -> None:
    answer = await ask([exactly(piece(function=fn("x", "{}")), delta("tool_calls"))])
    call_id = answer.calls[0].call_id
    assert len(call_id) == 9
    assert call_id.isalnum()


STOP = delta("stop")
ENDS = {
    "transformers: a finish reason, no [DONE]": exactly(delta(content="ok"), STOP, done=False),
    "[DONE], no finish reason": exactly(delta(content="ok")),
    "azure: the first chunk has no choices": exactly(
        {"id": "", "model": "", "choices": [], "prompt_filter_results": []}, delta("stop", content="ok")
    ),
    "usage with choices null": exactly(delta(content="ok"), STOP, {"choices": None, "usage": {}}),
    "litellm: the usage chunk repeats choices": exactly(
        delta(content="ok"), STOP, {**delta(content=None), "usage": {"prompt_tokens": 1}}
    ),
    "mistral: content as a list": exactly(
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        delta("stop", content=[{"type": "text", "text": "ok"}]),
    ),
    "sglang: two finish chunks": exactly(delta(content="ok"), STOP, STOP),
    "llama.cpp: timings beside it": exactly(delta(content="ok"), {**STOP, "timings": {"cache_n": 3}}),
    "openrouter: comments before the first byte": Reply(
        fault=Fault(raw=f": OPENROUTER PROCESSING\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "deepseek: blank lines for keep-alive": Reply(
        fault=Fault(raw=f"\n\n\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "no blank line at the end": Reply(fault=Fault(raw=f"data: {json.dumps(delta('stop', content='ok'))}")),
    "an event of retry only, which the SDK fails on": Reply(
        fault=Fault(raw=f"retry: 5\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "a ping that is no JSON": Reply(
        fault=Fault(raw=f"data: ping\n\ndata: {json.dumps(delta('stop', content='ok'))}\n\n")
    ),
    "no space after data:": Reply(fault=Fault(raw=f"data:{json.dumps(delta('stop', content='ok'))}\n\n")),
    "choices of another type": exactly({"choices": "?"}, delta("stop", content="ok")),
    "a refusal in place of content": exactly(delta("stop", refusal="ok")),
    "not streamed although asked to": Reply(
        body={"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    ),
    "not streamed and called plain text": Reply(
        fault=Fault(
            raw=json.dumps({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}),
            content_type="text/plain",
        )
    ),
}


@pytest.mark.parametrize("reply", ENDS.values(), ids=ENDS.keys())
async def test_ends(reply: Reply) -> None:
    heard = Heard()
    assert (await ask([reply], heard=heard)).text == "ok"
    assert heard.notices == []


FINISHES = {
    "sglang, gemini, litellm: finish stop with calls": "stop",
    "tgi: finish of another name": "eos_token",
}


@pytest.mark.parametrize("finish", FINISHES.values(), ids=FINISHES.keys())
async def test_calls_decide_not_the_finish_reason(finish: str) -> None:
    answer = await ask([Reply(tool_calls=[CALL], finish=finish)])
    assert [call.name for call in answer.calls] == ["bash"]


async def test_litellm_mock_calls_announced_and_lost() -> None:
    heard = Heard()
    reply = Reply(text="I call", finish="tool_calls")
    assert (await ask([reply, OK], heard=heard)).text == "ok"
    assert "announced tool calls" in heard.notices[0].text
    with pytest.raises(ModelError, match="announced tool calls"):
        await ask([Reply(text="I call", finish="tool_calls", times=0)])


async def test_transformers_call_cut_by_the_token_limit_is_gone() -> None:
    heard = Heard()
    answer = await ask([exactly(delta(content="I call"), delta("length"), done=False)], heard=heard)
    assert (answer.text, answer.calls, answer.finish) == ("I call", [], "length")
    assert heard.said("length")


async def test_llama_cpp_python_answers_200_without_a_byte() -> None:
    with pytest.raises(ModelError, match="empty"):
        await ask([Reply(fault=Fault(raw=""), times=0)])


USAGES = {
    "openai": ({"prompt_tokens_details": {"cached_tokens": 3}}, 3),
    "deepseek": ({"prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 4}, 3),
    "anthropic": ({"cache_read_input_tokens": 3, "cache_creation_input_tokens": 1}, 3),
    "moonshot": ({"cached_tokens": 3}, 3),
    "none": ({}, None),
    "null details": ({"prompt_tokens_details": None}, None),
}


@pytest.mark.parametrize(("fields", "cached"), USAGES.values(), ids=USAGES.keys())
async def test_cached_tokens(fields: dict[str, Any], cached: int | None) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 5, **fields}
    answer = await ask([exactly(delta("stop", content="ok"), {"choices": [], "usage": usage})])
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    assert answer.usage.cached_tokens == cached


async def test_a_usage_that_grows_with_each_chunk_is_not_summed() -> None:
    chunks = [
        {**delta(content="a"), "usage": {"prompt_tokens": 7, "completion_tokens": n}} for n in (1, 2, 3)
    ]
    answer = await ask([exactly(*chunks, {**STOP, "usage": {}})])
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)


async def test_groq_usage_in_a_field_of_its_own() -> None:
    last = {**STOP, "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}}
    answer = await ask([exactly(delta(content="ok"), last)])
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 7


# -- reasoning -------------------------------------------------------------------------------------

DETAILS = [
    {"type": "reasoning.text", "text": "h", "index": 0, "format": "anthropic-claude-v1"},
    {"type": "reasoning.text", "text": "m", "index": 0, "signature": "sig"},
    {"type": "reasoning.encrypted", "data": "AA", "index": 1, "id": "rs_1"},
]
JOINED = [
    {"type": "reasoning.text", "text": "hm", "index": 0, "format": "anthropic-claude-v1", "signature": "sig"},
    DETAILS[2],
]
REASONINGS = {
    "deepseek: reasoning_content": (
        [delta(reasoning_content="h"), delta(reasoning_content="m")],
        {"reasoning_content": "hm"},
    ),
    "vllm, ollama: reasoning": ([delta(reasoning="h"), delta(reasoning="m")], {"reasoning": "hm"}),
    "openrouter: reasoning_details": (
        [delta(reasoning_details=[detail]) for detail in DETAILS],
        {"reasoning_details": JOINED},
    ),
    "openrouter: the same words in two fields": (
        [delta(reasoning=detail.get("text"), reasoning_details=[detail]) for detail in DETAILS],
        {"reasoning_details": JOINED},
    ),
    "mistral: thinking parts": (
        [delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])],
        {},
    ),
}


@pytest.mark.parametrize(("chunks", "fields"), REASONINGS.values(), ids=REASONINGS.keys())
async def test_reasoning_is_shown_once_and_kept_as_it_came(chunks: list[Any], fields: dict[str, Any]) -> None:
    heard = Heard()
    call = piece(index=0, id="abc", function=fn("bash", "{}"))
    answer = await ask([exactly(*chunks, call, delta("tool_calls"))], heard=heard)
    assert heard.reasoning == "hm"
    assert answer.extra == fields
    script = Script(replies=[OK], lenient=True)
    async with ReplayServer(script) as server, client(server.base_url) as model:
        await model.answer(after_call(**answer.extra), Heard().listener)
    sent = server.requests[0]["messages"][2]
    assert {name: sent.get(name) for name in fields} == fields


async def test_reasoning_of_an_answer_without_calls_is_not_sent_back() -> None:
    assert (await ask([Reply(text="ok", reasoning="hm")])).extra == {}


async def test_gemini_thought_signature_comes_back_in_its_call() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    call = piece(index=0, id="abc", function=fn("bash", "{}"), extra_content=signature)
    answer = await ask([exactly(call, delta("stop"))])
    script = Script(replies=[OK], lenient=True)
    async with ReplayServer(script) as server, client(server.base_url) as model:
        await model.answer(after_call(**answer.extra), Heard().listener)
    sent = server.requests[0]["messages"][2]
    assert sent["tool_calls"][0]["extra_content"] == signature
    assert set(sent) == {"role", "content", "tool_calls"}, "nothing of ours travels"


# -- what is refused, learnt, and remembered -------------------------------------------------------


@dataclass
class Refuses:
    """A server's demands, a prompt that breaks them, and what is learnt."""

    demands: list[Demand]
    learnt: dict[str, str]
    sent: Prompt = field(default_factory=after_call)
    wire: str = "chat"
    settings: dict[str, Any] = field(default_factory=dict)


def refusing(path: str, words: Any, test: Any = "present", *, status: int = 400, like: str = "") -> Demand:
    body = {"error": {"message": words}} if isinstance(words, str) else words
    return Demand(path=path, test=test, status=status, body=body, like=like)


def limited(tokens: int) -> dict[str, Any]:
    return {"answers": AnswerSettings(max_tokens=tokens, reasoning_effort="low")}


ASSISTANT, TOOL = "messages.role=assistant", "messages.role=tool"
LEFT_OUT = "left out"
REFUSALS = {
    "bedrock, databricks: stream_options": Refuses(
        [refusing("stream_options", "stream_options: Extra inputs are not permitted", status=422)],
        {"stream_options": LEFT_OUT},
    ),
    "groq: property reasoning_content": Refuses(
        [
            refusing(
                f"{ASSISTANT}.reasoning_content", "'messages.2' : property 'reasoning_content' is unsupported"
            )
        ],
        {"reasoning": LEFT_OUT},
        after_call(reasoning_content="hm"),
    ),
    "groq: property reasoning_details": Refuses(
        [
            refusing(
                f"{ASSISTANT}.reasoning_details", "'messages.2' : property 'reasoning_details' is unsupported"
            )
        ],
        {"reasoning": LEFT_OUT},
        after_call(reasoning_details=JOINED),
    ),
    "deepseek: reasoning_content must come back": Refuses(
        [
            refusing(
                f"{ASSISTANT}.reasoning_content",
                "Missing `reasoning_content` field in the assistant message at message index 2",
                "absent",
            )
        ],
        {"reasoning": "demanded"},
    ),
    "bedrock: content '' beside calls": Refuses(
        [
            refusing(
                f"{ASSISTANT}.content", "The text field in the ContentBlock is blank: content empty", "empty"
            )
        ],
        {"content": "null"},
    ),
    "ollama: content null is never sent to it": Refuses(
        [refusing(f"{ASSISTANT}.content", "invalid message content type: <nil>", "null")], {}
    ),
    "tgi: content is never missing": Refuses(
        [refusing("messages.*.content", "missing field `content`", "absent", status=422)], {}
    ),
    "mistral: foreign ids, code 3280": Refuses(
        [
            refusing(
                f"{TOOL}.tool_call_id",
                {
                    "object": "error",
                    "message": "Tool call id was abc but must be a-z, A-Z, 0-9, with a length of 9.",
                    "code": 3280,
                },
                "unlike",
                like="[a-zA-Z0-9]{9}",
            )
        ],
        {"ids": "short"},
    ),
    "deepseek: no images": Refuses(
        [
            refusing(
                "messages.*.content.type=image_url",
                "Failed to deserialize: unknown variant `image_url`, expected `text`",
            )
        ],
        {"images": LEFT_OUT},
        prompt(SYSTEM, IMAGE),
    ),
    "llama.cpp: an image without mmproj is a 500": Refuses(
        [
            refusing(
                "messages.*.content.type=image_url",
                "image input is not supported - hint: you may need to provide the mmproj",
                status=500,
            )
        ],
        {"images": LEFT_OUT},
        prompt(SYSTEM, IMAGE),
    ),
    "openrouter: no endpoint for images is a 404": Refuses(
        [
            refusing(
                "messages.*.content.type=image_url",
                "No endpoints found that support image input",
                status=404,
            )
        ],
        {"images": LEFT_OUT},
        prompt(SYSTEM, IMAGE),
    ),
    "openai: max_tokens, use max_completion_tokens": Refuses(
        [
            refusing(
                "max_tokens",
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
            )
        ],
        {"max_tokens": "max_completion_tokens"},
        settings=limited(9),
    ),
    "a server that takes neither": Refuses(
        [
            refusing("max_tokens", "Unsupported parameter: 'max_tokens'"),
            refusing("max_completion_tokens", "Unsupported parameter: 'max_completion_tokens'"),
        ],
        {"max_tokens": LEFT_OUT},
        settings=limited(9),
    ),
    "a model that does not reason: reasoning_effort": Refuses(
        [refusing("reasoning_effort", "Unrecognized request argument supplied: reasoning_effort")],
        {"reasoning_effort": LEFT_OUT},
        settings=limited(9),
    ),
    "gemma's template: no system role": Refuses(
        [refusing("messages.role=system", "System role not supported", status=500)], {"system": "joined"}
    ),
    "older llama.cpp: no tools while streaming": Refuses(
        [refusing("stream_options", "Cannot use tools with stream", status=500)], {"stream": "off"}
    ),
    "responses: a model without encrypted reasoning": Refuses(
        [refusing("include", "Encrypted content is not supported with this model.")],
        {"include": LEFT_OUT},
        wire="responses",
    ),
    "responses: a server that does not know store": Refuses(
        [refusing("store", "Unknown parameter: 'store'.")], {"store": LEFT_OUT}, wire="responses"
    ),
    "responses: no summary of the reasoning": Refuses(
        [refusing("reasoning.summary", "Unsupported parameter: 'reasoning.summary'")],
        {"summary": LEFT_OUT},
        wire="responses",
        settings=limited(9),
    ),
    "several at once": Refuses(
        [
            refusing("stream_options", "unknown field stream_options"),
            refusing(f"{ASSISTANT}.reasoning_content", "reasoning_content is not supported"),
            refusing(f"{ASSISTANT}.content", "content must be non-empty", "empty"),
        ],
        {"stream_options": LEFT_OUT, "reasoning": LEFT_OUT, "content": "null"},
        after_call(reasoning_content="hm"),
    ),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refusals_are_learnt_once_and_remembered(case: Refuses, tmp_path: Path) -> None:
    script = Script(replies=[Reply(text="ok", times=0)], demands=case.demands, lenient=True)
    heard = Heard()
    async with ReplayServer(script) as server:
        async with client(server.base_url, case.wire, state=tmp_path, **case.settings) as model:
            assert (await model.answer(case.sent, heard.listener)).text == "ok"
            sentences = model.adaptations("replayed")
        attempts = len(server.requests)
        async with client(server.base_url, case.wire, state=tmp_path, **case.settings) as model:
            assert (await model.answer(case.sent, Heard().listener)).text == "ok"
            assert model._memory.of("replayed").learnt == case.learnt
            assert model.adaptations("replayed") == sentences
    assert len(server.requests) == attempts + 1, "the next start knows"
    assert len(heard.said("adapted")) == attempts - 1
    assert len(sentences) == len(case.learnt)
    assert heard.said("retry") == []


async def test_a_server_that_changed_its_mind_is_learnt_anew(tmp_path: Path) -> None:
    refuses = refusing(f"{ASSISTANT}.content", "content must be non-empty", "empty")
    demands = refusing(f"{ASSISTANT}.content", "invalid message content type: <nil>", "null")
    reply = Reply(text="ok", times=0)
    async with ReplayServer(Script(replies=[reply], demands=[refuses])) as first:
        async with client(first.base_url, state=tmp_path) as model:
            await model.answer(after_call(), Heard().listener)
        port = first.port
    script = Script(replies=[reply], demands=[demands])
    async with ReplayServer(script, port=port) as second, client(second.base_url, state=tmp_path) as model:
        await model.answer(after_call(), Heard().listener)
        assert model._memory.of("replayed").learnt == {"content": "empty"}


async def test_a_lesson_that_did_not_help_is_not_kept() -> None:
    demand = refusing("model", "stream_options and everything else are wrong")
    async with ReplayServer(Script(replies=[], demands=[demand])) as server, client(server.base_url) as model:
        with pytest.raises(ModelError, match="everything else"):
            await model.answer(prompt(), Heard().listener)
        assert model.adaptations("replayed") == []
    assert len(server.requests) == 2


async def test_a_refusal_teaches_nothing_about_what_was_not_sent() -> None:
    demand = refusing("model", "image input is not supported, nor is reasoning_content")
    async with ReplayServer(Script(replies=[], demands=[demand])) as server, client(server.base_url) as model:
        with pytest.raises(ModelError, match="image input"):
            await model.answer(prompt(), Heard().listener)
    assert len(server.requests) == 1


async def test_few_optional_fields_are_sent() -> None:
    async with ReplayServer(Script(replies=[OK])) as server, client(server.base_url) as model:
        await model.answer(after_call(), Heard().listener)
    assert set(server.requests[0]) == {"model", "stream", "stream_options", "tools", "messages"}
    assert [message["role"] for message in server.requests[0]["messages"]].count("system") == 1


# -- errors in the words of the server -------------------------------------------------------------

VLLM_TOOLS = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
ERRORS = {
    "openai": ({"error": {"message": "no such key", "code": "invalid_api_key"}}, "no such key", None),
    "vllm": ({"object": "error", "message": VLLM_TOOLS, "code": 400}, VLLM_TOOLS, "Start vLLM with"),
    "ollama": (
        {"error": {"message": "m does not support tools"}},
        "m does not support tools",
        "can't call tools",
    ),
    "transformers": ({"detail": "no"}, "no", None),
    "fastapi's list": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required", None),
    "lm studio: a bare string": ({"error": "Model unloaded"}, "Model unloaded", None),
    "gemini: an array": ([{"error": {"code": 400, "message": "bad schema"}}], "bad schema", None),
    "openrouter: the real text is in metadata.raw": (
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"message":"3230 bad"}}'},
            }
        },
        "3230 bad",
        None,
    ),
    "litellm: a wrong key without a data base": (
        {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}},
        "No connected db",
        "LiteLLM",
    ),
    "groq: tool_use_failed": (
        {
            "error": {
                "message": "Failed to call a function",
                "code": "tool_use_failed",
                "failed_generation": "<x>",
            }
        },
        "Failed to call a function",
        None,
    ),
}


@pytest.mark.parametrize(("body", "words", "fix"), ERRORS.values(), ids=ERRORS.keys())
async def test_errors_are_the_servers_own_words(body: Any, words: str, fix: str | None) -> None:
    with pytest.raises(ModelError) as error:
        await ask([Reply(status=400, body=body)])
    assert error.value.message.endswith(f"answered 400: {words}.")
    if fix is not None:
        assert fix in str(error.value.fix)


IN_STREAM = {
    "vllm: an error in a 200 stream": {
        "object": "error",
        "message": "x",
        "error": {"message": "bad", "code": 400},
    },
    "openrouter: finish error": {"error": {"code": 400, "message": "bad"}, **delta("error", content="")},
}


@pytest.mark.parametrize("chunk", IN_STREAM.values(), ids=IN_STREAM.keys())
async def test_errors_inside_a_stream(chunk: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="bad"):
        await ask([exactly(delta(content="a"), chunk), OK])


async def test_an_error_that_only_the_events_name_tells() -> None:
    raw = 'event: error\ndata: {"message": "out of memory"}\n\n'
    with pytest.raises(ModelError, match="answered 500: out of memory"):
        await ask([Reply(fault=Fault(raw=raw), times=0)])


async def test_transformers_writes_an_exception_of_several_lines_into_the_stream() -> None:
    raw = 'data: {"error": "could not parse region as JSON.\nContent: \'x\'"}\n\n'
    with pytest.raises(ModelError, match="answered 500: could not parse region as JSON"):
        await ask([Reply(fault=Fault(raw=raw), times=0)])


async def test_anthropic_overloaded_is_tried_again() -> None:
    body = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert (await ask([Reply(status=529, body=body), OK])).text == "ok"
