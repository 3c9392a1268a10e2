"""Pygent against `transformers serve` with a tiny model made on the spot; run by `scripts/real-servers`.

Not collected with the other tests: it needs two gigabytes of packages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from tests.model.asking import TOOLS, Heard, client

from pygent.errors import ModelError
from pygent.model import Prompt

PYTHON = os.environ["PYGENT_TRANSFORMERS"]
"""The interpreter of an environment with transformers and torch."""
MODEL = os.environ["PYGENT_TINY_MODEL"]
"""The folder that make_model.py has filled."""


@contextlib.asynccontextmanager
async def serving(home: Path) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (home / "hub").mkdir()
    program = str(Path(PYTHON).with_name("transformers"))
    command = [program, "serve", MODEL, "--port", str(port), "--device", "cpu"]
    environ = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with (home / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
        try:
            async with httpx2.AsyncClient(trust_env=False) as http:
                while not await _answers(http, f"http://127.0.0.1:{port}/health"):
                    assert process.returncode is None, (home / "log").read_text()
                    await asyncio.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _answers(http: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx2.HTTPError:
        return False


def asking(*messages: dict[str, object]) -> Prompt:
    return Prompt([msgspec.json.encode(message) for message in messages], TOOLS, MODEL)


SYSTEM, QUESTION = {"role": "system", "content": "s"}, {"role": "user", "content": "What does it say?"}


@pytest.mark.timeout(600)
async def test_a_call_and_its_result(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url, client(base_url, key=None, state=tmp_path) as model:
        heard = Heard()
        answer = await model.answer(asking(SYSTEM, QUESTION), heard.listener)
        (call,) = answer.calls
        assert (call.name, json.loads(call.arguments)) == ("bash", {"cmd": "echo tiny"})
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        function = {"name": call.name, "arguments": call.arguments}
        calls = [{"id": call.call_id, "type": "function", "function": function}]
        asked = {"role": "assistant", "content": answer.text, "tool_calls": calls}
        result = {"role": "tool", "tool_call_id": call.call_id, "content": "tiny"}
        last = await model.answer(asking(SYSTEM, QUESTION, asked, result), heard.listener)
        assert last.text.endswith("The command said tiny.")
        assert last.calls == []
        assert heard.notices == []
        assert await model.window(MODEL) is None, "it does not tell"


@pytest.mark.timeout(600)
async def test_its_errors_in_a_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url, client(base_url, key=None) as model:
        with pytest.raises(ModelError) as error:
            await model.answer(asking(), Heard().listener)
        assert "answered 500: Internal Server Error." in error.value.message


@pytest.mark.timeout(600)
async def test_the_whole_product(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    async with serving(tmp_path) as base_url:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "OPENAI_BASE_URL": base_url,
            "PYGENT_MODEL": MODEL,
            "PYGENT_USE_DOCKER": "0",
        }
        command = [
            sys.executable,
            "-m",
            "pygent.cli",
            "run",
            "--json",
            "--no-confirm-bash",
            "What does it say?",
        ]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=project, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    lines = [json.loads(line) for line in out.splitlines()]
    finished = [line["event"] for line in lines if line.get("event", {}).get("type") == "toolFinished"]
    assert [event["output"].strip() for event in finished] == ["tiny"]
    assert lines[-1]["reply"].endswith("The command said tiny.")
