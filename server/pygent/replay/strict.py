"""What a strict server refuses: the sum of the rules of the servers that people really use."""

from __future__ import annotations

import json
from typing import Any

FIELDS = frozenset(
    [
        *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "user", "n"),
        *("response_format", "reasoning_effort"),
    ]
)
MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "reasoning_content", "refusal"},
    "tool": {"role", "content", "tool_call_id"},
}


def problem(request: Any) -> str | None:
    """What is wrong with a chat completion request; None if it is in order."""
    if not isinstance(request, dict):
        return "the body is not a JSON object"
    if unknown := set(request) - FIELDS:
        return f"Unrecognized request argument supplied: {sorted(unknown)[0]}"
    messages = request.get("messages")
    if not request.get("model") or not isinstance(messages, list) or not messages:
        return "model and a non-empty list of messages are required"
    return _tools(request.get("tools")) or _messages(messages)


def _tools(tools: Any) -> str | None:
    if tools is None:
        return None
    if not isinstance(tools, list) or not tools:
        return "tools must be a non-empty array"
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not function.get("name") or tool.get("type") != "function":
            return "a tool needs the type function and a name"
        if function.get("parameters", {}).get("type") != "object":
            return f"the parameters of {function['name']} are not an object schema"
    return None


def _messages(messages: list[Any]) -> str | None:
    open_calls: list[str] = []
    before = ""
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if not isinstance(message, dict) or message.get("role") not in MESSAGE_FIELDS:
            return f"{where}: unknown role"
        role = message["role"]
        if unknown := set(message) - MESSAGE_FIELDS[role]:
            return f"{where}: property {sorted(unknown)[0]!r} is unsupported"
        found = _place(role, before, at, bool(open_calls)) or _contents(message)
        if found or (found := _answered(message, open_calls)):
            return f"{where}: {found}"
        open_calls += [call["id"] for call in message.get("tool_calls", [])]
        before = role
    if open_calls:
        return f"the call {open_calls[0]!r} has no result"
    return "the last message must be of the user or a tool" if before not in ("user", "tool") else None


def _answered(message: dict[str, Any], open_calls: list[str]) -> str | None:
    """Take the call that a result answers off the list of open ones."""
    if message["role"] != "tool":
        return None
    if message.get("tool_call_id") not in open_calls:
        return f"there is no call with the id {message.get('tool_call_id')!r}"
    open_calls.remove(message["tool_call_id"])
    return None


def _place(role: str, before: str, at: int, calls_open: bool) -> str | None:
    if role == "system" and at:
        return "System message must be at the beginning"
    if role != "tool" and calls_open:
        return "a call before it has no result"
    if role == before == "user":
        return "roles must alternate: two user messages in a row"
    if role == "user" and before == "tool":
        return "Expected last role User after Tool to be Assistant"
    return None


def _contents(message: dict[str, Any]) -> str | None:
    content, calls = message.get("content"), message.get("tool_calls")
    if message["role"] in ("system", "user") and not content:
        return "content is empty"
    if message["role"] == "tool" and not isinstance(content, str):
        return "content must be a text"
    if calls is None:
        return "neither content nor tool calls" if message["role"] == "assistant" and not content else None
    return next(filter(None, map(_call, calls)), None) if calls else "tool_calls is empty"


def _call(call: dict[str, Any]) -> str | None:
    if not call.get("id") or call.get("type") != "function" or set(call) - {"id", "type", "function"}:
        return "a tool call needs an id, the type function, and nothing else but its function"
    try:
        fine = isinstance(json.loads(call["function"]["arguments"]), dict)
    except ValueError:
        fine = False
    return None if fine else f"the arguments of {call['function']['name']} are not a JSON object"
