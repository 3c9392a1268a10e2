"""Runs scripts as their readers would: each in a process and a folder of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from pathlib import Path

from pygent.replay import ReplayServer, Reply, Script


async def run(
    script: str, folder: Path, *replies: Reply, code: int = 0, **environ: str
) -> tuple[str, ReplayServer]:
    """The standard output of a script, and the model server that it talked to."""
    async with ReplayServer(Script(replies=list(replies))) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            textwrap.dedent(script),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "OPENAI_BASE_URL": server.base_url,
                "PYGENT_USE_DOCKER": "0",
                "PYGENT_CONFIRM_BASH": "0",
                **environ,
            },
        )
        out, error = await asyncio.wait_for(program.communicate(), 90)
    assert program.returncode == code, error.decode()
    return out.decode() + error.decode() * bool(code), server
