"""Kate with the configuration of its page: it starts the server, opens a conversation, and gets its outline.

Kate is run without a screen, so no button is pressed in it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.editors.page import block
from tests.editors.seat import need

SERVER = """#!/bin/sh
tee {log}/asked | {python} -m pygent.lsp "$@" | tee {log}/answered
"""


@pytest.mark.e2e
async def test_a_conversation_is_opened_and_outlined(workspace: Path, home: Path, tmp_path: Path) -> None:
    need("kate", "kate")
    server = tmp_path / "bin" / "pygent-server"
    server.parent.mkdir()
    server.write_text(SERVER.format(log=tmp_path, python=sys.executable))
    server.chmod(0o755)
    settings = home / ".config/kate/lspclient/settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(block("kate", "json"))
    (home / ".config/katerc").write_text(
        "[Kate Plugins]\nlspclientplugin=true\n\n"
        f"[lspclient]\nAllowedServerCommandLines={server} --stdio\n"  # as if Kate had asked
    )
    (workspace / "chat.pygent.md").write_text("# Pygent\n\n## You\n\nWhat is here?\n")
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "QT_QPA_PLATFORM": "offscreen"}
    process = await asyncio.create_subprocess_exec(
        *("kate", "-n", "chat.pygent.md"),
        cwd=workspace,
        env={**os.environ, **own, "PATH": f"{server.parent}:{os.environ['PATH']}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(read(tmp_path / "asked", '"textDocument/didOpen"'), 60)
        await asyncio.wait_for(read(tmp_path / "answered", '"name":"You: What is here?"'), 60)
    finally:
        process.terminate()
        await process.wait()
    assert '"error"' not in (tmp_path / "answered").read_text()


async def read(path: Path, words: str) -> None:
    """Wait until a file has these words in it, without regard to white space around them."""
    while not path.exists() or words not in path.read_text().replace('": "', '":"'):
        await asyncio.sleep(0.05)
