"""Proxies on loopback: real CONNECT and forward requests, with a name and password if wanted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable


class Proxy:
    """Carries everything to one port, whatever host is asked for; `asked` are the first lines of requests."""

    def __init__(self, port: int, login: str | None = None) -> None:
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.url = ""
        self._port = port
        self._login = login

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b"\r\n")[0].decode())
            self.heads.append(head.decode("latin-1"))
            if self._login is not None:
                wanted = base64.b64encode(self._login.encode())
                if b"Basic " + wanted not in head:
                    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                    await writer.drain()
                    return
            inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
            if head.startswith(b"CONNECT"):
                writer.write(b"HTTP/1.1 200 Established\r\n\r\n")
            else:
                outer.write(head)
            with contextlib.closing(outer):
                await asyncio.gather(_carry(reader, outer), _carry(inner, writer))
        writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(serve: Callable[..., object]) -> AsyncIterator[int]:
    """A port on loopback where this serves."""
    tasks: set[asyncio.Task[object]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)  # type: ignore[misc]
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def proxy(port: int, login: str | None = None) -> AsyncIterator[Proxy]:
    """A running proxy to a port."""
    made = Proxy(port, login)
    async with listening(made.serve) as own:
        at = "" if login is None else f"{login}@"
        made.url = f"http://{at}127.0.0.1:{own}"
        yield made
