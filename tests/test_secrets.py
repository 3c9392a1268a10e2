"""No front end shows, sends or stores a key, whatever it looks like and however a server gives it back."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import python
from tests.lsp.wire import Wire
from tests.story import call

from pygent.replay import ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
SK = "sk-proj-Zx81"
USABLE = {
    "plain": f"{SK}qLmN0pQrStUvWx",
    "with a line end": f"{SK}qLmN0pQrStUvWx\n",
    "with the line end of Windows": f"{SK}qLmN0pQrStUvWx\r\n",
    "with blanks": f" \t{SK}qLmN0pQrStUvWx  ",
    "with blanks that nobody sees": f"\ufeff\u00a0{SK}qLmN0pQrStUvWx\u200b\u2028",
    "with signs": f"{SK}\"'\\/+=&<>%41?#:@",
    "long": SK + "Ab1_-" * 400,
}
BROKEN = {
    "curly quotes": (f"“{SK}qLmN0pQr”", "LEFT DOUBLE QUOTATION MARK"),
    "a no-break space": (f"{SK}\u00a0qLmN0pQrStUv", "NO-BREAK SPACE"),
    "a zero width space": (f"{SK}\u200bqLmN0pQrStUv", "ZERO WIDTH SPACE"),
    "several lines": (f"{SK}qLmN0pQr\n{SK}second-line", "LINE FEED"),
    "a tab": (f"{SK}\tqLmN0pQrStUv", "TAB"),
    "a blank": (f"{SK} qLmN0pQrStUv", "SPACE"),
    "another script": (f"{SK}кириллица", "CYRILLIC SMALL LETTER KA"),
    "an escape": (f"{SK}\x1b[0mqLmN0pQr", "control character (U+001B)"),
    "an emoji": (f"{SK}qLmN0pQr😀", "GRINNING FACE"),
}


def forms(key: str) -> list[str]:
    """How a server, a library or a log writes the key, whole and line by line."""
    found = []
    for part in {key.strip(), *(line.strip() for line in key.splitlines())}:
        found += [
            part,
            json.dumps(part)[1:-1],
            repr(part)[1:-1],
            ascii(part)[1:-1],
            repr(part.encode())[2:-1],
            urllib.parse.quote(part),
            urllib.parse.quote(part, safe=""),
            html.escape(part),
            base64.b64encode(f"Bearer {part}".encode()).decode(),
            json.dumps(json.dumps(part))[3:-3],
        ]
    return [one for one in dict.fromkeys(found) if len(one) >= 8]


def echo(key: str) -> list[Reply]:
    """A model that calls a tool with the key, and a server that refuses with it in what it says."""
    said = {f"{number}": one for number, one in enumerate(forms(key))}
    return [
        call("bash", cmd="echo go"),
        Reply(
            status=500, body=f"<html><title>{html.escape(key)}</title></html>", headers={"retry-after": "0"}
        ),
        Reply(
            status=429, body={"error": {"message": f"slow down, Bearer {key}"}}, headers={"retry-after": "0"}
        ),
        Reply(
            text=f"I heard {' and '.join(forms(key))}.",
            fragment=3,
            tool_calls=call("bash", cmd="ls").tool_calls,
        ),
        Reply(status=401, body={"error": {"message": f"Incorrect: {json.dumps(said)} " * 3}}, times=0),
    ]


def traces(key: str, *places: Path, said: bytes = b"") -> list[str]:
    """Where the key is to be found."""
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    read = {"what was said": said, **{str(path): path.read_bytes() for path in files}}
    # What stands before the key in base64 changes its first characters, what stands after it its last.
    wanted = [one[12:-4] if one.startswith("QmVhcmVyI") else one for one in forms(key)]
    return [f"{name}: {one}" for name, data in read.items() for one in wanted if one.encode() in data]


def given(workspace: Path, origin: str, key: str) -> dict[str, str]:
    """A key in the environment, or in `.env`."""
    if origin == "environment":
        return {"OPENAI_API_KEY": key}
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    (workspace / ".env").write_text(f"# settings\nOPENAI_API_KEY='{escaped}'\n", newline="")
    return {}


async def pygent(workspace: Path, *arguments: str, **env: str) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        python("-m", "pygent.cli", *arguments),
        cwd=workspace,
        env={**os.environ, "PYGENT_USE_DOCKER": "0", **env},
        capture_output=True,
        timeout=120,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("origin", ["environment", ".env"])
@pytest.mark.parametrize("key", USABLE.values(), ids=USABLE.keys())
async def test_a_key_is_sent_as_it_is_meant_and_found_nowhere(
    workspace: Path, home: Path, key: str, origin: str
) -> None:
    env = given(workspace, origin, key)
    async with ReplayServer(Script(replies=echo(key.strip("\ufeff\u00a0\u200b\u2028 \t\r\n")))) as model:
        env["OPENAI_BASE_URL"] = model.base_url
        log = workspace.parent / "session.log"
        flags = ["--cwd", "--json", "--no-confirm-bash", "--trust"]  # a folder's key goes to another address
        code, said = await pygent(workspace, *flags, "run", "go", PYGENT_LOG_FILE=str(log), **env)
        keys = {headers["authorization"] for headers in model.headers}
    assert code == 1, said
    assert keys == {f"Bearer {key.strip()}" if key.isascii() else f"Bearer {USABLE['plain']}"}
    assert "[key]" in said
    assert "Traceback" not in said
    for command in (["doctor"], ["config", "show"], ["sessions", "list"]):
        said += (await pygent(workspace, *command, **env))[1]
    (workspace / ".env").unlink(missing_ok=True)
    assert traces(key, home, workspace.parent, said=said.encode()) == []


@pytest.mark.parametrize("origin", ["environment", ".env"])
@pytest.mark.parametrize(("key", "named"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_key_that_no_header_can_carry_is_refused_by_the_name_of_what_is_wrong(
    workspace: Path, home: Path, key: str, named: str, origin: str
) -> None:
    env = given(workspace, origin, key)
    async with ReplayServer(Script(replies=[Reply(text="Hello.", times=0)])) as model:
        env["OPENAI_BASE_URL"] = model.base_url
        code, said = await pygent(workspace, "--cwd", "run", "go", **env)
        assert code == 4, said
        assert named in said
        assert "OPENAI_API_KEY" in said
        assert origin == "environment" or f"{workspace / '.env'}:2" in said
        said += (await pygent(workspace, "--cwd", "--json", "run", "go", **env))[1]
        said += (await pygent(workspace, "doctor", **env))[1]
        assert model.requests == []
    assert "internal" not in said.lower()
    (workspace / ".env").unlink(missing_ok=True)
    assert traces(key, home, workspace.parent, said=said.encode()) == []


async def chat(workspace: Path, env: dict[str, str]) -> tuple[dict[str, Any], bytes]:
    """A chat over LSP with every trace on: the answer, and all that the server said."""
    process = await asyncio.create_subprocess_exec(
        *python("-m", "pygent.lsp", "--stdio", "--log-level", "debug"),
        cwd=workspace,
        env={**os.environ, "PYGENT_USE_DOCKER": "0", "PYGENT_CONFIRM_BASH": "0", **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    wire = Wire(process)
    await wire.initialize(workspace, events=True, trusted=True)
    wire.tell("$/setTrace", {"value": "verbose"})
    answer = await wire.request("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
    for command in ("pygent.config.show", "pygent.session.list", "pygent.models"):
        await wire.request("workspace/executeCommand", {"command": command, "arguments": [{}]})
    await wire.leave()
    await wire.ended()
    assert process.stderr is not None
    return answer, wire.everything + await process.stderr.read()


@pytest.mark.parametrize("key", USABLE.values(), ids=USABLE.keys())
async def test_nor_does_the_language_server_say_it(workspace: Path, home: Path, key: str) -> None:
    async with ReplayServer(Script(replies=echo(key.strip("\ufeff\u00a0\u200b\u2028 \t\r\n")))) as model:
        env = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": key}
        answer, said = await chat(workspace, env)
    assert answer["result"]["status"] == "failed"
    assert "[key]" in answer["result"]["error"]["message"]
    assert traces(key, home, workspace, said=said) == []


@pytest.mark.parametrize(("key", "named"), BROKEN.values(), ids=BROKEN.keys())
async def test_nor_does_it_take_a_broken_one(workspace: Path, home: Path, key: str, named: str) -> None:
    answer, said = await chat(workspace, {"OPENAI_API_KEY": key})
    error = answer["result"]["error"]
    assert error["code"] == "configInvalid"
    assert named in error["message"]
    assert traces(key, home, workspace, said=said) == []


async def test_the_password_of_a_proxy_is_found_nowhere(workspace: Path, home: Path) -> None:
    password = "pass%2Fword-of-the-proxy"
    env = {"HTTP_PROXY": f"http://me:{password}@127.0.0.1:9", "OPENAI_BASE_URL": "http://models.example/v1"}
    code, said = await pygent(workspace, "--cwd", "run", "go", OPENAI_API_KEY=USABLE["plain"], **env)
    assert code == 1
    assert "127.0.0.1:9" in said
    for written in (password, urllib.parse.unquote(password)):
        assert traces(written, home, workspace, said=said.encode()) == []


CRASH = """
import logging, sys, threading
from pygent.logs import clean_standard_error
from pygent.redaction import process
key = sys.stdin.read()
process.hide(key)
clean_standard_error()
def fail(): raise ValueError(f"bad header {('Bearer ' + key).encode()!r}")
thread = threading.Thread(target=fail); thread.start(); thread.join()
logging.getLogger("some.library").warning("sent %r", key)
fail()
"""


@pytest.mark.parametrize("key", USABLE.values(), ids=USABLE.keys())
def test_a_crash_and_the_lines_of_a_library_show_no_key(key: str) -> None:
    done = subprocess.run(python("-c", CRASH), input=key.encode(), capture_output=True, check=False)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert said.count("Traceback") == 2
    assert said.count("[key]") == 3
    assert traces(key, said=done.stderr) == []
