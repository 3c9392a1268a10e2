"""A machine with something to steal and something to break, around one workspace."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import TEST_IMAGE

from pygent.config import Settings
from pygent.config.settings import SandboxSettings
from pygent.sandbox import Sandbox
from pygent.sandbox.choose import open_sandbox
from pygent.sandbox.landlock import LandlockSandbox
from pygent.sandbox.local import LocalSandbox
from pygent.sandbox.profile import Profile

SECRET = "sk-very-secret-123"


async def make(kind: str, workspace: Path, state: Path, *, key: str | None = None, **limits: Any) -> Sandbox:
    """A sandbox of a kind, of a server whose environment holds secrets."""
    environ = {**os.environ, "OPENAI_API_KEY": SECRET, "SOME_TOKEN": SECRET, "LD_PRELOAD": ""}
    settings = Settings(
        use_docker="1" if kind == "docker" else "0",
        image=TEST_IMAGE,
        api_key=key,
        sandbox=SandboxSettings(**limits),
    )
    if kind == "local":
        return LocalSandbox(Profile.of(settings, workspace, state, environ))
    if kind == "landlock":
        sandbox = LandlockSandbox(Profile.of(settings, workspace, state, environ), lambda _: None)
        await sandbox.start()
        return sandbox
    return await open_sandbox(settings, workspace, environ=environ, report=lambda _: None, state=state)


@dataclass
class World:
    """The places that attacks are told of."""

    workspace: Path
    outside: Path
    home: Path
    state: Path
    pid: int
    port: int
    places: dict[str, str] = field(default_factory=dict)

    def fill(self, script: str) -> str:
        """A script with the places in it, written as `@name@`."""
        for name in ("workspace", "outside", "home", "state", "pid", "port"):
            script = script.replace(f"@{name}@", str(getattr(self, name)))
        return script

    def intact(self) -> None:
        """Nothing outside was changed, and nothing of the workspace that is protected."""
        assert sorted(path.name for path in self.outside.iterdir()) == ["secret", "socket"]
        assert (self.outside / "secret").read_text() == SECRET
        assert (self.workspace / ".git/config").read_text() == "[core]\n"
        assert sorted(path.name for path in (self.workspace / ".git").iterdir()) == ["config", "hooks"]
        assert not list((self.workspace / ".git/hooks").iterdir())
        assert (self.workspace / ".env").read_text() == f"TOKEN={SECRET}\n"
        assert (self.workspace / "pygent.toml").read_text() == 'model = "m"\n'
        os.kill(self.pid, 0)


@contextlib.contextmanager
def world(workspace: Path, home: Path, state: Path) -> Iterator[World]:
    """Make it; the listeners and the process end with the block."""
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    (home / ".ssh").mkdir()
    (home / ".ssh/id_rsa").write_text(SECRET)
    (state / "pygent.db").write_text(SECRET)
    (workspace / ".git/hooks").mkdir(parents=True)
    (workspace / ".git/config").write_text("[core]\n")
    (workspace / ".env").write_text(f"TOKEN={SECRET}\n")
    (workspace / "pygent.toml").write_text('model = "m"\n')
    (workspace / "link").symlink_to(outside)
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name in (str(outside / "socket"), f"\0pygent-{os.getpid()}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(name)
            listener.listen()
        process = subprocess.Popen(["sleep", "600"])
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield World(workspace, outside, home, state, process.pid, tcp.getsockname()[1])
