"""Commands in a hardened Docker container, through a resident supervisor.

The only importer of the docker SDK, which blocks and is heavy: it is imported late and called in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygent.errors import SandboxUnavailable
from pygent.events import Isolation
from pygent.sandbox import CommandResult, OnOutput, Report, SandboxStatus, container
from pygent.sandbox.environment import environment
from pygent.sandbox.output import Output
from pygent.sandbox.process import result
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


class DockerSandbox:
    """One container for one workspace, made at the first command and again if it dies."""

    kind: Isolation = "docker"
    workdir = "/workspace"

    def __init__(
        self,
        root: Path,
        *,
        requested: str,
        reason: str | None,
        image: str,
        network: bool,
        state: Path,
        environ: Mapping[str, str],
        report: Report,
        secret: str | None = None,
    ) -> None:
        self._root = root
        self._requested = requested
        self._reason = reason
        self._image = image
        self._network = network
        self._outputs = state / "outputs"
        self._environ = environ
        self._report = report
        self._secret = secret
        self._env = environment(environ, "docker", network=network) | {
            "HOME": "/tmp",
            "USER": "agent",
            "LOGNAME": "agent",
            "TMPDIR": "/tmp",
        }
        self._starting = asyncio.Lock()
        self._line: _Line | None = None

    def status(self) -> SandboxStatus:
        """The facts for people."""
        return SandboxStatus(
            requested=self._requested,
            effective="docker",
            reason=self._reason,
            image=self._image,
            network=self._network,
            workspace=self.workdir,
            limits=container.LIMITS,
            container_id=None if self._line is None else self._line.container_id,
        )

    async def start(self) -> None:
        """Make the container, pulling the image if it is missing."""
        await self._connected()

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a shell command, as `Sandbox.run`."""
        line = await self._connected()
        began = time.monotonic()
        number, job = line.run(
            ["/bin/sh", "-c", 'command -v bash >/dev/null && exec bash -c "$0" || exec sh -c "$0"', command]
            if not line.bash
            else ["/bin/bash", "-c", command],
            {**self._env, **(env or {})},
            lambda mark: Output(self._outputs, mark, on_output, self._secret),
        )
        try:
            await asyncio.wait([job.done], timeout=timeout)
            timed_out = not job.done.done()
        except asyncio.CancelledError:
            await self._kill(line, number, job)
            raise
        if timed_out:
            await self._kill(line, number, job)
        if job.done.exception():
            raise job.done.exception() or SandboxUnavailable("The container ended.")
        end = job.done.result()
        return result(job.output, began, None if timed_out else end["code"], end["left"])

    async def close(self) -> None:
        """End the container with everything in it."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _kill(self, line: _Line, number: int, job: _Job) -> None:
        line.send({"op": "kill", "id": number})
        await asyncio.wait([job.done], timeout=KILL)
        if not job.done.done():
            await self.close()

    async def _connected(self) -> _Line:
        async with self._starting:
            if self._line is not None and not self._line.alive:
                self._report("The sandbox's container had ended; a new one was made.")
                self._line = None
            if self._line is None:
                self._line = await self._make()
            return self._line

    async def _make(self) -> _Line:
        loop = asyncio.get_running_loop()

        def report(text: str) -> None:
            loop.call_soon_threadsafe(self._report, text)

        made, attached = await asyncio.to_thread(self._create, report)
        line = _Line(made, attached)
        try:
            await line.hello(self._image)
        except BaseException:
            await line.close()
            raise
        return line

    def _create(self, report: Report) -> tuple[Any, socket.socket]:
        """Create, attach, then start; in a thread.  Raises SandboxUnavailable."""
        import docker.errors  # noqa: PLC0415 - heavy

        client = connect(self._environ)
        try:
            _reap(client)
            _have_image(client, self._image, report)
            rootless = any("rootless" in option for option in client.info().get("SecurityOptions") or [])
            wanted = container.arguments(
                self._image, self._root, rootless=rootless, network=self._network, env=self._env
            )
            made = client.containers.create(**wanted)
            attached = client.api.attach_socket(
                made.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            made.start()
        except docker.errors.APIError as error:
            raise SandboxUnavailable(*_explain(error, self._image)) from error
        except (docker.errors.DockerException, OSError) as error:
            raise SandboxUnavailable(f"Docker failed: {error}.") from error
        return made, attached._sock


class _Line:
    """The connection to a container's supervisor."""

    def __init__(self, made: Any, attached: socket.socket) -> None:
        self.container_id: str = made.id
        self.alive = True
        self.bash = False
        self._container = made
        self._socket = attached
        self._jobs: dict[int, _Job] = {}
        self._last = 0
        self._stderr = ""
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def hello(self, image: str) -> None:
        """Wait for the supervisor.  Raises SandboxUnavailable."""
        self._socket.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=1 << 22)
        self._reading = asyncio.create_task(self._read(reader))
        try:
            await asyncio.wait_for(asyncio.shield(self._greeted), START)
        except (asyncio.TimeoutError, SandboxUnavailable):
            said = self._stderr.strip().splitlines()
            raise SandboxUnavailable(
                f"The container of image {image} did not come up{': ' + said[-1] if said else ''}.",
                "The image needs python3; set PYGENT_IMAGE to one that has it.",
            ) from None
        _, job = self.run(
            ["/bin/sh", "-c", "test -x /bin/bash"], {}, lambda mark: Output(Path("/"), mark, None)
        )
        self.bash = (await job.done)["code"] == 0

    def run(self, argv: list[str], env: Mapping[str, str], output: Any) -> tuple[int, _Job]:
        """Ask for a command; the job's future gets its end."""
        self._last += 1
        number = self._last
        job = self._jobs[number] = _Job(output(f"{self.container_id[:12]}-{number}"))
        self.send({"op": "run", "id": number, "argv": argv, "cwd": "/workspace", "env": dict(env)})
        return number, job

    def send(self, order: Mapping[str, Any]) -> None:
        """Send an order; after the container's end, nothing."""
        body = json.dumps(order).encode()
        if self._writer is not None and self.alive:
            self._writer.write(struct.pack(">I", len(body)) + body)

    async def close(self) -> None:
        """Close the connection, which ends the container, and make sure of it."""
        self._lost()
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        await asyncio.to_thread(_remove, self._container)

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


def connect(environ: Mapping[str, str], timeout: int = 60) -> Any:
    """A client of an engine that answers; in a thread.  Raises SandboxUnavailable naming what is wrong."""
    try:
        import docker  # noqa: PLC0415 - heavy
        import docker.errors  # noqa: PLC0415
    except ImportError as error:
        raise SandboxUnavailable("The Python package docker is missing.", "pip install docker") from error
    try:
        client = docker.from_env(timeout=timeout, environment=dict(environ))
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxUnavailable(*_unreachable(str(error), environ)) from error
    return client


def _unreachable(said: str, environ: Mapping[str, str]) -> tuple[str, str]:
    where = environ.get("DOCKER_HOST", "/var/run/docker.sock")
    if "Permission denied" in said:
        return f"There are no rights on Docker's socket {where}.", "Join the group docker and log in again."
    if "No such file" in said or "FileNotFoundError" in said:
        return (
            f"Docker is not installed or not running: there is no socket {where}.",
            "Install or start Docker.",
        )
    if "Connection refused" in said:
        return f"Docker's daemon is down: nothing answers on {where}.", "Start Docker."
    return f"Docker does not answer on {where}: {said[:200]}.", "Start Docker, or check DOCKER_HOST."


def _explain(error: Any, image: str) -> tuple[str, str | None]:
    said = str(error.explanation or error)
    if "python3" in said and "executable file not found" in said:
        return f"The image {image} has no python3.", "Set PYGENT_IMAGE to an image that has it."
    if "no space left" in said:
        return "Docker has no disk space left.", "docker system prune"
    return f"Docker refused the container: {said[:300]}.", None


def _have_image(client: Any, image: str, report: Report) -> None:
    import docker.errors  # noqa: PLC0415 - heavy

    try:
        client.images.get(image)
        return
    except docker.errors.ImageNotFound:
        report(f"Pulling the image {image} …")
    try:
        layers: dict[str, str] = {}
        for line in client.api.pull(image, stream=True, decode=True):
            if "error" in line:
                raise SandboxUnavailable(f"The image {image} can't be pulled: {line['error']}.", _FIX_IMAGE)
            known = layers.get(line.get("id", ""))
            layers[line.get("id", "")] = line.get("status", "")
            if known != line.get("status") and line.get("status") in ("Pull complete", "Already exists"):
                ready = sum(status in ("Pull complete", "Already exists") for status in layers.values())
                report(f"Pulling the image {image}: {ready} layers ready")
    except docker.errors.NotFound as error:
        raise SandboxUnavailable(f"There is no image {image} to pull.", _FIX_IMAGE) from error
    except docker.errors.APIError as error:
        said = error.explanation or error
        raise SandboxUnavailable(f"The image {image} can't be pulled: {said}.", _FIX_IMAGE) from error


_FIX_IMAGE = "Set PYGENT_IMAGE to an image that is there, pull it by hand, or set PYGENT_USE_DOCKER=0."


def _reap(client: Any) -> None:
    """Remove the containers of servers that died, and nobody else's."""
    import docker.errors  # noqa: PLC0415 - heavy

    for found in client.containers.list(all=True, filters={"label": f"{container.LABEL}=1"}):
        if container.abandoned(found.labels.get(container.OWNER, "")):
            with contextlib.suppress(docker.errors.APIError):
                found.remove(force=True)


def _remove(made: Any) -> None:
    import docker.errors  # noqa: PLC0415 - heavy

    with contextlib.suppress(docker.errors.DockerException, OSError):
        made.remove(force=True)


def has_image(image: str, environ: Mapping[str, str]) -> bool:
    """Whether an engine answers and has the image, so that nothing needs to be pulled; in a thread."""
    try:
        client = connect(environ, 2)
    except SandboxUnavailable:
        return False
    import docker.errors  # noqa: PLC0415 - heavy

    try:
        client.images.get(image)
    except docker.errors.APIError:
        return False
    finally:
        client.close()
    return True
