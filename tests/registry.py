"""A registry on loopback with an image that has to be pulled, and slow ways to it, or to the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.conftest import missing

REGISTRY = "127.0.0.1:5000"
SILENT = 3600.0
"""A pace at which no more bytes come while a test runs."""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def registry() -> str:
    """A registry on loopback (scripts/docker-engine registry)."""
    try:
        urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=2).close()
    except OSError:
        missing(f"no registry on {REGISTRY} (scripts/docker-engine registry)")
    return REGISTRY


@pytest.fixture
def pushed(registry: str, docker_image: str) -> Iterator[str]:
    """The path of an image in the registry that the engine has to pull 20 MB of."""
    name = f"pygent-test-{os.getpid()}-{time.time_ns()}"
    path, reference = f"{name}/image:1", f"{registry}/{name}/image:1"
    docker("run", "--name", name, docker_image, "sh", "-c", "head -c 20000000 /dev/urandom > /blob")
    docker("commit", name, reference)
    docker("rm", name)
    docker("push", reference)
    docker("rmi", reference)
    yield path
    docker("rmi", reference, check=False)


class Relay:
    """What goes through a port; `hurry` ends the slowness."""

    def __init__(self, pace: float, first: int) -> None:
        self.port = 0
        self.hurry = asyncio.Event()
        self._pace = pace
        self._first = first
        self._open = 0
        self._passed = 0
        self._changed = asyncio.Condition()

    async def busy(self) -> None:
        """Wait until what passes quickly has passed, and more is being waited for."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._passed > self._first)

    async def silent(self, seconds: float = 1.0) -> None:
        """Wait until nothing has passed for a while."""
        seen = -1
        while seen != self._passed:
            seen = self._passed
            await asyncio.sleep(seconds)

    async def idle(self) -> None:
        """Wait until no connection is open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._open == 0)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
                if slow:
                    await self._passes(len(data))
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _passes(self, size: int) -> None:
        async with self._changed:
            self._passed += size
            self._changed.notify_all()
        if self._passed > self._first:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.hurry.wait(), self._pace)

    async def count(self, more: int) -> None:
        async with self._changed:
            self._open += more
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def relay(target: str | int, pace: float = 0.0, *, first: int = 0) -> AsyncIterator[Relay]:
    """A TCP port on loopback in front of another or of a socket file.

    The `first` bytes of the answers pass at once, `pace` is in seconds between 64 KiB of the rest.
    """
    made = Relay(pace, first)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = (
            asyncio.open_unix_connection(target)
            if isinstance(target, str)
            else asyncio.open_connection("127.0.0.1", target)
        )
        inner, outer = await other
        await made.count(1)
        await asyncio.gather(made.pump(reader, outer, slow=False), made.pump(inner, writer, slow=True))
        writer.close()
        outer.close()
        await made.count(-1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
