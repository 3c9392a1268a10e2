"""Several clients at once over TCP and WebSocket, none of them a web page."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from tests.conftest import python
from tests.lsp.wire import IGNORE, Wire
from tests.story import call
from websockets.asyncio.client import connect

from pygent.lsp.transport import FrameReader, frame
from pygent.replay import ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)


@dataclasses.dataclass
class Listening:
    """A server process on a socket: its port, and the file of its token."""

    port: int
    token_file: Path

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()


@contextlib.asynccontextmanager
async def listening(
    workspace: Path, *arguments: str, base_url: str = "http://127.0.0.1:9/v1"
) -> AsyncIterator[Listening]:
    """A server process on a socket."""
    process = await asyncio.create_subprocess_exec(
        *python("-m", "pygent.lsp", *arguments),
        cwd=workspace,
        env={
            **os.environ,
            "PYGENT_USE_DOCKER": "0",
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": "sk-socket",
        },
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        port = int((await process.stderr.readline()).decode().rsplit(":", 1)[1])
        place = Path((await process.stderr.readline()).decode().strip().rpartition(" in ")[2])
        token = place.read_text().strip()
        yield Listening(port, place)
        process.terminate()
        out, errors = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 143
        assert out == b""
        assert b"Traceback" not in errors, errors.decode()
        assert b" ERROR " not in errors, errors.decode()
        assert not place.exists()
        for path in (place.parent, workspace):
            for file in filter(Path.is_file, path.rglob("*")):
                assert token.encode() not in file.read_bytes() + errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Socket:
    """What a `Wire` needs of a process, over a socket."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.stdout, self.stdin = reader, writer


class Frames:
    """The same over a WebSocket, which has no headers: they are put on and taken off here."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.stdout = self.stdin = self
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._sender = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        while True:
            await self._connection.send((await self._out.get()).decode(), text=True)

    async def read(self, _: int) -> bytes:
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            return frame(await self._connection.recv(decode=False))
        return b""

    def write(self, data: bytes) -> None:
        self._out.put_nowait(data.split(b"\r\n\r\n", 1)[1])

    def close(self) -> None:
        self._sender.cancel()
        self._sender = asyncio.ensure_future(self._connection.close())


async def attach(transport: str, server: Listening) -> Wire:
    """A client that has shown the token."""
    bearer = f"Bearer {server.token}"
    if transport == "--tcp":
        wire = Wire(Socket(*await asyncio.open_connection("127.0.0.1", server.port)))  # type: ignore[arg-type]
        post = wire.post

        def first(message: Any) -> None:
            wire.post = post  # type: ignore[method-assign]
            body = json.dumps(message).encode()
            wire.raw(f"Authorization: {bearer}\r\n".encode() + frame(body))

        wire.post = first  # type: ignore[method-assign]
        return wire
    headers = {"Authorization": bearer}
    connection = await connect(f"ws://127.0.0.1:{server.port}", max_size=None, additional_headers=headers)
    return Wire(Frames(connection))  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", ["--tcp", "--ws"])
async def test_clients_share_sessions_and_nothing_else(
    workspace: Path, tmp_path: Path, transport: str
) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    replies = [call("bash", cmd="touch allowed"), DONE]
    async with (
        ReplayServer(Script(replies=replies)) as model,
        listening(workspace, transport, "127.0.0.1:0", base_url=model.base_url) as server,
    ):
        first, second = await attach(transport, server), await attach(transport, server)
        await first.initialize(workspace, events=True, approvals=True)
        await second.initialize(
            other_folder, {"general": {"positionEncodings": ["utf-8"]}}, events=True, approvals=True
        )
        first.answers["pygent/approve"] = lambda params: IGNORE
        second.answers["pygent/approve"] = lambda params: {"decision": "accept"}
        result = await first.command("pygent.chat", "go")
        assert result["status"] == "completed"
        assert (workspace / "allowed").exists()
        for wire in (first, second):
            resolved = await wire.event("approvalResolved")
            assert resolved["event"]["decision"] == "accept"
        await first.until(lambda: [one for one in first.notifications if one["method"] == "$/cancelRequest"])
        (listed,) = (await second.command("pygent.session.list"))["sessions"]
        assert listed["id"] == result["sessionId"]
        folders = [
            (await wire.command("pygent.session.new"))["session"]["workspace"] for wire in (first, second)
        ]
        assert folders == [str(workspace), str(other_folder)]
        first.tell("exit")
        await asyncio.wait_for(first._reading, 20)
        assert await second.command("pygent.approvals") == {"approvals": []}
        second.process.stdin.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("transport", ["--tcp", "--ws"])
async def test_a_client_that_vanishes_in_mid_turn_ends_it_and_one_that_stays_ends_with_the_server(
    workspace: Path, transport: str
) -> None:
    slow = Reply(text="word " * 200, fragment=4, delay=0.02, times=0)
    async with (
        ReplayServer(Script(replies=[slow])) as model,
        listening(workspace, transport, "127.0.0.1:0", base_url=model.base_url) as server,
    ):
        first, second = await attach(transport, server), await attach(transport, server)
        for wire in (first, second):
            await wire.initialize(workspace, events=True)
        first.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        await second.event("textDelta")
        first.process.stdin.close()  # type: ignore[union-attr]
        assert (await second.event("turnFinished"))["event"]["status"] == "cancelled"
        second.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        await second.until(lambda: len(second.events("turnStarted")) == 2)


async def test_what_a_web_page_can_send_to_a_plain_socket_runs_nothing(workspace: Path) -> None:
    """A page may post any body to any address; the request's own headers come before it."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
    run = {"command": "pygent.sandbox.run", "arguments": ["touch owned"]}
    ask = {"jsonrpc": "2.0", "id": 2, "method": "workspace/executeCommand", "params": run}
    body = b"".join(frame(json.dumps(one).encode()) for one in (hello, ask))
    request = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    async with listening(workspace, "--tcp", "127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request + body)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        assert not (workspace / "owned").exists()


ORIGINS = {
    "a page": ("http://evil.example", False),
    "a page on this machine": ("http://localhost:8000", False),
    "a sandboxed page": ("null", False),
    "one that is let in": ("https://ide.example", True),
    "no page": (None, True),
}


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS.values(), ids=ORIGINS.keys())
async def test_only_named_origins_may_open_a_websocket(workspace: Path, origin: Any, allowed: bool) -> None:
    arguments = "--ws", "127.0.0.1:0", "--ws-origin", "https://ide.example"
    async with listening(workspace, *arguments) as server:
        if allowed:
            async with connect(
                f"ws://127.0.0.1:{server.port}/?token={server.token}", origin=origin
            ) as connection:
                await connection.send(
                    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'
                )
                assert json.loads(await connection.recv())["result"]["serverInfo"]["name"] == "pygent-server"
        else:
            with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{server.port}/?token={server.token}", origin=origin)
            assert refused.value.response.status_code == 403


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
RUN = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "workspace/executeCommand",
    "params": {"command": "pygent.sandbox.run", "arguments": ["touch owned"]},
}


def greeting(token: Any, **more: Any) -> dict[str, Any]:
    options = {"initializationOptions": {"pygent": {"token": token}}}
    return {**HELLO, "params": {"capabilities": {}, **options}, **more}


@pytest.mark.parametrize("transport", ["--tcp", "--ws"])
async def test_the_token_is_for_its_owner_only_and_new_each_time(workspace: Path, transport: str) -> None:
    tokens = set()
    for _ in range(2):
        async with listening(workspace, transport, "127.0.0.1:0") as server:
            tokens.add(server.token)
            assert stat.S_IMODE(server.token_file.stat().st_mode) == 0o600
            assert len(server.token) >= 43  # 256 bits in base64
    assert len(tokens) == 2


async def test_the_token_can_be_written_where_one_wants_it(workspace: Path, tmp_path: Path) -> None:
    place = tmp_path / "my-client"
    async with listening(workspace, "--tcp", "127.0.0.1:0", "--token-file", str(place)) as server:
        assert server.token_file == place
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        wire = await attach("--tcp", server)
        await wire.initialize(workspace)
        wire.process.stdin.close()  # type: ignore[union-attr]


WRONG: dict[str, Any] = {
    "none": lambda token: b"",
    "another": lambda token: b"Authorization: Bearer " + b"x" * len(token) + b"\r\n",
    "its beginning": lambda token: f"Authorization: Bearer {token[:-1]}\r\n".encode(),
    "more": lambda token: f"Authorization: Bearer {token}x\r\n".encode(),
    "another scheme": lambda token: f"Authorization: Basic {token}\r\n".encode(),
    "not in ASCII": lambda token: "Authorization: Bearer “é”\r\n".encode(),
}
BODIES: dict[str, Any] = {
    "no options": lambda token: HELLO,
    "a wrong token": lambda token: greeting(token[::-1]),
    "half a character": lambda token: greeting("\ud800"),
    "no text": lambda token: greeting([token]),
    "not initialize": lambda token: greeting(token, method="workspace/executeCommand"),
    "a list": lambda token: [greeting(token)],
    "a command": lambda token: RUN,
}


async def refused(server: Listening, header: bytes, body: Any) -> dict[str, Any]:
    """The error that a first message gets, and then the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(header + frame(json.dumps(body).encode()) + frame(json.dumps(RUN).encode()))
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    (told,) = FrameReader().feed(answer)
    assert isinstance(told, bytes)
    assert server.token not in answer.decode()
    return json.loads(told)["error"]  # type: ignore[no-any-return]


async def test_without_the_token_nothing_is_heard_on_a_plain_socket(
    workspace: Path, one_server: Listening
) -> None:
    token = one_server.token
    for header, body in itertools.product(WRONG.values(), BODIES.values()):
        error = await refused(one_server, header(token), body(token))
        assert (error["code"], error["data"]["code"]) == (-32803, "denied"), (header, body)
        assert str(one_server.token_file) in error["data"]["fix"]
    assert not (workspace / "owned").exists()


@pytest.fixture
async def one_server(workspace: Path) -> AsyncIterator[Listening]:
    async with listening(workspace, "--tcp", "127.0.0.1:0") as server:
        yield server


async def test_the_token_may_stand_in_the_options(workspace: Path, one_server: Listening) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", one_server.port)
    writer.write(frame(json.dumps(greeting(one_server.token)).encode()))
    wire = Wire(Socket(reader, writer))  # type: ignore[arg-type]
    await wire.until(lambda: [one for one in wire.notifications if one["params"].get("id") == 1])
    assert wire.notifications[0]["params"]["result"]["serverInfo"]["name"] == "pygent-server"
    writer.close()


async def test_a_first_message_without_limit_is_not_waited_for(
    workspace: Path, one_server: Listening
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", one_server.port)
    writer.write(b"Content-Length: 9000000\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 8) == b""
    writer.close()


async def test_a_client_that_shows_no_token_is_left_after_a_while(one_server: Listening) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", one_server.port)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


HANDSHAKES: dict[str, Any] = {
    "none": lambda token: ("", {}),
    "a wrong header": lambda token: ("", {"Authorization": "Bearer nonsense"}),
    "a wrong query": lambda token: ("?token=nonsense", {}),
    "another field": lambda token: (f"?key={token}", {}),
}


@pytest.mark.parametrize("shown", HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_without_the_token_no_websocket_is_opened(workspace: Path, shown: Any) -> None:
    async with listening(workspace, "--ws", "127.0.0.1:0") as server:
        query, headers = shown(server.token)
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{server.port}/{query}", additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert str(server.token_file) in (refused.value.response.body or b"").decode()


async def test_a_client_that_does_not_read_leaves_the_others_alone(workspace: Path) -> None:
    async with listening(workspace, "--tcp", "127.0.0.1:0") as server:
        deaf, wire = await asyncio.open_connection("127.0.0.1", server.port), await attach("--tcp", server)
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
        deaf[1].write(f"Authorization: Bearer {server.token}\r\n".encode())
        deaf[1].write(frame(json.dumps(hello).encode()))
        for number in range(10, 2000):
            ask = {"jsonrpc": "2.0", "id": number, "method": "workspace/executeCommand"}
            deaf[1].write(frame(json.dumps({**ask, "params": {"command": "pygent.tools"}}).encode()))
        await wire.initialize(workspace)
        assert await wire.command("pygent.approvals") == {"approvals": []}
        deaf[1].close()
        wire.process.stdin.close()  # type: ignore[union-attr]


async def test_an_address_that_is_taken_is_said(workspace: Path) -> None:
    async with listening(workspace, "--tcp", "127.0.0.1:0") as server:
        process = await asyncio.create_subprocess_exec(
            *python("-m", "pygent.lsp", "--tcp", f"127.0.0.1:{server.port}"), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert b"can't listen" in errors
        assert b"Traceback" not in errors
