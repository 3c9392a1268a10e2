"""How many tokens a model's context holds, and which models there are, as servers tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.model.asking import client

from pygent.errors import ModelError
from pygent.replay import ReplayServer, Script

M = "replayed"
PROPS = {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 2}


def models(**fields: Any) -> dict[str, Any]:
    return {"GET /v1/models": {"data": [{"id": "other"}, {"id": M, **fields}]}}


LLAMA = models(owned_by="llamacpp", meta={"n_ctx_train": 32768})
OLLAMA = models(owned_by="library")
TOLD = {
    "vllm, sglang: max_model_len": (models(max_model_len=4096), 4096),
    "openrouter: context_length": (models(context_length=4096, top_provider={"context_length": 9}), 4096),
    "lm studio: what is loaded counts": (
        models(loaded_context_length=4096, max_context_length=32768),
        4096,
    ),
    "groq: context_window": (models(context_window=4096), 4096),
    "litellm: max_input_tokens": (models(model_info={"max_input_tokens": 4096}), 4096),
    "llama.cpp: props before the training length": ({**LLAMA, "GET /props": PROPS}, 4096),
    "llama.cpp without props": (LLAMA, 32768),
    "ollama: what is loaded": (
        {**OLLAMA, "GET /api/ps": {"models": [{"name": M, "context_length": 4096}]}},
        4096,
    ),
    "ollama: what the model sets": (
        {
            **OLLAMA,
            "GET /api/ps": {"models": []},
            "POST /api/show": {
                "parameters": "num_ctx                        4096\nstop  x",
                "model_info": {"llama.context_length": 131072},
            },
        },
        4096,
    ),
    "ollama: the training length is not what it runs with": (
        {**OLLAMA, "POST /api/show": {"model_info": {"llama.context_length": 131072}}},
        None,
    ),
    "openai: does not tell, and is not asked further": (
        {**models(owned_by="openai"), "GET /props": PROPS},
        None,
    ),
    "a server of one model, named otherwise": (
        {"GET /v1/models": {"data": [{"id": "m.gguf", "max_model_len": 4096}]}},
        4096,
    ),
    "no list at all": ({"GET /v1/models": "<html>"}, None),
    "a list of nonsense": (
        {"GET /v1/models": {"data": [None, 3, {"id": M, "context_length": "many"}]}},
        None,
    ),
    "true is no number": (models(context_length=True), None),
}


@pytest.mark.parametrize(("routes", "window"), TOLD.values(), ids=TOLD.keys())
async def test_windows(routes: dict[str, Any], window: int | None, tmp_path: Path) -> None:
    script = Script(replies=[], routes=routes)
    async with ReplayServer(script) as server, client(server.base_url, state=tmp_path) as model:
        assert await model.window(M) == window
        told = [sentence for sentence in model.adaptations(M) if "tokens" in sentence]
        assert len(told) == (window is not None)
    assert await model.window(M) == window, "it is asked once"


async def test_a_server_that_is_not_there_knows_no_window() -> None:
    async with client("http://127.0.0.1:9/v1") as model:
        assert await model.window(M) is None


LISTS = {
    "openai": {"data": [{"id": "b", "object": "model"}, {"id": "a"}], "object": "list"},
    "together: an array": [{"id": "a"}, {"id": "b"}],
    "names": {"models": [{"name": "b"}, {"model": "a"}]},
    "words": {"data": ["a", "b", "a"]},
}


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS.keys())
async def test_models_are_listed(wire: str, body: Any) -> None:
    script = Script(replies=[], routes={"GET /v1/models": body})
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        assert await model.models() == ["a", "b"]


@pytest.mark.parametrize("body", ["<html>no</html>", "nonsense", {"data": 5}], ids=["html", "text", "number"])
async def test_what_is_no_list_is_said_to_be_none(body: Any) -> None:
    script = Script(replies=[], routes={"GET /v1/models": body})
    async with ReplayServer(script) as server, client(server.base_url) as model:
        with pytest.raises(ModelError, match="does not list models"):
            await model.models()
