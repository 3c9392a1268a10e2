"""VS Code's own implementation of the protocol as the client: it checks what we send by rules of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY, missing, python
from tests.story import call

from pygent.replay import ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
MODULES = REPOSITORY / "editor-client/node_modules"


async def test_a_client_of_another_make(workspace: Path) -> None:
    if shutil.which("node") is None or not (MODULES / "vscode-languageserver-protocol").is_dir():
        missing("no node, or no modules of the editor client (npm ci in editor-client)")
    (workspace / "a.txt").write_text("on disk\n")
    replies = [
        call("bash", cmd="touch allowed"),
        call("edit_file", path="a.txt", old="one", new="two"),
        Reply(text="Done."),
    ]
    async with ReplayServer(Script(replies=replies)) as model:
        process = await asyncio.create_subprocess_exec(
            *("node", str(Path(__file__).with_name("other_client.cjs")), str(MODULES), str(workspace)),
            *python("-m", "pygent.lsp", "--stdio"),
            env={
                **os.environ,
                "OPENAI_API_KEY": "sk-of-node",
                "OPENAI_BASE_URL": model.base_url,
                "PYGENT_USE_DOCKER": "0",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, errors.decode()
    got = json.loads(out)
    assert got["chat"]["status"] == "completed"
    assert (workspace / "allowed").exists()
    assert got["text"] == "😀 two\n"
    assert (workspace / "a.txt").read_text() == "on disk\n"
    assert got["asked"] == ["message"]
    assert (got["progress"][0], got["progress"][-1]) == ("begin", "end")
    assert (got["refusal"]["code"], got["refusal"]["data"]["field"]) == (-32602, "sessionId")
    assert (got["cancelled"], got["code"]) == (-32800, 0)
    assert got["errors"] == got["unhandled"] == []
    assert any("bubblewrap" in line for line in got["logged"])
