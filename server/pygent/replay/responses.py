"""A scripted reply as a response of the Responses API, and what that API refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygent.replay.chat import arguments, data, usage
from pygent.replay.script import Reply, ScriptedCall

PATH = "/responses"
FIELDS = frozenset(
    [
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream", "store"),
        *("include", "max_output_tokens", "reasoning", "temperature", "top_p", "text", "user", "metadata"),
    ]
)


def messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation that a request holds, as chat messages."""
    said = request.get("instructions")
    found: list[dict[str, Any]] = [{"role": "system", "content": said}] if said else []
    given = request["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type") == "function_call_output":
            found.append({"role": "tool", "content": item["output"]})
        elif "role" in item:
            found.append({"role": item["role"], "content": item["content"]})
    return found


def problem(request: Any) -> str | None:
    """What a strict server would refuse in a request; None if it is in order."""
    if not isinstance(request, dict) or not request.get("model") or not request.get("input"):
        return "model and input are required"
    if unknown := set(request) - FIELDS:
        return f"Unknown parameter: '{sorted(unknown)[0]}'."
    for tool in request.get("tools") or ():
        if tool.get("type") != "function" or not tool.get("name"):
            return "Missing required parameter: 'tools[0].name'."
    return _items(request["input"])


def _items(items: Any) -> str | None:
    waiting: list[str] = []
    for item in items if isinstance(items, list) else ():
        kind = item.get("type", "message")
        if kind == "function_call":
            waiting.append(item["call_id"])
        elif kind == "function_call_output":
            if item["call_id"] not in waiting:
                return f"No tool call found for function call output with call_id {item['call_id']}."
            waiting.remove(item["call_id"])
        elif kind == "reasoning":
            if not item.get("encrypted_content"):
                return f"Item with id '{item.get('id')}' not found: with `store` false no item is kept."
        elif kind != "message" or item.get("role") not in ("user", "assistant") or not item.get("content"):
            return f"Invalid value: '{kind}'."
    return f"No tool output found for function call {waiting[0]}." if waiting else None


def events(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    """The reply as server-sent events."""
    final = whole(reply, request)
    begun = {**final, "status": "in_progress", "output": [], "usage": None}
    yield _event("response.created", response=begun)
    yield _event("response.in_progress", response=begun)
    for index, item in enumerate(final["output"]):
        yield from _item_events(index, item, reply)
    if reply.fault is not None and reply.fault.no_done:
        return
    yield _event(f"response.{final['status']}", response=final)


def _item_events(index: int, item: dict[str, Any], reply: Reply) -> Iterator[bytes]:
    place = {"output_index": index, "item_id": item["id"]}
    empty = {"content": [], "summary": [], "arguments": "", "encrypted_content": ""}
    begun = {name: empty.get(name, value) for name, value in item.items()}
    yield _event("response.output_item.added", output_index=index, item={**begun, "status": "in_progress"})
    size = max(1, reply.fragment)
    if item["type"] == "function_call":
        text, kind = item["arguments"], "function_call_arguments"
    elif item["type"] == "reasoning":
        text, kind, place = reply.reasoning, "reasoning_summary_text", {**place, "summary_index": 0}
    else:
        text, kind, place = reply.text, "output_text", {**place, "content_index": 0}
        for _ in range(reply.tokens):
            yield _event("response.output_text.delta", **place, delta="token ")
    for at in range(0, len(text), size):
        yield _event(f"response.{kind}.delta", **place, delta=text[at : at + size])
    whole_text = {"arguments" if kind.startswith("function") else "text": text}
    yield _event(f"response.{kind}.done", **place, **whole_text)
    yield _event("response.output_item.done", output_index=index, item=item)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\n" + data({"type": kind, **fields})


def whole(reply: Reply, request: dict[str, Any]) -> dict[str, Any]:
    """The reply as one JSON object."""
    output: list[dict[str, Any]] = []
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        kept = (
            {"encrypted_content": "c2VjcmV0"}
            if "reasoning.encrypted_content" in request.get("include", ())
            else {}
        )
        output.append({"id": "rs_1", "type": "reasoning", "summary": summary, **kept})
    if reply.text or reply.tokens:
        part = {"type": "output_text", "text": "token " * reply.tokens + reply.text, "annotations": []}
        output.append({"id": "msg_1", "type": "message", "role": "assistant", "content": [part]})
    output += [_call(number, call) for number, call in enumerate(reply.tool_calls)]
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.finish or "")
    return {
        "id": "resp_replay",
        "object": "response",
        "created_at": 1,
        "model": request["model"],
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": _usage(reply),
    }


def _call(number: int, call: ScriptedCall) -> dict[str, Any]:
    call_id = call.id or f"call_{number}"
    text = arguments(call.arguments)
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "call_id": call_id,
        "name": call.name,
        "arguments": text,
    }


def _usage(reply: Reply) -> dict[str, Any]:
    given = usage(reply)
    cached = (given.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return {
        "input_tokens": given["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": given["completion_tokens"],
        "total_tokens": given["prompt_tokens"] + given["completion_tokens"],
    }
