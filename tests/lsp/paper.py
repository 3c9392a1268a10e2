"""An editor of text: buffers that a server edits and a person types in, over the wire."""

from __future__ import annotations

from typing import Any

from tests.lsp.wire import Wire

from pygent.lsp.buffers import Buffer


class Paper:
    """One open document of a client that does what the specification says.

    With `versioned` an edit for another version is refused; without, it goes in wherever its lines are now.
    """

    def __init__(self, wire: Wire, uri: str, text: str = "", *, encoding: str = "utf-16") -> None:
        self.wire = wire
        self.uri = uri
        self.version = 1
        self.buffer = Buffer(uri, text, 1, "markdown", encoding)
        self.encoding = encoding
        self.edits: list[tuple[int, str]] = []
        self.history: list[str] = []
        self.refuse = 0
        self.is_open = False
        wire.answers["workspace/applyEdit"] = self.apply
        self.open(text)

    @property
    def text(self) -> str:
        return self.buffer.text

    def open(self, text: str) -> None:
        self.version += 1
        self.buffer = Buffer(self.uri, text, self.version, "markdown", self.encoding)
        document = {"uri": self.uri, "languageId": "markdown", "version": self.version, "text": text}
        self.is_open = True
        self.wire.tell("textDocument/didOpen", {"textDocument": document})

    def close(self) -> None:
        self.is_open = False
        self.wire.tell("textDocument/didClose", {"textDocument": {"uri": self.uri}})

    def type(self, text: str, at: int | None = None, *, over: int = 0) -> None:
        """Type at an index, the end if none is given, over so many characters."""
        at = len(self.text) if at is None else at
        change = {"range": self.buffer.range(at, at + over), "text": text}
        self.change([change])

    def change(self, changes: list[dict[str, Any]]) -> None:
        self.version += 1
        self.buffer.change(changes, self.version)
        identity = {"uri": self.uri, "version": self.version}
        self.wire.tell("textDocument/didChange", {"textDocument": identity, "contentChanges": changes})

    def undo(self) -> None:
        """Take back the last edit of the server, as far as the text still is as it left it."""
        if self.edits:
            at, text = self.edits.pop()
            if self.text[at : at + len(text)] == text:
                self.type("", at, over=len(text))

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        """`workspace/applyEdit`."""
        edit = params["edit"]
        if self.refuse or not self.is_open:
            self.refuse -= 1
            return {"applied": False, "failureReason": "not now"}
        if "documentChanges" in edit:
            (one,) = edit["documentChanges"]
            if one["textDocument"]["version"] != self.version:
                return {"applied": False, "failureReason": "stale"}
            edits = one["edits"]
        else:
            edits = edit["changes"][self.uri]
        for one in edits:
            at = self.buffer.offset(one["range"]["start"])
            self.edits.append((at, one["newText"]))
            self.change([{"range": one["range"], "text": one["newText"]}])
        return {"applied": True}

    async def lenses(self) -> dict[str, dict[str, Any]]:
        """The code lenses by their titles."""
        found = await self.wire.request("textDocument/codeLens", {"textDocument": {"uri": self.uri}})
        return {one["command"]["title"]: one for one in found["result"]}

    async def actions(self, line: int = 0) -> dict[str, Any]:
        """The code actions for a line, by their titles."""
        place = {"line": line, "character": 0}
        params = {"textDocument": {"uri": self.uri}, "range": {"start": place, "end": place}}
        found = await self.wire.request("textDocument/codeAction", {**params, "context": {"diagnostics": []}})
        return {one["title"]: one for one in found["result"]}

    async def choose(self, title: str) -> Any:
        """Click on the lens with this title."""
        lens = (await self.lenses())[title]["command"]
        return await self.wire.command(lens["command"], *lens["arguments"])

    async def until(self, text: str) -> None:
        """Wait until the document has a text in it."""
        await self.wire.until(lambda: text in self.text)
