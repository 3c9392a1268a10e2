"""The connection to a container's supervisor: one socket for all its commands."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pygent.errors import SandboxUnavailable
from pygent.sandbox import container, engine
from pygent.sandbox.output import Output
from pygent.sandbox.supervisor import ERROR, EXIT, HELLO, OUT

START = 20.0
"""Seconds for a container to say hello."""
KILL = 5.0
"""Seconds for the supervisor to end a command; then the whole container goes."""


@dataclass(slots=True)
class _Job:
    output: Output
    done: asyncio.Future[dict[str, Any]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Line:
    """A container whose first process is the supervisor."""

    def __init__(self, made: Any, attached: socket.socket) -> None:
        self.container_id: str = made.id
        self.alive = True
        self.ended_for = ""
        self._container = made
        self._socket = attached
        self._jobs: dict[int, _Job] = {}
        self._last = 0
        self._shell = "/bin/sh"
        self._stderr = ""
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a command runs."""
        return bool(self._jobs)

    def processes(self) -> list[int]:
        """The container's processes, as far as this machine knows them."""
        return container.processes(self._container)

    async def open(self) -> None:
        """Wait for the supervisor.  Raises SandboxUnavailable with what the container said instead."""
        self._socket.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=1 << 22)
        self._reading = asyncio.create_task(self._read(reader))
        try:
            await asyncio.wait_for(asyncio.shield(self._greeted), START)
        except (asyncio.TimeoutError, SandboxUnavailable):
            said = self._stderr.strip().splitlines()
            raise SandboxUnavailable(
                f"The sandbox's container did not come up{': ' + said[-1] if said else ''}.",
                "Try another PYGENT_IMAGE.",
            ) from None

    async def run(
        self,
        command: str,
        env: Mapping[str, str],
        output: Callable[[str], Output],
        timeout: float | None,
        exceeded: asyncio.Future[None],
    ) -> tuple[Output, int | None, int]:
        """Run a command; its output, exit code (None: the time limit ended it) and how many it left.

        It is ended as soon as `exceeded` is done.
        Raises SandboxUnavailable when the container ends meanwhile.
        """
        self._last += 1
        number = self._last
        job = self._jobs[number] = _Job(output(f"{self.container_id[:12]}-{number}"))
        argv = [self._shell, "-c", command]
        self._send({"op": "run", "id": number, "argv": argv, "cwd": "/workspace", "env": dict(env)})
        try:
            ends: list[asyncio.Future[Any]] = [job.done, exceeded]
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            unfinished = not job.done.done()
            timed_out = unfinished and not exceeded.done()
        except asyncio.CancelledError:
            await self._kill(number, job)
            raise
        if unfinished:
            await self._kill(number, job)
        end = await job.done
        return job.output, None if timed_out else end["code"], end["left"]

    def end(self, reason: str) -> None:
        """Kill every command at once and be no longer alive; what they still say is not heard."""
        self._send({"op": "end", "id": 0})
        self.alive, self.ended_for = False, reason
        for job in self._jobs.values():
            if not job.done.done():
                job.done.set_result({"code": 137, "left": 0})
        self._jobs.clear()

    async def close(self) -> None:
        """Close the connection, which ends the container, and make sure of it."""
        self._lost()
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        await asyncio.to_thread(engine.remove, self._container)

    async def _kill(self, number: int, job: _Job) -> None:
        self._send({"op": "kill", "id": number})
        await asyncio.wait([job.done], timeout=KILL)
        if not job.done.done():
            await self.close()

    def _send(self, order: Mapping[str, Any]) -> None:
        body = json.dumps(order).encode()
        if self._writer is not None and self.alive:
            self._writer.write(struct.pack(">I", len(body)) + body)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = bytearray()
        try:
            while True:
                stream, size = struct.unpack(">BxxxI", await reader.readexactly(8))
                data = await reader.readexactly(size)
                if stream == 1:
                    frames += data
                    self._take(frames)
                else:
                    self._stderr = (self._stderr + data.decode("utf-8", "replace"))[-4096:]
        except (asyncio.IncompleteReadError, OSError):
            self._lost()

    def _take(self, frames: bytearray) -> None:
        at = 0
        while len(frames) - at >= 9:
            size, kind, number = struct.unpack_from(">IBI", frames, at)
            if len(frames) - at < 9 + size:
                break
            self._hear(kind, number, bytes(frames[at + 9 : at + 9 + size]))
            at += 9 + size
        del frames[:at]

    def _hear(self, kind: int, number: int, payload: bytes) -> None:
        job = self._jobs.get(number)
        if kind == HELLO and not self._greeted.done():
            self._shell = json.loads(payload)["shell"]
            self._greeted.set_result(None)
        elif kind == OUT and job is not None:
            job.output.feed(payload)
        elif kind == EXIT and job is not None:
            del self._jobs[number]
            job.done.set_result(json.loads(payload))
        elif kind == ERROR:
            self._stderr += payload.decode("utf-8", "replace")

    def _lost(self) -> None:
        self.alive = False
        gone = SandboxUnavailable("The sandbox's container ended while the command ran.", "Run it again.")
        if not self._greeted.done():
            self._greeted.set_exception(gone)
        for job in self._jobs.values():
            if not job.done.done():
                job.done.set_exception(gone)
                job.done.exception()
        self._jobs.clear()
