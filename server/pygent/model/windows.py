"""How many tokens a model's context holds, as far as its server tells.

llama.cpp tells what it runs with in `/props`, Ollama in `/api/ps` once the model is loaded; vLLM, SGLang,
OpenRouter, LM Studio and others in their list of models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pygent.model.connection import Connection, Status
from pygent.model.retries import Again

_FIELDS = (
    *("loaded_context_length", "max_model_len", "context_length", "context_window", "max_context_length"),
    *("max_input_tokens", "max_context_tokens", "context_size", "n_ctx"),
)


async def listed(connection: Connection) -> list[dict[str, Any]]:
    """The models as the server lists them, each with an `id`.  Raises as `Connection.ask`."""
    found = await connection.ask("/models")
    if isinstance(found, dict):
        found = found.get("data") or found.get("models") or []
    named = [item if isinstance(item, dict) else {"id": item} for item in found if item]
    return [{**item, "id": str(item.get("id") or item.get("name") or item.get("model"))} for item in named]


async def found(connection: Connection, model: str) -> tuple[int, str] | None:
    """The window of a model and where the server says so; None if it does not."""
    try:
        models = await listed(connection)
    except (Status, Again, ValueError):
        models = []
    named = (item for item in models if item["id"] in (model, f"{model}:latest"))
    entry = next(named, models[0] if len(models) == 1 else {})
    owner = str((entry or (models or [{}])[0]).get("owned_by") or "")
    if window := _window(entry):
        return window, "/models"
    for path, body, read in _QUESTIONS:
        if not _worth_asking(path, owner):
            continue
        asked = None if body is None else {body: model}
        if window := read(await _answer(connection, path, asked), model):
            return window, path
    meta = entry.get("meta")
    trained = _count(meta.get("n_ctx_train")) if isinstance(meta, dict) else None
    return (trained, "/models") if trained else None


def _worth_asking(path: str, owner: str) -> bool:
    """Ollama's questions only to Ollama; the others' not to those who say that they are somebody else."""
    if path.startswith("/api/"):
        return owner == "library"
    return owner in ("", "llamacpp")


async def _answer(connection: Connection, path: str, body: dict[str, str] | None) -> Any:
    """What the server answers beside its API; nothing where it knows no such question."""
    address = urlsplit(connection.endpoint.base_url)
    root = f"{address.scheme}://{address.netloc}{address.path.rstrip('/').removesuffix('/v1')}"
    try:
        return await connection.ask(f"{root}{path}", body)
    except (Status, Again, ValueError):
        return None


def _window(entry: Mapping[str, Any]) -> int | None:
    """The window in an entry of a model list, or in what is nested in it."""
    nested = [entry.get(name) for name in ("top_provider", "limits", "meta", "model_info", "capabilities")]
    sources = [entry, *(source for source in nested if isinstance(source, Mapping))]
    return next((size for source in sources for name in _FIELDS if (size := _count(source.get(name)))), None)


def _props(answer: Any, model: str) -> int | None:
    settings = answer.get("default_generation_settings") if isinstance(answer, dict) else None
    return _count(settings.get("n_ctx")) if isinstance(settings, dict) else None


def _loaded(answer: Any, model: str) -> int | None:
    models = answer.get("models") if isinstance(answer, dict) else None
    named = [
        item
        for item in models or ()
        if isinstance(item, dict) and item.get("name") in (model, f"{model}:latest")
    ]
    return _count(named[0].get("context_length")) if named else None


def _shown(answer: Any, model: str) -> int | None:
    """Ollama's `num_ctx` where the model sets it: its training length is not what it runs with."""
    parameters = answer.get("parameters") if isinstance(answer, dict) else None
    set_by_model = re.search(r"^num_ctx\s+(\d+)", str(parameters or ""), re.M)
    return int(set_by_model[1]) if set_by_model else None


_QUESTIONS = (
    ("/props", None, _props),
    ("/api/ps", None, _loaded),
    ("/api/show", "model", _shown),
)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None
