"""Tools of MCP servers (modelcontextprotocol.io), which the person's settings name.

A server runs outside the sandbox, as tools of the person's own do, so it is started only where somebody
trusted: from the settings of a trusted folder or of the person.  What it answers is as hostile as any output.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.config.settings import McpServer
from pygent.errors import ToolError
from pygent.tools import Result, Tool, ToolContext
from pygent.tools import mcp_words as words
from pygent.tools.images import image_type
from pygent.tools.mcp_connection import Connection
from pygent.tools.user import call_text, result, title_of
from pygent.visible import visible

if TYPE_CHECKING:
    from mcp.types import CallToolResult
    from mcp.types import Tool as McpTool

PATIENCE = 60.0
"""Seconds until a server that did not start is tried again."""
LONGEST = 64
"""Characters that a tool's name may have (OpenAI's API refuses longer ones)."""


class McpServers:
    """The servers of one folder, and the tools that they offer.

    `root` is where their programs start; `refuse` says, before each start, why none may be started.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        root: Path,
        *,
        refuse: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._environ = environ
        self.root = root
        self._refuse = refuse
        self._connections: dict[str, Connection] = {}
        self._tools: dict[str, dict[str, Tool]] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools of the servers that have started, by their names for the model."""
        return {name: tool for tools in self._tools.values() for name, tool in tools.items()}

    @property
    def down(self) -> list[str]:
        """Why those that have not started have not, in sentences."""
        return [why for _, why in self._failed.values()]

    async def load(self, servers: Mapping[str, McpServer]) -> list[str]:
        """Run these servers and no others; what could not be started, in sentences.

        One that did not start is tried again after a minute, or when its settings change.
        """
        late = {name for name, (at, _) in self._failed.items() if time.monotonic() - at > PATIENCE}
        gone = [
            name for name, one in self._connections.items() if name in late or servers.get(name) != one.server
        ]
        await asyncio.gather(*(self._end(name) for name in gone))
        new = [name for name in servers if name not in self._connections]
        for name in new:
            self._connections[name] = Connection(
                name, servers[name], self._environ, self.root, refuse=self._refuse
            )
        problems = await asyncio.gather(*(self._begin(name) for name in new))
        return [problem for some in problems for problem in some]

    async def close(self) -> None:
        """End all servers."""
        await asyncio.gather(*(self._end(name) for name in list(self._connections)))

    async def _begin(self, name: str) -> list[str]:
        connection = self._connections[name]
        self._failed[name] = (-math.inf, f"The MCP server {name} has not started.")  # whoever cancels now
        try:
            offered = await connection.tools()
        except ToolError as error:
            self._failed[name] = (time.monotonic(), str(error))
            return [str(error)]
        wanted = connection.server.tools
        del self._failed[name]
        taken = [one for one in offered if wanted is None or one.name in wanted]
        self._tools[name], refused = _offers(connection, taken)
        missing = sorted({*(wanted or ())} - {one.name for one in offered})
        return [*(f"The MCP server {name} has no tool {one!r}." for one in missing[:1]), *refused]

    async def _end(self, name: str) -> None:
        self._tools.pop(name, None)
        self._failed.pop(name, None)
        await self._connections.pop(name).close()


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a server's tool, ready to run."""

    connection: Connection
    tool: str
    arguments: dict[str, Any]

    def title(self) -> str:
        """The server, the tool and what it gets."""
        return title_of(f"{self.connection.name}: {call_text(self.tool, self.arguments)}")

    async def run(self, context: ToolContext) -> Result:
        """Ask if it must, then let the server do it."""
        if self.connection.server.confirm:
            title = f"Call {self.tool} of the MCP server {self.connection.name}"
            await context.confirm_on_host(title=title, detail=call_text(self.tool, self.arguments))
        answer = await self.connection.call(self.tool, self.arguments)
        shown = result(_text(answer) or "(nothing)", context)
        if answer.is_error:
            raise ToolError(shown.output)
        image = _image(answer)
        return shown if image is None else replace(shown, image=context.store_image(*image))


def _offers(connection: Connection, offered: Sequence[McpTool]) -> tuple[dict[str, Tool], list[str]]:
    """The tools that the model is told of, by their names for it; and why others are left out."""
    tools: dict[str, Tool] = {}
    refused: list[str] = []
    room = words.MOST
    for one in offered:
        try:
            tool = _tool(connection, one)
            if (room := room - words.size(tool.description, tool.parameters)) < 0:
                raise words.Refused(f"the tools of this server take more than {words.MOST} bytes")
            tools[tool.name] = tool
        except words.Refused as why:
            refused.append(f"{words.described(one.name)[:80]} of {connection.name} is left out: {why}.")
    return tools, refused


def _tool(connection: Connection, offered: McpTool) -> Tool:
    """A tool as the model is told of it.  Raises Refused."""
    if visible(offered.name, keep="\\") != offered.name:
        raise words.Refused("its name has characters that can't be seen")
    return Tool(
        name=_name(connection.name, offered.name),
        description=words.described(offered.description or offered.title or offered.name),
        parameters=words.schema(offered.input_schema),
        bind=lambda arguments: _Call(connection, offered.name, arguments),
        changes=True,
        source=f"MCP server {connection.name}",
    )


def _name(server: str, tool: str) -> str:
    """The name for the model, `mcp__SERVER__TOOL`; one that no API takes is changed, and stays its own."""
    plain = f"mcp__{server}__{tool}"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", plain)
    if name == plain and len(name) <= LONGEST:
        return name
    mark = sha256(plain.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}_{mark}"


def _text(answer: CallToolResult) -> str:
    """What an answer says, in the order in which it says it."""
    parts: list[str] = []
    for block in answer.content:
        match block.type:
            case "text":
                parts.append(block.text)
            case "resource" if (text := getattr(block.resource, "text", None)) is not None:
                parts.append(text)
            case "resource":
                parts.append(f"[{block.resource.uri}, which is not text]")
            case "resource_link":
                parts.append(f"[{block.uri}: {block.name}]")
            case "image" | "audio":
                parts.append(f"[{block.type}: {block.mime_type}]")
    if not parts and answer.structured_content is not None:
        parts.append(msgspec.json.encode(answer.structured_content).decode())
    return "\n".join(parts)


def _image(answer: CallToolResult) -> tuple[bytes, str] | None:
    """The first image of an answer, and its type.  Raises ToolError for what is none."""
    for block in answer.content:
        if block.type == "image":
            try:
                data = base64.b64decode(block.data, validate=True)
            except binascii.Error as error:
                raise ToolError("The server's image is no base64.") from error
            return data, image_type(data, "the image")
    return None
