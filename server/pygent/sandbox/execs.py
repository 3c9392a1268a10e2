"""Commands in a container without Python: by the engine's `exec`, one at a time.

The engine can't end an exec (docker/docker-py#3155), so after each command everything in the container is
killed but its first process, which no signal from inside reaches.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from pygent.errors import SandboxUnavailable
from pygent.sandbox import container, engine
from pygent.sandbox.output import Output

KILLED = 128 + 9
SWEEP = ["/bin/sh", "-c", "kill -9 -1"]


class Execs:
    """A container whose first process only waits, for orphans and for the end of its input."""

    def __init__(self, made: Any, attached: socket.socket) -> None:
        self.container_id: str = made.id
        self.alive = True
        self.ended_for = ""
        self._container = made
        self._attached = attached
        self._turn = asyncio.Lock()
        self._last = 0

    @property
    def busy(self) -> bool:
        """Whether a command runs."""
        return self._turn.locked()

    def processes(self) -> list[int]:
        """The container's processes, as far as this machine knows them."""
        return container.processes(self._container)

    async def open(self) -> None:
        """Nothing to wait for."""

    async def run(
        self,
        command: str,
        env: Mapping[str, str],
        output: Callable[[str], Output],
        timeout: float | None,
        exceeded: asyncio.Future[None],
    ) -> tuple[Output, int | None, int]:
        """Run a command, as `Line.run`; what it left running is ended and not counted."""
        async with self._turn:
            self._last += 1
            text = output(f"{self.container_id[:12]}-{self._last}")
            exec_id, pipe = await asyncio.to_thread(self._start, command, dict(env))
            reading = asyncio.ensure_future(self._read(pipe, text))
            try:
                await asyncio.wait([reading, exceeded], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                timed_out = not reading.done() and not exceeded.done()
            finally:
                reading.cancel()
                await asyncio.wait([reading])
                pipe.close()
                code: int | None = 137  # where the container has gone with it
                if not self.ended_for:
                    code = await asyncio.shield(asyncio.to_thread(self._sweep, exec_id))
            return text, None if timed_out else KILLED if code is None else code, 0

    def end(self, reason: str) -> None:
        """Kill the command with the container and be no longer alive."""
        self.alive, self.ended_for = False, reason
        self._attached.close()
        asyncio.get_running_loop().run_in_executor(None, engine.remove, self._container)

    async def close(self) -> None:
        """Close the container's input, which ends it, and make sure of it."""
        self.alive = False
        self._attached.close()
        await asyncio.to_thread(engine.remove, self._container)

    def _start(self, command: str, env: dict[str, str]) -> tuple[str, socket.socket]:
        api = self._container.client.api
        shell = 'command -v bash >/dev/null && exec bash -c "$0"; exec sh -c "$0"'
        with engine.explained(self._container.image.id, self._container.id):
            made = api.exec_create(
                self.container_id, ["/bin/sh", "-c", shell, command], environment=env, workdir="/workspace"
            )
            return made["Id"], api.exec_start(made["Id"], socket=True)._sock

    def _sweep(self, exec_id: str) -> int | None:
        """Kill what is left; the command's exit code."""
        api = self._container.client.api
        try:
            code = api.exec_inspect(exec_id)["ExitCode"]
            api.exec_start(api.exec_create(self.container_id, SWEEP)["Id"])
            self._attached.send(b"\n")
        except Exception as error:
            self.alive = False
            gone = "The sandbox's container ended while the command ran."
            raise SandboxUnavailable(gone, "Run it again.") from error
        return None if code is None else int(code)

    async def _read(self, pipe: socket.socket, output: Output) -> None:
        pipe.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=pipe, limit=1 << 22)
        try:
            while True:
                _, size = struct.unpack(">BxxxI", await reader.readexactly(8))
                output.feed(await reader.readexactly(size))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
