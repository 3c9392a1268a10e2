"""Prompts that are too long, in every server's words, and what only sounds like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.model.asking import Heard, ask, client, delta, exactly, prompt

from pygent.errors import ContextOverflow, ModelError
from pygent.model.overflow import recognised
from pygent.replay import ReplayServer, Reply, Script

OVERFLOWS = {
    "openai": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        8192,
        9000,
    ),
    "older vllm": (
        "This model's maximum context length is 8192 tokens. However, you requested 9100 tokens (9000 in the "
        "messages, 100 in the completion). Please reduce the length of the messages or completion.",
        8192,
        9100,
    ),
    "llama.cpp": (
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        8192,
        9000,
    ),
    "sglang, together": (
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        8192,
        9000,
    ),
    "sglang": (
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total "
        "of 9000 tokens",
        8192,
        None,
    ),
    "input length": ("Input length (9000) exceeds model's maximum context length (8192).", 8192, 9000),
    "openrouter, poolside": (
        "Input length 9000 exceeds the maximum allowed input length of 8192 tokens.",
        8192,
        9000,
    ),
    "anthropic": ("input length and `max_tokens` exceed context limit: 9000 + 4096 > 8192", 8192, 9000),
    "anthropic's prompt": ("prompt is too long: 9,000 tokens > 8,192 maximum", 8192, 9000),
    "kimi": ("Your request exceeded model token limit: 8192 (requested: 9000)", 8192, 9000),
    "dashscope": ("Range of input length should be [1, 8192]", 8192, None),
    "zhipu": ("Prompt 超长", None, None),
    "litellm": (
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - This model's maximum "
        "context length is 8192 tokens.",
        8192,
        None,
    ),
    "bedrock": ("Input is too long for requested model.", None, None),
}


@pytest.mark.parametrize(("words", "limit", "requested"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
async def test_overflow(
    wire: str, words: str, limit: int | None, requested: int | None, tmp_path: Path
) -> None:
    script = Script(replies=[Reply(status=400, body={"error": {"message": words}})])
    async with ReplayServer(script) as server:
        async with client(server.base_url, wire, state=tmp_path) as model:
            with pytest.raises(ContextOverflow) as error:
                await model.answer(prompt(), Heard().listener)
            assert (error.value.limit, error.value.requested) == (limit, requested)
            assert words.rstrip(".") in error.value.message
            assert len(server.requests) == 1
        async with client(server.base_url, wire, state=tmp_path) as model:
            assert await model.window("replayed") == limit, "the next start knows"


async def test_overflow_as_an_error_in_the_stream(wire: str) -> None:
    words = OVERFLOWS["older vllm"][0]
    with pytest.raises(ContextOverflow):
        await ask([Reply(events=[{"error": {"message": words, "code": 400}}])], wire)


async def test_overflow_by_code_alone(wire: str) -> None:
    body = {"error": {"message": "Too long.", "code": "context_length_exceeded"}}
    with pytest.raises(ContextOverflow):
        await ask([Reply(status=400, body=body)], wire)


async def test_llama_cpp_overflow_with_its_own_fields() -> None:
    error: dict[str, Any] = {
        "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 8192,
    }
    with pytest.raises(ContextOverflow) as raised:
        await ask([Reply(status=400, body={"error": error})])
    assert (raised.value.limit, raised.value.requested) == (8192, 9000)


async def test_groq_a_request_that_no_minute_can_hold_is_shortened_too() -> None:
    words = (
        "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): "
        "Limit 6000, Requested 8232, please reduce your message size and try again."
    )
    with pytest.raises(ContextOverflow) as error:
        await ask([Reply(status=413, body={"error": {"message": words, "code": "rate_limit_exceeded"}})])
    assert (error.value.limit, error.value.requested) == (6000, 8232)


THROTTLED = {
    "bedrock": "Too many tokens, please wait before trying again.",
    "tokens per minute": "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
    "requests": "Too many requests. Slow down.",
    "overloaded": "The engine is overloaded: prompts near the maximum context length of 8192 have to wait.",
}


@pytest.mark.parametrize("words", THROTTLED.values(), ids=THROTTLED.keys())
async def test_what_is_only_throttled_is_no_overflow(wire: str, words: str) -> None:
    assert recognised(429, words) is None
    failure = Reply(status=429, body={"error": {"message": words}}, headers={"retry-after-ms": "1"})
    heard = Heard()
    assert (await ask([failure, Reply(text="ok")], wire, heard=heard)).text == "ok"
    assert [notice.code for notice in heard.notices] == ["retry"]


OTHERS = (
    "Invalid value for 'context'",
    "The model `long-context` does not exist",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "maximum number of images exceeded",
)


@pytest.mark.parametrize("words", OTHERS)
def test_other_errors_are_no_overflow(words: str) -> None:
    assert recognised(400, words) is None


async def test_a_text_of_the_model_is_no_overflow() -> None:
    words = OVERFLOWS["openai"][0]
    assert (await ask([exactly(delta("stop", content=words))])).text == words
    with pytest.raises(ModelError):
        await ask([Reply(status=400, body={"error": {"message": "bad"}})])
