"""A scripted server in a process of its own, and the program that talks to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.cli.program import Program
from tests.conftest import python

from pygent.replay import Reply, Script

Pygent = Callable[..., Program]


@pytest.fixture
def pygent(workspace: Path, tmp_path: Path) -> Iterator[Pygent]:
    """Makes a program whose model gives these replies; its requests are in `journal`."""
    servers: list[subprocess.Popen[str]] = []

    def make(*replies: Reply) -> Program:
        script = tmp_path / f"script-{len(servers)}.json"
        script.write_bytes(msgspec.json.encode(Script(replies=list(replies))))
        server = subprocess.Popen(
            python("-m", "pygent.replay", str(script), "--journal", str(tmp_path / "journal")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        assert server.stdout is not None
        program = Program(workspace, json.loads(server.stdout.readline())["baseUrl"])
        program.server = server.pid
        return program

    yield make
    for server in servers:
        server.communicate(timeout=10)
