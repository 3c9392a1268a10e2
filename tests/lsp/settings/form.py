"""Settings files in an editor, over the wire; `|` in a text is the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lsp.settings.pipes import POOL, Pipe

from pygent.lsp.buffers import Buffer

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
        capabilities = CAPABILITIES if capabilities is None else capabilities
        if encoding is not None:
            capabilities = {**capabilities, "general": {"positionEncodings": [encoding]}}
        self._own = environ is not None or config is not None or any(home.glob(".*"))
        self._pipe = (
            Pipe(capabilities, trusted=trusted, home=home, environ=environ or {}, config=config)
            if self._own
            else POOL.get(capabilities, trusted=trusted, home=home)
        )
        self._start = len(self._pipe.heard)
        self._folders(added=[folder])
        self.buffers: dict[str, Buffer] = {}

    @property
    def heard(self) -> list[dict[str, Any]]:
        """What the server has said since this editor's folder is there."""
        return self._pipe.heard[self._start :]

    def tell(self, method: str, params: Any) -> None:
        self._pipe.tell(method, params)

    def _folders(self, added: Sequence[Path] = (), removed: Sequence[Path] = ()) -> None:
        event = {
            kind: [{"uri": one.as_uri(), "name": "w"} for one in folders]
            for kind, folders in (("added", added), ("removed", removed))
        }
        self.tell("workspace/didChangeWorkspaceFolders", {"event": event})

    def open(self, text: str, name: str = "pygent.toml") -> int:
        """Open a file, or put another text into it; returns the place of the cursor."""
        cursor = text.find("|")
        text = text.replace("|", "", 1)
        uri = (self.folder / name).as_uri()
        encoding = self._pipe.encoding
        if uri in self.buffers:
            version = (self.buffers[uri].version or 0) + 1
            self.tell(
                "textDocument/didChange",
                {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]},
            )
        else:
            version = 1
            item = {"uri": uri, "languageId": "toml", "version": version, "text": text}
            self.tell("textDocument/didOpen", {"textDocument": item})
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
        number = self._pipe.ask(method, params)
        while (answer := self._pipe.answer(number)) is None:
            await asyncio.sleep(0.001)
        assert "error" not in answer, answer
        return answer["result"]

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
            await asyncio.sleep(0.001)
            found = [
                one["params"]
                for one in self.heard
                if one.get("method") == "textDocument/publishDiagnostics" and one["params"]["uri"] == uri
            ]
        return list(found[-1]["diagnostics"])

    async def close(self) -> None:
        """Close the documents and the folder; a server of one's own is shut down."""
        for uri in self.buffers:
            self.tell("textDocument/didClose", {"textDocument": {"uri": uri}})
        self._folders(removed=[self.folder])
        if self._own:
            self._pipe.close()
