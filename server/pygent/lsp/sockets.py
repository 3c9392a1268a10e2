"""Several clients at once: TCP and WebSocket, each connection with a server of its own over one App.

Who can connect can run commands as the person, so both are bound to loopback unless told otherwise, and no
web page gets in: a browser names its page's origin in every WebSocket handshake, and what it sends to a plain
socket begins with an HTTP request, whose headers are none of the LSP base protocol.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pygent.lsp.outbox import Outbox
from pygent.lsp.serve import on_signals
from pygent.lsp.server import Host, PygentServer
from pygent.lsp.trace import ToClients
from pygent.lsp.transport import MAX_MESSAGE, BadFrame, FrameReader, frame

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

log = logging.getLogger("pygent.lsp")
Address = tuple[str, int]
HANDSHAKE = 10.0
"""Seconds for a client to finish its WebSocket handshake."""


async def listen(host: Host, *, tcp: Address | None, ws: Address | None, origins: Sequence[str]) -> int:
    """Serve clients until a signal comes; returns the exit code."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()
    on_signals(loop, lambda code: None if over.done() else over.set_result(code))
    logging.getLogger().addHandler(ToClients(host.connections, loop))
    connections: set[asyncio.Task[None]] = set()

    async def counted(serve: Callable[..., Awaitable[None]], *streams: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await serve(PygentServer(host), *streams)
        except asyncio.CancelledError:
            pass  # below, at the end; Python 3.11 would log it as an error of the connection
        finally:
            connections.discard(task)

    try:
        if tcp is not None:
            listening: Any = await asyncio.start_server(
                lambda *streams: counted(_serve_stream, *streams), *tcp
            )
        else:
            assert ws is not None
            listening = await _websocket(lambda one: counted(_serve_websocket, one), ws, origins)
    except OSError as error:
        sys.stderr.write(f"pygent-server can't listen there: {error.strerror}. Choose another HOST:PORT.\n")
        return 1
    _announce(listening.sockets[0].getsockname())
    code = await over
    listening.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await host.close()
    return code


def _announce(where: tuple[Any, ...]) -> None:
    sys.stderr.write(f"pygent-server listens on {where[0]}:{where[1]}\n")
    if not ipaddress.ip_address(where[0]).is_loopback:
        sys.stderr.write("Whoever reaches this address can run commands as you: it is not loopback.\n")
    sys.stderr.flush()


async def _websocket(
    serve: Callable[[ServerConnection], Awaitable[None]], where: Address, origins: Sequence[str]
) -> Any:
    from websockets.asyncio.server import serve as serve_websocket  # noqa: PLC0415 - only here

    logging.getLogger("websockets").setLevel("ERROR")
    return await serve_websocket(
        serve,
        *where,
        # None is a handshake without an Origin header, which no browser sends.
        origins=[None, *origins],  # type: ignore[list-item]
        max_size=MAX_MESSAGE,
        open_timeout=HANDSHAKE,
        compression=None,
        server_header=None,
    )


async def _serve_stream(
    server: PygentServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client of a socket until it leaves."""

    async def send(bodies: list[bytes]) -> None:
        writer.write(b"".join(map(frame, bodies)))
        await writer.drain()

    async def hear(take: Callable[[bytes], Awaitable[None]]) -> None:
        frames = FrameReader(strict=True)
        while data := await reader.read(1 << 16):
            for body in frames.feed(data):
                if isinstance(body, BadFrame):
                    log.warning("a client of the socket was refused: %s", body)
                    return
                await take(body)

    try:
        await _serve(server, hear, send)
    finally:
        writer.close()


async def _serve_websocket(server: PygentServer, connection: ServerConnection) -> None:
    """Serve one WebSocket until it leaves; a message is a body without a header."""
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

    async def send(bodies: list[bytes]) -> None:
        for body in bodies:
            await connection.send(body, text=True)

    async def hear(take: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            while True:
                await take(await connection.recv(decode=False))
        except ConnectionClosed:
            return

    await _serve(server, hear, send)


async def _serve(
    server: PygentServer,
    hear: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]],
    send: Callable[[list[bytes]], Awaitable[None]],
) -> None:
    """Hear and send until the client leaves, says `exit`, or can't be written to."""
    outbox, left = server.protocol.outbox, asyncio.Event()
    room, news = asyncio.Event(), asyncio.Event()
    server.protocol.on_exit = left.set
    outbox.news = news.set

    async def take(body: bytes) -> None:
        server.protocol.receive(body)
        while outbox.full:  # a client that does not hear may not speak either
            room.clear()
            await room.wait()

    parts = [
        asyncio.ensure_future(hear(take)),
        asyncio.ensure_future(_pump(outbox, news, room, send)),
        asyncio.ensure_future(left.wait()),
    ]
    try:
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for part in parts:
            part.cancel()
        results = await asyncio.gather(*parts, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception) and not isinstance(error, OSError):
                log.info("a client left: %s", type(error).__name__)
        server.disconnect()


async def _pump(
    outbox: Outbox, news: asyncio.Event, room: asyncio.Event, send: Callable[[list[bytes]], Awaitable[None]]
) -> None:
    while True:
        await news.wait()
        news.clear()
        while bodies := outbox.take():
            await send(bodies)
            room.set()
