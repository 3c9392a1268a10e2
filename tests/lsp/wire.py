"""A language client that speaks bytes: what it sends is exactly what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import installed, python

from pygent.lsp.transport import FrameReader, frame
from pygent.replay import ReplayServer, Reply, Script

KEY = "sk-key-of-the-wire"
Answer = Callable[[dict[str, Any]], Any]
REFUSE = object()
IGNORE = object()


class Wire:
    """A connection to a server process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.notifications: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.everything = b""
        self._waiting: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    # -- sending ---------------------------------------------------------------------------------

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def post(self, message: Any) -> None:
        self.raw(frame(json.dumps(message).encode()))

    def tell(self, method: str, params: Any = None) -> None:
        self.post({"jsonrpc": "2.0", "method": method, "params": params if params is not None else {}})

    def begin(self, method: str, params: Any = None) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        self._last += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = answer
        message = {"jsonrpc": "2.0", "id": self._last, "method": method}
        self.post(message if params is None else {**message, "params": params})
        return self._last, answer

    async def request(self, method: str, params: Any = None) -> dict[str, Any]:
        """The whole answer to a request, with its `result` or `error`."""
        return await asyncio.wait_for(self.begin(method, params)[1], 60)

    async def command(self, name: str, /, *arguments: Any, **fields: Any) -> Any:
        """The result of a command.  Raises AssertionError with the error."""
        params = {"command": name, "arguments": list(arguments) or [fields]}
        answer = await self.request("workspace/executeCommand", params)
        assert "error" not in answer, answer
        return answer["result"]

    async def refusal(self, name: str, /, *arguments: Any, **fields: Any) -> dict[str, Any]:
        """The error of a command."""
        params = {"command": name, "arguments": list(arguments) or [fields]}
        return (await self.request("workspace/executeCommand", params))["error"]  # type: ignore[no-any-return]

    async def initialize(
        self, folder: Path | None, capabilities: Any = None, **pygent: Any
    ) -> dict[str, Any]:
        """The handshake; returns the result of `initialize`."""
        params: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": capabilities or {}}
        if folder is not None:
            params["workspaceFolders"] = [{"uri": folder.as_uri(), "name": "w"}]
        if pygent:
            params["initializationOptions"] = {"pygent": pygent}
        answer = await self.request("initialize", params)
        self.tell("initialized")
        return answer["result"]  # type: ignore[no-any-return]

    async def leave(self) -> int:
        """Shut down and exit; returns the exit code."""
        await self.request("shutdown")
        self.tell("exit")
        return await asyncio.wait_for(self.process.wait(), 20)

    # -- hearing ---------------------------------------------------------------------------------

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Envelopes of `pygent/event`, of one type or all."""
        found = [one["params"] for one in self.notifications if one["method"] == "pygent/event"]
        return [one for one in found if kind in (None, one["event"]["type"])]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is true of what was heard, and return it."""
        while not (found := condition()):
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 60)
        return found

    async def event(self, kind: str) -> dict[str, Any]:
        """The first event of a type, once it is there."""
        return (await self.until(lambda: self.events(kind)))[0]  # type: ignore[no-any-return]

    async def ended(self) -> None:
        """Wait until everything that a process said before its end is heard."""
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        frames = FrameReader()
        while data := await self.process.stdout.read(1 << 16):
            self.everything += data
            for body in frames.feed(data):
                self._hear(json.loads(body))
            self._news.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result({"error": {"code": None, "message": "the server ended"}})

    def _hear(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            waiting = self._waiting.pop(message.get("id"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            else:
                self.notifications.append({"method": "?", "params": message})
        elif "id" in message:
            self.asked.append(message)
            answer = self.answers.get(message["method"], lambda _: None)(message["params"])
            if answer is REFUSE:
                error = {"code": -32601, "message": "no"}
                self.post({"jsonrpc": "2.0", "id": message["id"], "error": error})
            elif answer is not IGNORE:
                self.post({"jsonrpc": "2.0", "id": message["id"], "result": answer})
        else:
            self.notifications.append(message)


@contextlib.asynccontextmanager
async def server(
    folder: Path,
    *arguments: str,
    base_url: str = "http://127.0.0.1:9/v1",
    under: Sequence[str] = (),
    **env: str,
) -> AsyncIterator[Wire]:
    """A server process and its connection; `under` is a program that starts it."""
    own = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": base_url, "PYGENT_USE_DOCKER": "0"}
    process = await asyncio.create_subprocess_exec(
        *under,
        *([installed("pygent-server")] if under else python("-m", "pygent.lsp")),
        *(arguments or ("--stdio",)),
        cwd=folder,
        env={**os.environ, **own, **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 26,
        start_new_session=bool(under),
    )
    wire = Wire(process)
    try:
        yield wire
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL) if under else process.kill()
        await process.wait()
        await wire._reading
        assert process.stderr is not None
        errors = await process.stderr.read()
        assert KEY.encode() not in wire.everything + errors
        assert b"Traceback" not in errors, errors.decode()


@contextlib.asynccontextmanager
async def editor(
    folder: Path, *replies: Reply, capabilities: Any = None, env: dict[str, str] | None = None, **pygent: Any
) -> AsyncIterator[Wire]:
    """An initialized connection whose model gives these replies."""
    async with (
        ReplayServer(Script(replies=list(replies))) as model,
        server(folder, base_url=model.base_url, **(env or {})) as wire,
    ):
        wire.model = model  # type: ignore[attr-defined]
        await wire.initialize(folder, capabilities, **pygent)
        yield wire
