"""A connection to one MCP server, a program or an address (modelcontextprotocol.io), with the `mcp` SDK.

A task of its own enters and leaves the SDK's client: a server that dies cancels whoever entered it, which
must never be a turn.  A server that has ended is started again by the next call.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pygent.config.settings import McpServer
from pygent.errors import ToolError
from pygent.redaction import process, stripped
from pygent.sandbox.output import Cleaner
from pygent.visible import visible

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as McpTool

T = TypeVar("T")
START = 30.0
"""Seconds in which a server must have started and told its tools."""
MOST = 128
"""Tools that are taken of one server; the model is told of all of them with each request."""
_INHERITED = ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM")
_COMPILED = "PYTHONPYCACHEPREFIX"
"""Where Python keeps compiled files; beside the sources of a workspace a command could have put them."""


class Connection:
    """The way to one server; `root` is the folder that a program is started in.

    `refuse` says, right before a program is started, why it may not be.  Of the environment a program gets
    what every program needs and the variables that its settings name.
    """

    def __init__(
        self,
        name: str,
        server: McpServer,
        environ: Mapping[str, str],
        root: Path,
        *,
        refuse: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._refuse = refuse
        self.name = name
        self.server = server
        self._environ = environ
        self._root = root
        self._owner: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._leave = asyncio.Event()
        self._starting = asyncio.Lock()
        self._said: _LastWords | None = None

    async def tools(self) -> list[McpTool]:
        """Start the server if it does not run, and give its tools.  Raises ToolError."""
        client = await self._running()
        found: list[McpTool] = []
        cursor: str | None = None
        while len(found) < MOST:
            page = await self._ask(client.list_tools(cursor=cursor))
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:MOST]

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool; who is cancelled cancels the call.  Raises ToolError."""
        client = await self._running()
        return await self._ask(client.call_tool(tool, arguments))

    async def close(self) -> None:
        """End the server."""
        owner, self._owner = self._owner, None
        self._leave.set()
        if owner is not None:
            await asyncio.wait({owner})

    async def _running(self) -> Client:
        async with self._starting:
            if self._client is None:
                await self._start()
            if self._client is None:
                raise ToolError(f"The MCP server {self.name} ended as soon as it had started.")
            return self._client

    async def _start(self) -> None:
        await self.close()
        await asyncio.to_thread(_load)
        self._leave = asyncio.Event()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(ready), name=f"mcp {self.name}")
        try:
            await asyncio.wait({ready, self._owner}, timeout=START, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not ready.done():
                ready.cancel()
                self._owner.cancel()
        if ready.cancelled():
            await asyncio.wait({self._owner})
            raise ToolError(f"The MCP server {self.name} did not start: it said nothing for {START:g} s.")
        if (error := ready.exception()) is not None:
            raise ToolError(f"The MCP server {self.name} did not start: {self._reason(error)}.") from error

    async def _own(self, ready: asyncio.Future[None]) -> None:
        """The life of the server; whatever ends it is heard by those who wait, and goes no further."""
        try:
            async with self._opened() as self._client:
                ready.set_result(None)
                await self._leave.wait()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever ends a server
            if not ready.done():
                ready.set_exception(_first(error))
        finally:
            self._client = None

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Client]:
        import httpx2  # noqa: PLC0415 - heavy
        from mcp import Client, StdioServerParameters  # noqa: PLC0415 - half a second
        from mcp.client.stdio import stdio_client  # noqa: PLC0415
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

        patience = self.server.timeout
        if self.server.command is not None:
            if (reason := self._refuse()) is not None:
                raise ToolError(reason)
            program = StdioServerParameters(
                command=self.server.command, args=list(self.server.args), env=self._given(), cwd=self._root
            )
            with contextlib.closing(_LastWords()) as self._said:
                streams = stdio_client(program, errlog=self._said.file)
                async with Client(streams, read_timeout_seconds=patience) as client:
                    yield client
            return
        # A redirect could carry the token elsewhere.
        time = httpx2.Timeout(patience, connect=START)
        async with httpx2.AsyncClient(headers=self._headers(), timeout=time, follow_redirects=False) as http:
            streams = streamable_http_client(self.server.url or "", http_client=http)
            async with Client(streams, read_timeout_seconds=patience) as client:
                yield client

    def _given(self) -> dict[str, str]:
        names = (*_INHERITED, _COMPILED, *self.server.env)
        return {name: self._environ[name] for name in names if name in self._environ}

    def _headers(self) -> dict[str, str]:
        token = self._environ.get(self.server.token_variable or "")
        return {} if token is None else {"Authorization": f"Bearer {stripped(token)}"}

    async def _ask(self, asked: Coroutine[Any, Any, T]) -> T:
        """The answer to a request, as long as the server lives.  Raises ToolError."""
        work, owner = asyncio.ensure_future(asked), self._owner
        try:
            await asyncio.wait({work, *([owner] if owner else [])}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() or work.cancelled():
                raise ToolError(f"The MCP server {self.name} ended during the call.")
            return work.result()
        except ToolError:
            raise
        except Exception as error:
            if _lost(error):
                self._leave.set()  # the next call starts it again
                self._client = None
            raise ToolError(f"The MCP server {self.name} failed: {self._reason(error)}.") from error
        finally:
            work.cancel()
            await asyncio.wait({work})

    def _reason(self, error: BaseException) -> str:
        """Why, in a line: the error, and the last that the program wrote to its standard error."""
        words = visible(process.whole(" ".join(str(error).split())), keep="").rstrip(".")[:300]
        words = words or type(error).__name__
        last = self._said.line if self._said is not None else ""
        return f"{words} ({last})" if last else words


class _LastWords:
    """The last that a program wrote to its standard error, which nobody else reads."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.file = os.fdopen(write, "w")
        self._text = b""
        asyncio.get_running_loop().add_reader(self._read, self._take)

    @property
    def line(self) -> str:
        """The last line that is not empty, made fit for a person."""
        text = Cleaner().feed(self._text, final=True)
        lines = process.whole(text).splitlines()
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Read what is left, and listen no longer."""
        self._take()
        asyncio.get_running_loop().remove_reader(self._read)
        os.close(self._read)
        self.file.close()

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._read, 1 << 16)
            self._text = (self._text + data)[-4096:]
            if not data:
                asyncio.get_running_loop().remove_reader(self._read)


def _first(error: BaseException) -> BaseException:
    """The error within groups of errors, as task groups raise them."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return error


def _lost(error: Exception) -> bool:
    """Whether an error means that the server is gone, and not that it refused or took too long."""
    from mcp import MCPError  # noqa: PLC0415
    from mcp.types import CONNECTION_CLOSED  # noqa: PLC0415

    return not isinstance(error, MCPError) or error.code == CONNECTION_CLOSED


def _load() -> None:
    """Import the SDK, which takes half a second; to be called in a thread.  Raises ToolError."""
    try:
        importlib.import_module("mcp")
    except ImportError as error:
        raise ToolError("MCP servers need the package mcp: pip install 'pygent-server[mcp]'.") from error
    # It logs a traceback for each line that is no message.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
