"""Every example, run as its reader would."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
import yaml
from tests.conftest import REPOSITORY, missing
from tests.story import call, story

from pygent.api import Pygent
from pygent.cli.parser import parse
from pygent.commands import COMMANDS
from pygent.config import VARIABLES, load
from pygent.errors import PygentError
from pygent.replay import Match, ReplayServer, Reply, Script

EXAMPLES = REPOSITORY / "examples"
pytestmark = pytest.mark.e2e


async def run(
    example: str, folder: Path, *replies: Reply, program: str = sys.executable, given: str = ""
) -> tuple[str, ReplayServer]:
    """The output of an example that worked, and the model server that it talked to."""
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PYGENT_USE_DOCKER": "0", "PATH": scripts, "PYTHONUNBUFFERED": "1"}
    async with ReplayServer(Script(replies=list(replies))) as server:
        process = await asyncio.create_subprocess_exec(
            program,
            str(EXAMPLES / example),
            str(folder),
            cwd=folder,
            env={**os.environ, **own, "OPENAI_BASE_URL": server.base_url},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(given.encode()), 90)
    assert process.returncode == 0, error.decode()
    return out.decode(), server


async def test_the_example_delegates_a_testing_task(workspace: Path) -> None:
    (workspace / "test_it.py").write_text("import unittest\n")
    replies = [call("bash", cmd="python3 -m unittest; ls"), Reply(text="Nothing fails.")]
    out, server = await run("config_file_example.py", workspace, *replies)
    assert "Personas: FriendlyBot, tester, developer" in out
    assert "completed after 2 steps: Nothing fails." in out
    assert server.requests[0]["messages"][0]["content"].startswith("You are tester, runs tests")
    assert "test_it.py" in server.requests[1]["messages"][-1]["content"]


def test_the_sample_settings_are_in_order(home: Path) -> None:
    config = load(None, environ={}, home=home, config_file=EXAMPLES / "sample_config.toml")
    assert [problem for problem in config.diagnostics if problem.severity != "hint"] == []
    assert config.settings.persona_name == "FriendlyBot"


@pytest.mark.parametrize(
    ("example", "program"), [("chat_over_lsp.py", sys.executable), ("chat_over_lsp.mjs", "node")]
)
async def test_a_client_of_the_language_server(example: str, program: str, workspace: Path) -> None:
    if shutil.which(program) is None:
        missing(f"no {program}")
    out, server = await run(example, workspace, Reply(text="It does what it should."), program=program)
    assert "It does what it should.\n[completed]" in out
    assert server.requests[0]["messages"][-1]["content"] == "What does this project do?"


async def test_tools_of_ones_own(workspace: Path) -> None:
    (workspace / "a.py").write_text("one\ntwo\n")
    replies = [call("count_lines"), call("release_date", version="1.0"), Reply(text="Two, in 2025.")]
    out, server = await run("custom_tool.py", workspace, *replies)
    assert out == "Two, in 2025.\n"
    told = [message["content"] for message in server.requests[2]["messages"] if message["role"] == "tool"]
    assert told == ["2", "2025-06-01"]


async def test_a_model_of_ones_own(workspace: Path) -> None:
    out, server = await run("custom_model.py", workspace)
    assert "Last message: It says: hello from here" in out
    assert server.requests == []


async def test_several_personas(workspace: Path) -> None:
    who = [Match(first="Tester"), Match(first="Reviewer")]
    out, server = await run("personas.py", workspace, *(Reply(match=one, text="Done.") for one in who))
    assert "Tester: completed after 1 steps" in out and "Reviewer: completed after 1 steps" in out
    systems = {request["messages"][0]["content"].split(",")[0] for request in server.requests}
    assert systems == {"You are Tester", "You are Reviewer"}


async def test_work_given_away_and_taken_over(workspace: Path) -> None:
    replies = [call("write_file", path="README.md", content="# It\n"), Reply(text="Written.")]
    out, _ = await run("delegate_and_apply.py", workspace, *replies, given="y\n")
    assert "+# It" in out and "Taken over: README.md" in out
    assert (workspace / "README.md").read_text() == "# It\n"


async def test_embedding(workspace: Path) -> None:
    replies = [
        call("bash", cmd="ls"),
        call("bash", cmd="rm -rf x"),
        call("write_file", path="new.txt", content="new\n"),
        Reply(text="That is all."),
    ]
    out, server = await run("embedding.py", workspace, *replies)
    assert "· $ ls" in out and "+new" in out and "That is all." in out and "[completed" in out
    assert "Only ls, cat" in str(server.requests[2]["messages"][-1]["content"])


async def test_tools_by_settings(workspace: Path) -> None:
    shutil.copytree(EXAMPLES / "own_tools", workspace, dirs_exist_ok=True)
    async with story(workspace, call("ticket", number=7), Reply(text="Open.")) as one:
        one.folder.set_trust(True)
        assert (await one.app.sessions.new(one.folder).chat("go")).reply == "Open."
        assert one.last_result() == '{"title":"Ticket 7","state":"open"}'
    assert COMMANDS.pop("/ticket").usage == "/ticket NUMBER"


async def test_a_review_before_a_commit(workspace: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    out, server = await run("review.sh", workspace, Reply(text="FINE\nNothing to say."), program="sh")
    assert out == "FINE\nNothing to say.\n"
    assert "Answer with GRAVE" in server.requests[0]["messages"][-1]["content"]
    offered = {tool["function"]["name"] for tool in server.requests[0]["tools"]}
    assert "bash" in offered and "write_file" not in offered


def test_the_job_for_ci_says_what_the_command_line_takes() -> None:
    job = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    steps = job["jobs"]["fix"]["steps"]
    (line,) = [
        line for step in steps for line in step.get("run", "").splitlines() if line.startswith("pygent ")
    ]
    words = shlex.split(line.split(">")[0])
    given = parse(words[1:])
    assert (given.command, given.json, given.cwd, given.confirm_bash) == ("run", True, True, False)
    (asked,) = [step for step in steps if "env" in step]
    assert asked["env"].keys() - {"OPENAI_API_KEY"} <= VARIABLES.keys()


def test_the_settings_of_helix() -> None:
    settings = tomli.loads((EXAMPLES / "helix-languages.toml").read_text())
    assert settings["language-server"]["pygent"] == {"command": "pygent-server", "args": ["--stdio"]}


@pytest.mark.docker
async def test_an_image_of_ones_own(docker_image: str, workspace: Path) -> None:
    tag = f"pygent-test/own:{os.getpid()}"
    build = [
        "docker",
        "build",
        "-q",
        "--build-arg",
        f"BASE={docker_image}",
        "--build-arg",
        "PACKAGES=",
        "-t",
        tag,
    ]
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        [*build, "-f", str(EXAMPLES / "sandbox.Dockerfile"), str(workspace)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    try:
        replies = [call("bash", cmd="echo $PYTHONDONTWRITEBYTECODE"), Reply(text="Done.")]
        async with story(workspace, *replies, use_docker="1", image=tag) as one:
            await one.app.sessions.new(one.folder).chat("go")
            assert one.last_result() == "1"
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], capture_output=True, check=False)


def test_the_index_names_every_example() -> None:
    index = (EXAMPLES / "README.md").read_text()
    assert [
        path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and path.name not in index
    ] == []


def test_a_wrong_folder_is_refused() -> None:
    with pytest.raises(PygentError, match="can't be a workspace"):
        Pygent("/")
