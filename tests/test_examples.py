"""The examples and the Python API, run as a reader would."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.story import call

from pygent.api import Pygent
from pygent.config import load
from pygent.errors import PygentError
from pygent.events import Envelope, ToolFinished
from pygent.replay import Match, ReplayServer, Reply, Script, ScriptedCall

EXAMPLES = REPOSITORY / "examples"
pytestmark = pytest.mark.e2e


async def test_the_example_delegates_a_testing_task(workspace: Path) -> None:
    (workspace / "test_it.py").write_text("import unittest\n")
    replies = [call("bash", cmd="python3 -m unittest; ls"), Reply(text="Nothing fails.")]
    async with ReplayServer(Script(replies=replies)) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / "config_file_example.py"),
            str(workspace),
            env={**os.environ, "OPENAI_BASE_URL": server.base_url, "PYGENT_USE_DOCKER": "0"},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(program.communicate(), 60)
    assert program.returncode == 0
    assert "Personas: FriendlyBot, tester, developer" in out.decode()
    assert "completed after 2 steps: Nothing fails." in out.decode()
    assert server.requests[0]["messages"][0]["content"].startswith("You are tester, runs tests")
    assert "test_it.py" in server.requests[1]["messages"][-1]["content"]


def test_the_sample_settings_are_in_order(home: Path) -> None:
    config = load(None, environ={}, home=home, config_file=EXAMPLES / "sample_config.toml")
    assert [problem for problem in config.diagnostics if problem.severity != "hint"] == []
    assert config.settings.persona_name == "FriendlyBot"


async def test_the_python_api(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Match(first="apart")
    replies = [
        call("bash", cmd="touch asked"),
        Reply(text="First."),
        Reply(text="Second."),
        Reply(
            match=child, tool_calls=[ScriptedCall(name="write_file", arguments={"path": "x", "content": "x"})]
        ),
        Reply(match=child, text="Apart."),
    ]
    heard: list[Envelope] = []

    def use(base_url: str) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        with Pygent(workspace, use_docker="0", on_event=heard.append, approve=lambda _: True) as agent:
            first = agent.ask("go")
            assert first.reply == "First."
            assert agent.ask("on", session_id=first.session_id).reply == "Second."
            task = agent.delegate("work apart", timeout=30)
            (task,) = agent.wait(task.id)
            assert (task.status, agent.reply(task.id)) == ("completed", "Apart.")
            assert agent.collect(task.id, "x") == ["x"]

    # The task's conversation is known by its first message, so its replies stand first.
    ordered = replies[3:] + replies[:3]
    async with ReplayServer(Script(replies=ordered)) as server:
        await asyncio.to_thread(use, server.base_url)
    assert (workspace / "asked").exists()
    assert any(isinstance(envelope.event, ToolFinished) for envelope in heard)


def test_a_wrong_folder_is_refused() -> None:
    with pytest.raises(PygentError, match="can't be a workspace"):
        Pygent("/")
