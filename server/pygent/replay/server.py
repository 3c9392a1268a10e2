"""A model server on loopback that replays a script: real HTTP, real server-sent events, no model.

It answers `POST …/chat/completions`, streamed or not, and `GET …/models`, refuses what a strict server
would refuse, and keeps every request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from pygent.replay.script import Fault, Reply, Script, Tracks
from pygent.replay.strict import problem

BYTES_PER_TOKEN = 4
MAX_BODY = 256 * 1024 * 1024


class ReplayServer:
    """Serves a script while its `async with` block runs; `base_url` is what clients are given.

    `requests` are the bodies of the chat completions in the order of arrival, `headers` those of the same.
    `journal` gets each as a line of JSON.  `times` are when each request was read and its answer was
    written, in seconds of `time.perf_counter`, `accepted` counts the connections.
    """

    def __init__(self, script: Script, *, port: int = 0, journal: Path | None = None) -> None:
        self.base_url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[tuple[float, float]] = []
        self.accepted = 0
        self._script = script
        self._tracks = Tracks(script)
        self._port = port
        self._journal = journal
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ReplayServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1 << 20)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._connections.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False to close the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(min(int(headers.get("content-length") or 0), MAX_BODY))
        method, path, _ = start.split(" ", 2)
        if method == "GET" and path.endswith("/models"):
            listed = [{"id": name, "object": "model"} for name in self._script.models]
            return await _send(writer, 200, {"object": "list", "data": listed})
        if method != "POST" or not path.endswith("/chat/completions"):
            return await _send(writer, 404, _error(f"no route {method} {path}"))
        arrived = time.perf_counter()
        goes_on = await self._complete(body, headers, writer)
        self.times.append((arrived, time.perf_counter()))
        return goes_on

    async def _complete(self, body: bytes, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        try:
            request = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return await _send(writer, 400, _error(f"the body is not JSON: {error}"))
        self.requests.append(request)
        self.headers.append(headers)
        if self._journal is not None:
            with self._journal.open("ab") as file:
                file.write(body + b"\n")
        if wrong := problem(request):
            return await _send(writer, 400, _error(wrong))
        if (window := self._script.window) is not None and (tokens := tokens_of(request)) > window:
            words = self._script.overflow.format(tokens=tokens, window=window)
            return await _send(writer, 400, _error(words, "context_length_exceeded"))
        reply = self._tracks.next(request["messages"])
        if reply is None:
            return await _send(writer, 400, _error("the script has no further reply", "script_exhausted"))
        if self._script.window is not None and reply.usage is None:
            spoken = max(1, len(reply.text) // BYTES_PER_TOKEN)
            counted = {"prompt_tokens": tokens_of(request), "completion_tokens": spoken}
            reply = msgspec.structs.replace(reply, usage=counted)
        return await _answer(writer, reply, request)


def tokens_of(request: dict[str, Any]) -> int:
    """The tokens of a prompt, as this server counts them: by the length of its JSON."""
    prompt = [*request["messages"], *request.get("tools", ())]
    return sum(len(msgspec.json.encode(part)) for part in prompt) // BYTES_PER_TOKEN


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    body: Any,
    headers: dict[str, str] | None = None,
    kind: str = "application/json",
) -> bool:
    payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    writer.write(
        _head(status, {"content-type": kind, "content-length": str(len(payload)), **(headers or {})})
    )
    writer.write(payload)
    await writer.drain()
    return True


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Replayed", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _answer(writer: asyncio.StreamWriter, reply: Reply, request: dict[str, Any]) -> bool:
    fault = reply.fault
    if fault is not None and fault.drop:
        return False
    if reply.status != 200 or reply.body is not None:
        kind = "text/html" if isinstance(reply.body, str) else "application/json"
        body = _error(f"scripted status {reply.status}") if reply.body is None else reply.body
        return await _send(writer, reply.status, body, reply.headers, kind)
    if not request.get("stream"):
        return await _send(writer, 200, _whole(reply, request["model"]), reply.headers)
    kind = "text/event-stream" if fault is None else fault.content_type
    headers = {"content-type": kind, "transfer-encoding": "chunked", **reply.headers}
    writer.write(_head(200, headers))
    if not await _stream(writer, reply, request):
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _stream(writer: asyncio.StreamWriter, reply: Reply, request: dict[str, Any]) -> bool:
    """Send the body; False if the connection is to be closed in the middle of it, or was."""
    fault = reply.fault or Fault()
    left = fault.cut
    async for piece in _pieces(reply, request):
        data = piece if left is None else piece[:left]
        if writer.transport.is_closing():
            return False
        if data:
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await _paced(writer, reply)
        if left is not None:
            left -= len(data)
            if left <= 0:
                break
    await writer.drain()
    if fault.stall:
        await asyncio.Event().wait()
    return left is None or left > 0


async def _paced(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Send on what is to arrive by itself, or is too much to hold."""
    if reply.delay or reply.wire or reply.fault or writer.transport.get_write_buffer_size() > 1 << 18:
        await writer.drain()
    if reply.delay:
        await asyncio.sleep(reply.delay)


async def _pieces(reply: Reply, request: dict[str, Any]) -> AsyncIterator[bytes]:
    if reply.fault is not None and reply.fault.raw is not None:
        yield reply.fault.raw.encode()
        return
    for event in _events(reply, request):
        data = event.replace(b"\n", reply.newline.encode())
        if reply.comments:
            data = b": keep-alive" + 2 * reply.newline.encode() + data
        if reply.wire:
            for at in range(0, len(data), reply.wire):
                yield data[at : at + reply.wire]
        else:
            yield data


def _events(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    model, size = request["model"], max(1, reply.fragment)
    yield _event(model, {"role": "assistant", "content": ""})
    for at in range(0, len(reply.reasoning), size):
        yield _event(model, {"reasoning_content": reply.reasoning[at : at + size]})
    if reply.tokens:
        token = _event(model, {"content": "token "})
        for first in range(0, reply.tokens, 50):
            yield token * min(50, reply.tokens - first)
    for at in range(0, len(reply.text), size):
        yield _event(model, {"content": reply.text[at : at + size]})
    for index, call in enumerate(_calls(reply)):
        yield from _call_events(model, index, call, size)
    if reply.fault is not None and reply.fault.no_done:
        return
    yield _event(model, {}, reply.finish or ("tool_calls" if reply.tool_calls else "stop"))
    if (request.get("stream_options") or {}).get("include_usage"):
        yield _data({**_base(model), "choices": [], "usage": _usage(reply)})
    yield b"data: [DONE]\n\n"


def _call_events(model: str, index: int, call: dict[str, Any], size: int) -> Iterator[bytes]:
    text = call["function"].pop("arguments")
    yield _event(model, {"tool_calls": [{"index": index, **call}]})
    for at in range(0, len(text), size):
        piece = {"index": index, "function": {"arguments": text[at : at + size]}}
        yield _event(model, {"tool_calls": [piece]})


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _data({**_base(model), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _base(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-replay", "object": "chat.completion.chunk", "created": 1, "model": model}


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _usage(reply: Reply) -> dict[str, Any]:
    spoken = max(1, reply.tokens + len(reply.text) // 4)
    if reply.usage is not None:
        return reply.usage
    return {"prompt_tokens": 100, "completion_tokens": spoken, "total_tokens": 100 + spoken}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{number}",
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": call.arguments
                if isinstance(call.arguments, str)
                else json.dumps(call.arguments),
            },
        }
        for number, call in enumerate(reply.tool_calls)
    ]


def _whole(reply: Reply, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    finish = reply.finish or ("tool_calls" if reply.tool_calls else "stop")
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**_base(model), "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}
