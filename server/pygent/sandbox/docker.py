"""Commands in a hardened container, one for each workspace and server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pygent import files
from pygent.errors import SandboxUnavailable
from pygent.records import Isolation
from pygent.sandbox import CommandResult, OnOutput, Report, SandboxStatus, container, engine
from pygent.sandbox.environment import environment
from pygent.sandbox.execs import Execs
from pygent.sandbox.guards import Guards
from pygent.sandbox.host import disk_of
from pygent.sandbox.line import Line
from pygent.sandbox.output import Output
from pygent.sandbox.process import result
from pygent.sandbox.profile import Profile
from pygent.sandbox.shell import set_up
from pygent.sandbox.survey import NOTHING, Taken
from pygent.sandbox.watchdog import watched

Connection: TypeAlias = Line | Execs
_Made: TypeAlias = tuple[type[Line] | type[Execs], Any, Any]

ATTEMPTS = 3
"""Containers that are made again where something is replaced while one starts."""

_LIMITS = ("memory", "cpus", "processes", "fileSize", "disk")


class _Replaced(SandboxUnavailable):
    """Something was replaced while it was mounted."""


class DockerSandbox:
    """A container that is made at the first command, and again when it died or its guards are outdated."""

    kind: Isolation = "docker"
    workdir = "/workspace"

    def __init__(self, profile: Profile, report: Report) -> None:
        self._profile = profile
        self._report = report
        self._env = environment(profile, "docker")
        self._env |= {"HOME": container.HOME, "USER": "agent", "LOGNAME": "agent", "TMPDIR": "/tmp"}
        self._disk = disk_of(profile)
        self._starting = asyncio.Lock()
        self._line: Connection | None = None
        self._guards = Guards(profile)
        self._taken = NOTHING
        self._limits: Sequence[str] = _LIMITS

    @property
    def overlapping(self) -> bool:
        """Whether the image has what the supervisor needs."""
        return not isinstance(self._line, Execs)

    def status(self) -> SandboxStatus:
        """The facts for people."""
        container = None if self._line is None else self._line.container_id
        return self._profile.status(
            "docker", self.workdir, *self._limits, image=self._profile.image, container_id=container
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
        outputs: Path | None = None,
        background: bool = False,
        on_notice: OnOutput | None = None,
    ) -> CommandResult:
        """Run a shell command, as `Sandbox.run`."""
        line = await self._connected()
        now = await self._guards.look()
        taken = replace(self._taken, loose=now.loose, there=now.there)
        end = partial(self._give_up, line)
        with self._guards.watching(taken, end, background=background, on_notice=on_notice):
            return await self._run(
                line, command, timeout=timeout, on_output=on_output, env=env, outputs=outputs
            )

    async def close(self) -> None:
        """End the container with everything in it."""
        self._guards.close()
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    def _give_up(self, line: Connection, reason: str) -> None:
        """End everything in the container, which has lost what guarded the workspace from it."""
        if line.alive:
            line.end(reason)

    async def _run(
        self,
        line: Connection,
        command: str,
        *,
        timeout: float | None,
        on_output: OnOutput | None = None,
        env: Mapping[str, str] | None = None,
        outputs: Path | None = None,
    ) -> CommandResult:
        began = time.monotonic()
        place = outputs or self._profile.outputs
        growth = self._disk.begin()
        exceeded = asyncio.ensure_future(growth.exceeded(line.processes))
        try:
            output, code, left = await line.run(
                command,
                {**self._env, **(env or {})},
                lambda mark: Output(place, mark, on_output, self._profile.secret),
                timeout,
                exceeded,
            )
        finally:
            over = exceeded.done() and not exceeded.cancelled()
            exceeded.cancel()
            growth.end()
        said = await growth.settled()
        why = [growth.words if over else "", line.ended_for, said]
        return result(output, began, code, left, " ".join(filter(None, why)))

    async def _connected(self) -> Connection:
        async with self._starting:
            line = self._line
            taken = await self._guards.look()
            if line is not None and not line.alive:
                if line.ended_for:
                    await line.close()
                self._report("The sandbox's container had ended; a new one was made.")
                line = self._line = None
            if line is not None and not line.busy and taken != self._taken:
                # A command made `.git` or the like, which from now on must be mounted read-only, or the
                # host has put another file in the place of one that was.
                await line.close()
                line = self._line = None
            if line is None:
                line = self._line = await self._made()
            return line

    async def _made(self) -> Connection:
        for _ in range(ATTEMPTS):
            self._taken = await self._guards.look()
            with contextlib.suppress(_Replaced):
                return await self._make(self._taken)
        self._taken = await self._guards.look()
        return await self._make(self._taken)

    async def _make(self, taken: Taken) -> Connection:
        """A container in which exactly that is mounted which was looked at.  Raises SandboxUnavailable."""
        wanted = container.identities(self._profile, taken)
        loop, stop = asyncio.get_running_loop(), engine.Stop()

        def report(text: str) -> None:
            loop.call_soon_threadsafe(self._report, text)

        making = asyncio.ensure_future(asyncio.to_thread(self._create, taken, report, stop))
        try:
            kind, made, attached = await asyncio.shield(making)
        except asyncio.CancelledError:
            stop.set()  # the thread can't be cancelled: it sees this, and puts away what it made
            making.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        line = kind(made, attached)
        try:
            await line.open()
            await self._check_mount(line)
            await self._check_mounts(line, wanted)
            await set_up(
                self._profile, lambda command, limit: self._run(line, command, timeout=limit), self._report
            )
        except BaseException:
            await line.close()
            raise
        return line

    def _create(self, taken: Taken, report: Report, stop: engine.Stop) -> _Made:
        """Create, attach, start; in a thread.  Raises SandboxUnavailable."""
        import docker.errors  # noqa: PLC0415 - heavy

        client = engine.connect(self._profile.environ)
        image = self._profile.image
        with engine.explained(image, self._profile.root):
            engine.reap(client)
            engine.have_image(client, image, report, stop)
            info = client.info()
            self._limits = engine.enforced(info)
            if missing := [name for name in _LIMITS if name not in self._limits]:
                report(f"This Docker engine limits no {', no '.join(missing)}: it has no control groups.")
            wanted = container.arguments(self._profile, taken, rootless=engine.rootless(info), env=self._env)
            try:
                return Line, *self._started(client, wanted, stop)
            except docker.errors.APIError as error:
                if "python3" not in str(error):
                    raise
            report(f"The image {image} has no python3: commands run one at a time, and slower.")
            return Execs, *self._started(client, {**wanted, "command": container.WAIT}, stop)

    def _started(self, client: Any, wanted: dict[str, Any], stop: engine.Stop) -> tuple[Any, Any]:
        """A container that was attached to before it started, so that it ends with us from its start."""
        name = f"pygent-{secrets.token_hex(6)}"
        with watched(name, self._profile.environ):
            made = client.containers.create(**wanted, name=name)
            try:
                attached = client.api.attach_socket(
                    made.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                )
                made.start()
                made.reload()  # for the number of its first process
                if stop.is_set():
                    raise SandboxUnavailable("Starting the sandbox was cancelled.")
            except BaseException:
                engine.remove(made)
                raise
        return made, attached._sock

    async def _check_mounts(self, line: Connection, wanted: Mapping[str, str]) -> None:
        """Make sure that exactly that is mounted which was looked at.  Raises _Replaced.

        The engine finds what it mounts by name, and follows links: only the container shows what it found.
        """
        if engine.remote(self._profile.environ):
            return
        words = " ".join(shlex.quote(place) for place in wanted)
        seen = await self._run(line, f"stat -c '%n %d:%i %t:%T' -- {words}", timeout=20)
        if seen.exit_code == 127:
            self._report(f"The image {self._profile.image} has no `stat`: what is mounted is not looked at.")
            return
        shown = [line.rsplit(" ", 2) for line in seen.output.splitlines()]
        found = {place: numbers for place, *numbers in shown}
        if wanted[container.WORKDIR] not in found.get(container.WORKDIR, ()):
            return  # an engine in a machine of its own has numbers of its own
        for place, number in wanted.items():
            if number not in found.get(place, ()):
                raise _Replaced(
                    f"What Docker mounted at {place} is not what was there a moment before.",
                    "Run it again when nothing replaces that file or folder.",
                )

    async def _check_mount(self, line: Connection) -> None:
        """Make sure that an engine elsewhere mounted our folder and not one of its own of the same name.

        Raises SandboxUnavailable.
        """
        if not engine.remote(self._profile.environ):
            return
        root = self._profile.root
        probe = root / f".pygent-probe-{secrets.token_hex(8)}"
        try:
            files.write_atomic(probe, b"", root=root)
            seen = await self._run(line, f"test -e {probe.name}", timeout=20)
        finally:
            with contextlib.suppress(OSError):
                files.remove(probe, root)
        if seen.exit_code != 0:
            raise SandboxUnavailable(
                f"The Docker engine at {engine.address(self._profile.environ)} has another folder "
                f"{root} than this machine.",
                "Use an engine on this machine, or set PYGENT_USE_DOCKER=0.",
            )
