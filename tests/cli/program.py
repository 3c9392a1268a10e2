"""The `pygent` program as a person or a script starts it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.screen import Terminal
from tests.conftest import python

KEY = "sk-key-of-the-program"


class Program:
    """Runs `pygent` in a folder, against a scripted server."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.base_url = base_url
        self.server = 0
        """The process of the scripted server."""

    def environ(self, **more: str) -> dict[str, str]:
        own = {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": KEY, "PYGENT_USE_DOCKER": "0"}
        return {**os.environ, **own, **more}

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            python("-m", "pygent.cli", *arguments),
            cwd=self.folder,
            env=self.environ(**more.pop("env", {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **more,
        )

    def terminal(self, *arguments: str, columns: int = 100, lines: int = 40, **env: str) -> Terminal:
        """`pygent` on a terminal."""
        return Terminal(
            python("-m", "pygent.cli", *arguments),
            cwd=self.folder,
            env=self.environ(**env),
            columns=columns,
            lines=lines,
        )

    def __call__(self, *arguments: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        program = self.start(*arguments, env=env)
        out, err = program.communicate(given, timeout=60)
        assert "Traceback" not in err or "demo" in arguments, err
        assert KEY not in out + err
        return subprocess.CompletedProcess(arguments, program.returncode, out, err)


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON lines of an output."""
    return [json.loads(line) for line in text.splitlines()]
