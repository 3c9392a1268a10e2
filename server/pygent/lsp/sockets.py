"""Several clients at once: TCP and WebSocket, each connection with a server of its own over one App.

Who is let in can run commands as the person.  So both are bound to loopback unless told otherwise, nobody is
let in without the token of the server, which only its owner can read (any user of the machine reaches a
port), and no web page is: a browser names its page's origin in every WebSocket handshake, and what it sends
to a plain socket begins with an HTTP request, whose headers are none of the LSP base protocol.  Until a
client has shown the token nothing is made for it, and its time and its first message are limited.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp.outbox import Outbox
from pygent.lsp.serve import on_signals
from pygent.lsp.server import Host, PygentServer
from pygent.lsp.token import HANDSHAKE, MAX_FIRST, Token, admitted, gate
from pygent.lsp.trace import ToClients
from pygent.lsp.transport import MAX_MESSAGE, BadFrame, FrameReader, frame
from pygent.paths import state_folder

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

log = logging.getLogger("pygent.lsp")
Address = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen, on one of `tcp` and `ws`, for pages of which origins, and where the token goes."""

    tcp: Address | None
    ws: Address | None
    origins: Sequence[str]
    token_file: Path | None


async def listen(host: Host, wanted: Listening) -> int:
    """Serve clients until a signal comes; returns the exit code."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()
    on_signals(loop, lambda code: None if over.done() else over.set_result(code))
    logging.getLogger().addHandler(ToClients(host.connections, loop))
    connections: set[asyncio.Task[None]] = set()
    token = Token()

    async def counted(serving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await serving
        except asyncio.CancelledError:
            pass  # below, at the end; Python 3.11 would log it as an error of the connection
        finally:
            connections.discard(task)

    try:
        if wanted.tcp is not None:
            listening: Any = await asyncio.start_server(
                lambda *streams: counted(_serve_stream(host, token, *streams)), *wanted.tcp
            )
        else:
            listening = await _websocket(lambda one: counted(_serve_websocket(host, one)), wanted, token)
    except OSError as error:
        return _refused(f"can't listen there: {error.strerror}. Choose another HOST:PORT.")
    where = listening.sockets[0].getsockname()
    try:
        token.publish(wanted.token_file or state_folder() / f"server-{where[1]}.token")
    except OSError as error:
        return _refused(f"can't write {token.path}: {error.strerror}. Choose another --token-file.")
    except PygentError as error:
        return _refused(f"can't start: {error.message} {error.fix}")
    _announce(where, token)
    code = await over
    listening.close()
    token.withdraw()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await host.close()
    return code


def _refused(why: str) -> int:
    sys.stderr.write(f"pygent-server {why}\n")
    return 1


def _announce(where: tuple[Any, ...], token: Token) -> None:
    sys.stderr.write(f"pygent-server listens on {where[0]}:{where[1]}\n")
    sys.stderr.write(f"Clients need the token in {token.path}\n")
    if not ipaddress.ip_address(where[0]).is_loopback:
        sys.stderr.write(
            "It is not loopback: who reads the traffic to it reads the token and can act as you.\n"
        )
    sys.stderr.flush()


async def _websocket(
    serve: Callable[[ServerConnection], Awaitable[None]], wanted: Listening, token: Token
) -> Any:
    from websockets.asyncio.server import serve as serve_websocket  # noqa: PLC0415 - only here

    logging.getLogger("websockets").setLevel("ERROR")
    assert wanted.ws is not None
    return await serve_websocket(
        serve,
        *wanted.ws,
        process_request=gate(token),
        # None is a handshake without an Origin header, which no browser sends.
        origins=[None, *wanted.origins],  # type: ignore[list-item]
        max_size=MAX_MESSAGE,
        open_timeout=HANDSHAKE,
        compression=None,
        server_header=None,
    )


async def _serve_stream(
    host: Host, token: Token, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client of a socket until it leaves."""
    frames = FrameReader(strict=True, first=MAX_FIRST)

    async def send(bodies: list[bytes]) -> None:
        writer.write(b"".join(map(frame, bodies)))
        await writer.drain()

    async def hear(take: Callable[[bytes], Awaitable[None]]) -> None:
        found = first
        while True:
            for body in found:
                if isinstance(body, BadFrame):
                    log.warning("a client of the socket was refused: %s", body)
                    return
                await take(body)
            if not (data := await reader.read(1 << 16)):
                return
            found = frames.feed(data)

    try:
        if first := await admitted(token, frames, reader, writer):
            await _serve(PygentServer(host), hear, send)
    finally:
        writer.close()


async def _serve_websocket(host: Host, connection: ServerConnection) -> None:
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

    await _serve(PygentServer(host), hear, send)


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
