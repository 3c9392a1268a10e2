"""Settings files in an editor, at a server in this process; `|` in a text is the cursor."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from tests.lsp.inprocess import Loop

from pygent.app import App
from pygent.lsp.buffers import Buffer
from pygent.lsp.server import Host

CAPABILITIES: dict[str, Any] = {
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": True}},
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
        "codeAction": {"codeActionLiteralSupport": {}},
    },
    "workspace": {"workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"]}},
}


class Form:
    """An editor with one workspace folder."""

    def __init__(
        self,
        folder: Path,
        home: Path,
        *,
        environ: dict[str, str] | None = None,
        capabilities: dict[str, Any] | None = None,
        encoding: str | None = None,
        config: Path | None = None,
        trusted: bool = True,
    ) -> None:
        self.folder = folder
        self.given = environ or {}
        host = Host(lambda: App(environ=self.given, home=home, config_file=config), config)
        capabilities = CAPABILITIES if capabilities is None else capabilities
        if encoding is not None:
            capabilities = {**capabilities, "general": {"positionEncodings": [encoding]}}
        self.host = host
        self.loop = Loop(host, capabilities, trusted=trusted)
        self.loop.tell(
            "workspace/didChangeWorkspaceFolders",
            {"event": {"added": [{"uri": folder.as_uri(), "name": "w"}], "removed": []}},
        )
        self.buffers: dict[str, Buffer] = {}
        self._numbers = itertools.count(100)

    def open(self, text: str, name: str = "pygent.toml") -> int:
        """Open a file, or put another text into it; returns the place of the cursor."""
        cursor = text.find("|")
        text = text.replace("|", "", 1)
        uri = (self.folder / name).as_uri()
        encoding = self.loop.server.encoding()
        if uri in self.buffers:
            version = (self.buffers[uri].version or 0) + 1
            self.loop.tell(
                "textDocument/didChange",
                {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]},
            )
        else:
            version = 1
            item = {"uri": uri, "languageId": "toml", "version": version, "text": text}
            self.loop.tell("textDocument/didOpen", {"textDocument": item})
        self.buffers[uri] = Buffer(uri, text, version, encoding=encoding)
        return cursor

    async def ask(
        self, method: str, name: str = "pygent.toml", cursor: int | None = None, **more: Any
    ) -> Any:
        """The result of a request about a file."""
        uri = (self.folder / name).as_uri()
        params: dict[str, Any] = {"textDocument": {"uri": uri}, **more}
        if cursor is not None:
            params["position"] = self.buffers[uri].position(cursor)
        return await self.request(method, params)

    async def request(self, method: str, params: Any) -> Any:
        number = next(self._numbers)
        self.loop.post({"id": number, "method": method, "params": params})
        while True:
            for one in self.loop.heard:
                if one.get("id") == number and "method" not in one:
                    assert "error" not in one, one
                    return one["result"]
            await asyncio.sleep(0)

    async def items(self, text: str, name: str = "pygent.toml") -> dict[str, dict[str, Any]]:
        """What is offered at the cursor, by label."""
        answer = await self.ask("textDocument/completion", name, self.open(text, name))
        return {item["label"]: item for item in answer["items"]}

    async def completed(self, text: str, label: str, name: str = "pygent.toml") -> str:
        """The text with an item put in."""
        item = (await self.items(text, name))[label]
        return self.changed([item["textEdit"]], name)

    async def hover(self, text: str, name: str = "pygent.toml") -> str | None:
        answer = await self.ask("textDocument/hover", name, self.open(text, name))
        return None if answer is None else str(answer["contents"]["value"])

    async def actions(
        self, text: str, name: str = "pygent.toml", **context: Any
    ) -> dict[str, dict[str, Any]]:
        """The quick fixes for the whole file, by title."""
        self.open(text, name)
        buffer = self.buffers[(self.folder / name).as_uri()]
        whole = buffer.range(0, len(buffer.text))
        found = await self.ask(
            "textDocument/codeAction", name, range=whole, context={"diagnostics": [], **context}
        )
        return {one["title"]: one for one in found if one.get("kind") == "quickfix"}

    async def fixed(self, text: str, title: str, name: str = "pygent.toml") -> str:
        """The text after a quick fix."""
        action = (await self.actions(text, name))[title]
        (edits,) = [
            one["edits"]
            for one in action["edit"]["documentChanges"]
            if one.get("textDocument", {}).get("uri", "").endswith(f"/{name}")
        ]
        return self.changed(edits, name)

    def changed(self, edits: list[dict[str, Any]], name: str = "pygent.toml") -> str:
        """The text with edits as the specification applies them: all on the text as it was."""
        buffer = self.buffers[(self.folder / name).as_uri()]
        text = buffer.text
        places = [
            (buffer.offset(one["range"]["start"]), buffer.offset(one["range"]["end"]), one["newText"])
            for one in edits
        ]
        for start, end, new in sorted(places, key=lambda one: one[:2], reverse=True):
            text = text[:start] + new + text[end:]
        return text

    async def problems(self, name: str = "pygent.toml") -> list[dict[str, Any]]:
        """The diagnostics of a file as they were published last."""
        uri = (self.folder / name).as_uri()
        found: list[Any] = []
        while not found:
            await asyncio.sleep(0)
            found = [
                one["params"]
                for one in self.loop.heard
                if one.get("method") == "textDocument/publishDiagnostics" and one["params"]["uri"] == uri
            ]
        return list(found[-1]["diagnostics"])

    async def close(self) -> None:
        self.loop.close()
        await self.host.close()
