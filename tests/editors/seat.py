"""A person's seat at a real editor: its configuration from the documentation, a workspace, a scripted model."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import msgspec
from tests.conftest import missing
from tests.story import call

from pygent.replay import Match, ReplayServer, Reply, Script


def to(text: str, reply: Reply) -> Reply:
    """A reply to the message, or the result of a call, that has this text in it."""
    return msgspec.structs.replace(reply, match=Match(last=text))


SLOW = Reply(text="word " * 1500, delay=0.05)
"""An answer that ends only when somebody stops it, or after minutes."""

FLOW = [
    to("edit it", call("edit_file", path="a.py", old="value = 1", new="value = 11")),
    to("a.py", Reply(text="Edited it.")),
    to("touch it", call("bash", cmd="touch allowed")),
    to("(no output)", Reply(text="Touched it.")),
    to("touch another", call("bash", cmd="touch denied")),
    to("declined", Reply(text="Left it.")),
    to("go on and on", SLOW),
    to("Say hi", call("bash", cmd="echo from-the-shell")),
    to("from-the-shell", Reply(text="It streams in.")),
    to("And on", SLOW),
    to("write tests", Reply(text="Delegated and done.")),
]
"""What the model says to: an edit, an approval, a denial, a cancel, a conversation, a stop, a task."""


def need(program: str, package: str) -> None:
    """Skip on a laptop, fail in CI, where an editor is not there."""
    if shutil.which(program) is None:
        missing(f"no {program} (apt-get install {package})")


async def sit(folder: Path, replies: list[Reply], *command: str, timeout: float = 100) -> str:
    """Run an editor over a folder until its program of steps ends; returns what it printed.

    Raises AssertionError, with what it printed, unless it exits with 0.
    """
    async with ReplayServer(Script(replies=replies, together=True)) as model:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "sk-key-of-the-seat",
            "PYGENT_USE_DOCKER": "0",
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**os.environ, **own, "PATH": path, "TERM": "dumb"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), timeout)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = printed.decode(errors="replace")
    assert process.returncode == 0, text
    return text
