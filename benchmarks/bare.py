"""The raw limit: the same work without Pygent, one small program each.

python -m benchmarks.bare httpx|lean|openai URL PROMPT [CONVERSATIONS]    an agent loop whose tool reads a file
python -m benchmarks.bare pygls                                       a language server that does nothing
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = [{"type": "function", "function": {"name": "read_file", "parameters": PARAMETERS}}]


def read(arguments: str) -> str:
    """The tool: the file, with numbered lines as agents are given them."""
    path = Path(json.loads(arguments)["path"])
    return "\n".join(f"{n}\t{line}" for n, line in enumerate(path.read_text().splitlines(), 1))


async def httpx_loop(url: str, prompt: str) -> None:
    """As little as an agent can do: encode everything again, and fold the lines."""
    import httpx2

    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    async with httpx2.AsyncClient(timeout=600, verify=False, trust_env=False) as client:

        async def ask(body: bytes) -> tuple[str, list[dict[str, str]]]:
            async with client.stream(
                "POST", f"{url}/chat/completions", content=body, headers=headers
            ) as answer:
                return await _folded(answer)

        await _converse(ask, prompt)


async def lean_loop(url: str, prompt: str) -> None:
    """The same, sent by the SDK: what is left when an agent uses it for nothing but the request."""
    import httpx2
    import openai

    plain = httpx2.AsyncClient(timeout=600, verify=False, trust_env=False)
    async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0, http_client=plain) as client:

        async def ask(body: bytes) -> tuple[str, list[dict[str, str]]]:
            answer: Any = await client.post(
                "/chat/completions",
                content=body,
                cast_to=httpx2.Response,
                options={"headers": {"content-type": "application/json"}},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            found = await _folded(answer)
            await answer.aclose()
            return found

        await _converse(ask, prompt)


async def _converse(ask: Callable[[bytes], Awaitable[tuple[str, list[dict[str, str]]]]], prompt: str) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are an agent. " * 100},
        {"role": "user", "content": prompt},
    ]
    while True:
        body = {"model": "m", "stream": True, "messages": messages, "tools": TOOLS}
        text, calls = await ask(json.dumps(body).encode())
        if not calls:
            return
        messages.append(_assistant(text, calls))
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": read(call["arguments"])})


async def _folded(answer: Any) -> tuple[str, list[dict[str, str]]]:
    """Text and calls of a streamed answer."""
    text, calls = "", dict[int, dict[str, str]]()
    async for line in answer.aiter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        for choice in json.loads(line[6:])["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] = piece.get("id") or call["id"]
                call["name"] = piece["function"].get("name") or call["name"]
                call["arguments"] += piece["function"].get("arguments") or ""
    return text, list(calls.values())


async def openai_loop(url: str, prompt: str) -> None:
    """As the SDK's guide has it."""
    from openai import AsyncOpenAI

    messages: list[Any] = [
        {"role": "system", "content": "You are an agent. " * 100},
        {"role": "user", "content": prompt},
    ]
    async with AsyncOpenAI(base_url=url, api_key="x") as client:
        while True:
            text, calls = "", {}
            stream: Any = await client.chat.completions.create(
                model="m",
                messages=messages,
                tools=TOOLS,  # type: ignore[arg-type]
                stream=True,
            )
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    for piece in choice.delta.tool_calls or ():
                        call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                        call["id"] = piece.id or call["id"]
                        call["name"] = piece.function.name or call["name"]
                        call["arguments"] += piece.function.arguments or ""
            if not calls:
                return
            messages.append(_assistant(text, list(calls.values())))
            for call in calls.values():
                messages.append(
                    {"role": "tool", "tool_call_id": call["id"], "content": read(call["arguments"])}
                )


def _assistant(text: str, calls: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls
        ],
    }


async def many(loop: Any, url: str, prompt: str, count: int) -> None:
    """So many conversations at once."""
    await asyncio.gather(*(loop(url, f"{prompt} {number}") for number in range(count)))


def pygls_server() -> None:
    """A language server as a tutorial has it."""
    from pygls.lsp.server import LanguageServer

    LanguageServer("bare", "1").start_io()


def main() -> None:
    kind, *rest = sys.argv[1:]
    if kind == "pygls":
        pygls_server()
        return
    loop = {"httpx": httpx_loop, "lean": lean_loop, "openai": openai_loop}[kind]
    url, prompt, count = rest[0], rest[1], int(rest[2]) if len(rest) > 2 else 0
    asyncio.run(many(loop, url, prompt, count) if count else loop(url, prompt))


if __name__ == "__main__":
    main()
