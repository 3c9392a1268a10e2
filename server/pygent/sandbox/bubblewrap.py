"""Commands in a bubblewrap sandbox: the host's tools read-only, the workspace read-write, nothing else.

Each command is a namespace of its own, so killing its first process is atomic.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from pygent import programs
from pygent.errors import SandboxUnavailable
from pygent.records import Isolation
from pygent.sandbox import CommandResult, OnOutput, Report, SandboxStatus, credentials, net, seccomp
from pygent.sandbox.cgroup import Cgroup
from pygent.sandbox.disk import Disk
from pygent.sandbox.environment import environment
from pygent.sandbox.guards import Guards
from pygent.sandbox.host import AGENT, Private, disk_of, tools
from pygent.sandbox.local import owner_of
from pygent.sandbox.output import Output
from pygent.sandbox.pins import Pins
from pygent.sandbox.process import Spawn, run_process
from pygent.sandbox.profile import Profile
from pygent.sandbox.shell import limited, set_up, told
from pygent.sandbox.survey import Taken

ISOLATION = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session"),
    *("--hostname", "pygent", "--uid", "1000", "--gid", "1000"),
)

KEYS = ("--ro-bind", "/dev/null", "/proc/keys") if Path("/proc/keys").exists() else ()
"""The kernel lists there the keys of our user by their names, in any namespace."""


_works: set[tuple[object, ...]] = set()
"""What has been tried in this process, and worked."""


class BubblewrapSandbox:
    """Runs each command in namespaces of its own.  Raises SandboxUnavailable where that does not work."""

    kind: Isolation = "bubblewrap"
    overlapping = True

    def __init__(self, profile: Profile, report: Report) -> None:
        program = programs.find("bwrap", "/usr/bin:/bin:/usr/local/bin")
        if program is None:
            raise SandboxUnavailable("bubblewrap is not installed.", "Install the package bubblewrap.")
        self.workdir = str(profile.root)
        self._profile = profile
        self._report = report
        self._env = environment(profile, "bubblewrap")
        self._env |= AGENT
        self._owner = owner_of(profile.root)
        self._program = program
        self._cgroup: Cgroup | None = None
        self._private: Private | None = None
        self._disk: Disk | None = None
        self._outside: net.Outside | None = None
        self._preparing = asyncio.Lock()
        self._fixed: list[str] = []
        self._pins = Pins(program)
        self._guards = Guards(profile)

    def status(self) -> SandboxStatus:
        """The facts for people."""
        return self._profile.status("bubblewrap", self.workdir, "memory", "processes", "fileSize", "disk")

    async def start(self) -> None:
        """Try the full arguments, once in a process: user namespaces may be missing or forbidden."""
        try:
            if (tried := (self._program, self._owner, ISOLATION)) not in _works:
                await self._try()
                _works.add(tried)
            await set_up(self._profile, lambda command, limit: self.run(command, timeout=limit), self._report)
        except BaseException:
            await self.close()
            raise

    async def _try(self) -> None:
        done = await self.run("true", timeout=10)
        if done.exit_code != 0:
            first, _, _ = done.output.strip().partition("\n")
            raise SandboxUnavailable(
                f"bubblewrap does not work here: {first or 'no answer'}.",
                "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone, AppArmor).",
            )

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
        disk = await self._prepared()
        outside = self._outside
        inside = {**self._env, **(env or {})}
        line = limited(command, self._profile, processes=True)
        taken = await self._guards.look()
        with seccomp.filters() as filters, Pins(self._program) as pins:
            argv = [self._program, *self._arguments(taken, pins)]
            argv += [word for number in filters for word in ("--seccomp", str(number))]
            argv += ["--", "/bin/bash", "-c", line]
            if outside is not None:
                argv = outside.join(argv)
            # bwrap's own environment can be read inside at /proc/1/environ, whatever --clearenv says
            # (containers/bubblewrap#725): it is started with the command's, which holds no secret.
            if self._cgroup is not None:
                argv = self._cgroup.enter(argv)
            spawn = Spawn(
                *(argv, Path("/"), inside, self._owner),
                contained=True,
                limits=self._profile.limits,
                own_keys=True,
                disk=disk,
                handles=(
                    *(self._pins.handles + pins.handles),
                    *filters,
                    *(outside.handles if outside is not None else ()),
                ),
            )
            mark = secrets.token_hex(8)
            output = Output(outputs or self._profile.outputs, mark, on_output, self._profile.secret)
            watch = partial(self._guards.watching, taken, background=background, on_notice=on_notice)
            done = await run_process(spawn, output=output, mark=mark, timeout=timeout, watch=watch)
        return told(command, done)

    async def close(self) -> None:
        """Remove the private folders, and the network."""
        if self._outside is not None:
            await asyncio.to_thread(self._outside.close)
        for _ in range(25):
            if self._cgroup is None or self._cgroup.close():
                break
            await asyncio.sleep(0.02)  # killed processes take a moment to be gone
        self._guards.close()
        self._pins.close()
        if self._private is not None:
            await self._private.remove()

    async def _prepared(self) -> Disk:
        """Make what all commands share, at the first: an agent that runs none needs no folders."""
        async with self._preparing:
            if self._disk is None:
                hidden = await asyncio.to_thread(credentials.within, tools(self._profile))
                self._cgroup = Cgroup.make(self._profile.limits.pids) if self._owner is None else None
                await self._connected()
                self._private = Private(network=self._profile.limits.network, owner=self._owner)
                if self._outside is not None:
                    net.resolver(self._private.path / "etc")
                self._fixed = self._frame(self._private, hidden)
                self._disk = disk_of(self._profile, self._private)
            return self._disk

    async def _connected(self) -> None:
        """Make the network, or do without: commands must not share this machine's."""
        limits = self._profile.limits
        if not limits.network:
            return
        try:
            if packages := net.missing():
                raise SandboxUnavailable(f"Install {', '.join(packages)} for it.")
            self._outside = await asyncio.to_thread(net.Outside, self._program, self._owner, limits.networks)
        except SandboxUnavailable as error:
            why = " ".join(filter(None, [error.message, error.fix]))
            self._report(f"Commands have NO NETWORK although sandbox.network is on. {why}")
            offline = replace(self._profile, limits=msgspec.structs.replace(limits, network=False))
            self._profile, self._env = offline, environment(offline, "bubblewrap") | AGENT

    def _frame(self, private: Private, hidden: list[Path]) -> list[str]:
        """The arguments that stay the same from command to command."""
        place = private.path
        frame = [*ISOLATION, *([] if self._profile.limits.network else ["--unshare-net"]), *_system()]
        frame += ["--ro-bind", f"{place}/etc", "/etc"]
        for name in private.etc_folders:
            frame += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
        frame += ["--proc", "/proc", *KEYS, "--dev", "/dev", "--perms", "1777", "--size", "67108864"]
        frame += ["--tmpfs", "/dev/shm", "--dir", "/run", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]
        frame += ["--bind", f"{place}/tmp", "/tmp", "--bind", f"{place}/home", "/home/agent"]
        read, write = self._profile.outside(self._report)
        for path in tools(self._profile):
            frame += ["--ro-bind", str(path), str(path)]
        for path in hidden:
            frame += ["--ro-bind", f"{place}/empty" if path.is_dir() else "/dev/null", str(path)]
        for mounts, writable in ((read, False), (write, True)):
            for path, source in mounts.items():
                frame += self._pins.bind(source, Path("/"), str(path), writable=writable)
        return frame

    def _arguments(self, taken: Taken, pins: Pins) -> Iterator[str]:
        yield from self._fixed
        root = self._profile.root
        yield from pins.bind(root, root, self.workdir, writable=True)
        yield from ("--symlink", self.workdir, "/workspace")
        for name in (*taken.kept, *taken.opened):
            yield from pins.bind(root / name, root, f"{root}/{name}", writable=name in taken.opened)
        for name in taken.hidden:
            yield from ("--ro-bind", "/dev/null", f"{root}/{name}")
        # As root /proc/sys could be written, core_pattern among it: uid 0 is merely mapped.
        yield from ("--remount-ro", "/", "--remount-ro", "/proc", "--chdir", self.workdir)


def _system() -> Iterator[str]:
    """The host's programs and libraries, read-only."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("/bin", "/sbin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            yield from ("--symlink", str(Path(name).readlink()), name)
        elif Path(name).exists():
            yield from ("--ro-bind", name, name)
