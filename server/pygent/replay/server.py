"""A model server on loopback that replays a script: real HTTP, real server-sent events, no model.

It answers `POST …/chat/completions` and `POST …/responses`, streamed or not, and `GET …/models`, refuses
what a strict server would refuse, and keeps every request.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from pygent.replay import chat, responses, strict
from pygent.replay.demands import broken
from pygent.replay.script import Fault, Reply, Script, Tracks

BYTES_PER_TOKEN = 4
Wire = Any
"""A module that speaks one API: `messages`, `events` and `whole`."""
_WIRES = {chat.PATH: (chat, strict.problem), responses.PATH: (responses, responses.problem)}
MAX_BODY = 256 * 1024 * 1024


class ReplayServer:
    """Serves a script while its `async with` block runs; `base_url` is what clients are given.

    `requests` are the bodies of the requests for answers in the order of arrival, `headers` those of the
    same.  `journal` gets each as a line of JSON.  `times` are when each request was read and its answer was
    written, in seconds of `time.perf_counter`, `accepted` counts the connections.  With `tls` it speaks
    HTTPS.
    """

    def __init__(
        self,
        script: Script,
        *,
        port: int = 0,
        journal: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.base_url = ""
        self.port = port
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[tuple[float, float]] = []
        self.accepted = 0
        self._script = script
        self._tracks = Tracks(script)
        self._port = port
        self._journal = journal
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ReplayServer:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=1 << 20, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"
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
        if (route := self._script.routes.get(f"{method} {path}")) is not None:
            return await _send(writer, 200, route)
        if method == "GET" and path.endswith("/models"):
            told = {"max_model_len": self._script.window} if self._script.tells else {}
            listed = [{"id": name, "object": "model", **told} for name in self._script.models]
            return await _send(writer, 200, {"object": "list", "data": listed})
        wire = next((known for known in _WIRES if path.endswith(known)), None)
        if method != "POST" or wire is None:
            return await _send(writer, 404, _error(f"no route {method} {path}"))
        arrived = time.perf_counter()
        goes_on = await self._complete(wire, body, headers, writer)
        self.times.append((arrived, time.perf_counter()))
        return goes_on

    async def _complete(
        self, path: str, body: bytes, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        try:
            request = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return await _send(writer, 400, _error(f"the body is not JSON: {error}"))
        self.requests.append(request)
        self.headers.append(headers)
        if self._journal is not None:
            with self._journal.open("ab") as file:
                file.write(body + b"\n")
        wire, problem = _WIRES[path]
        if not self._script.lenient and (wrong := problem(request)):
            return await _send(writer, 400, _error(wrong))
        if (refused := self._refused(request)) is not None:
            return await _send(writer, *refused)
        reply = self._tracks.next(wire.messages(request))
        if reply is None:
            return await _send(writer, 400, _error("the script has no further reply", "script_exhausted"))
        if self._script.window is not None and reply.usage is None:
            spoken = max(1, len(reply.text) // BYTES_PER_TOKEN)
            counted = {"prompt_tokens": tokens_of(request), "completion_tokens": spoken}
            reply = msgspec.structs.replace(reply, usage=counted)
        return await _answer(writer, reply, wire, request)

    def _refused(self, request: dict[str, Any]) -> tuple[int, Any] | None:
        """The status and body with which the script has the request refused."""
        for demand in self._script.demands:
            if broken(demand, request):
                return demand.status, demand.body or _error(f"refused: {demand.path}")
        window = self._script.window
        if window is None or (tokens := tokens_of(request)) <= window:
            return None
        words = self._script.overflow.format(tokens=tokens, window=window)
        return 400, _error(words, "context_length_exceeded")


def tokens_of(request: dict[str, Any]) -> int:
    """The tokens of a prompt, as this server counts them: by the length of its JSON."""
    prompt = [request.get(name, "") for name in ("instructions", "messages", "input", "tools")]
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


async def _answer(writer: asyncio.StreamWriter, reply: Reply, wire: Wire, request: dict[str, Any]) -> bool:
    fault = reply.fault or Fault()
    if fault.drop:
        return _lost(writer, fault)
    if reply.status != 200 or reply.body is not None:
        kind = "text/html" if isinstance(reply.body, str) else "application/json"
        body = _error(f"scripted status {reply.status}") if reply.body is None else reply.body
        return await _send(writer, reply.status, body, reply.headers, kind)
    if not request.get("stream"):
        return await _send(writer, 200, wire.whole(reply, request), reply.headers)
    headers = {"content-type": fault.content_type, "transfer-encoding": "chunked", **reply.headers}
    writer.write(_head(200, headers))
    if not await _stream(writer, reply, wire, request):
        return _lost(writer, fault)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _lost(writer: asyncio.StreamWriter, fault: Fault) -> bool:
    """False, so that the connection is closed; it is reset instead where the fault says so."""
    if fault.reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    return False


async def _stream(writer: asyncio.StreamWriter, reply: Reply, wire: Wire, request: dict[str, Any]) -> bool:
    """Send the body; False if the connection is to be closed in the middle of it, or was."""
    fault = reply.fault or Fault()
    left = fault.cut
    async for piece in _pieces(reply, wire, request):
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


async def _pieces(reply: Reply, wire: Wire, request: dict[str, Any]) -> AsyncIterator[bytes]:
    fault = reply.fault or Fault()
    if fault.raw is not None:
        yield fault.raw.encode()
        return
    if fault.raw_base64 is not None:
        yield base64.b64decode(fault.raw_base64)
        return
    for event in _given(reply) if reply.events else wire.events(reply, request):
        data = event.replace(b"\n", reply.newline.encode())
        if reply.comments:
            data = b": keep-alive" + 2 * reply.newline.encode() + data
        if reply.wire:
            for at in range(0, len(data), reply.wire):
                yield data[at : at + reply.wire]
        else:
            yield data


def _given(reply: Reply) -> Iterator[bytes]:
    """The events of a reply that names them."""
    yield from map(chat.data, reply.events)
    if reply.fault is None or not reply.fault.no_done:
        yield b"data: [DONE]\n\n"
