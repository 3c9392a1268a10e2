"""Modules that lie in the folder in which a program is started take the place of none of Python's or ours."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import python

from pygent.lsp.transport import FrameReader, frame

pytestmark = pytest.mark.e2e
INSTALLED = [str(Path(sys.executable).with_name("pygent-server"))]
CLI = [str(Path(sys.executable).with_name("pygent"))]
STDIO = [[*INSTALLED, "--stdio"], [*INSTALLED]]


@pytest.fixture
def ran(workspace: Path, tmp_path: Path) -> Path:
    """A file that each module of the folder writes its name to: of all that Python has and is installed."""
    found = tmp_path / "ran"
    installed = importlib.metadata.packages_distributions()
    names = {*sys.stdlib_module_names, *installed, "pygent", "sitecustomize", "usercustomize"}
    for name in names:
        if name.isidentifier():
            text = f"open({str(found)!r}, 'a').write({name!r} + '\\n')\n"
            (workspace / f"{name}.py").write_text(text)
    (workspace / "planted.pth").write_text(f"import os; open({str(found)!r}, 'a').write('pth')\n")
    (workspace / "pyvenv.cfg").write_text("home = .\n")
    return found


def served(command: list[str], folder: Path, **env: str) -> None:
    """A server that is started in a folder, greeted, asked for its tools and sent away."""
    messages = [
        {"id": 1, "method": "initialize", "params": {"capabilities": {}, "rootUri": folder.as_uri()}},
        {"method": "initialized", "params": {}},
        {
            "id": 2,
            "method": "workspace/executeCommand",
            "params": {"command": "pygent.tools", "arguments": []},
        },
        {"id": 3, "method": "shutdown"},
        {"method": "exit"},
    ]
    data = b"".join(frame(json.dumps({"jsonrpc": "2.0", **one}).encode()) for one in messages[:3])
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(data)
    process.stdin.flush()
    frames, answers = FrameReader(), set[object]()
    while not {1, 2} <= answers:
        data = os.read(process.stdout.fileno(), 1 << 16)
        assert data, "the server ended"
        for body in frames.feed(data):
            assert isinstance(body, bytes)
            answers.add(json.loads(body).get("id"))
    process.stdin.write(
        b"".join(frame(json.dumps({"jsonrpc": "2.0", **one}).encode()) for one in messages[3:])
    )
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("command", STDIO, ids=["--stdio", "nothing"])
def test_the_server_that_editors_start_in_a_project_runs_nothing_of_it(
    workspace: Path, ran: Path, command: list[str]
) -> None:
    served(command, workspace)
    assert not ran.exists(), ran.read_text()


@pytest.mark.parametrize("words", [["--version"], ["doctor"], ["sessions"], ["config", "show"], ["sandbox"]])
def test_nor_does_the_command_line(workspace: Path, ran: Path, words: list[str]) -> None:
    subprocess.run([*CLI, *words], cwd=workspace, capture_output=True, timeout=120, check=False)
    assert not ran.exists(), ran.read_text()


def test_by_hand_python_takes_at_most_what_it_imports_before_us(workspace: Path, ran: Path) -> None:
    """`python -m` looks into the folder first, and with it what `-m` itself needs: we can't help that."""
    script = "import pkgutil, runpy, sys, pygent.cli, pygent.lsp; print(*sys.modules)"
    first = subprocess.run(python("-c", script), cwd="/", capture_output=True, text=True, check=True).stdout
    for name in ("pygent", *first.split()):
        (workspace / f"{name}.py").unlink(missing_ok=True)
    served(python("-m", "pygent.lsp"), workspace)
    subprocess.run(python("-m", "pygent.cli", "doctor"), cwd=workspace, capture_output=True, check=False)
    assert not ran.exists(), ran.read_text()
