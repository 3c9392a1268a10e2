"""An editor that does with workspace edits what the specification says, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.lsp.wire import Wire

from pygent.lsp.buffers import Buffer


class Desk:
    """Open documents of a client, which a person types in and the server edits.

    `before` is called when an edit arrives and is about to be made, as a person's keys may be.  `refuse`
    refuses every edit; `silent` makes them without telling, as a client with a bug would.
    """

    def __init__(self, wire: Wire, encoding: str = "utf-16") -> None:
        self.wire = wire
        self.encoding = encoding
        self.documents: dict[str, Buffer] = {}
        self.before: Callable[[], None] = lambda: None
        self.refuse = False
        self.silent = False
        self.edits: list[dict[str, Any]] = []
        self.undo: list[tuple[str, str]] = []
        wire.answers["workspace/applyEdit"] = self.apply

    def open(self, path: Path, text: str, version: int = 1) -> Buffer:
        buffer = self.documents[path.as_uri()] = Buffer(path.as_uri(), text, version, "text", self.encoding)
        document = {"uri": buffer.uri, "languageId": "text", "version": version, "text": text}
        self.wire.tell("textDocument/didOpen", {"textDocument": document})
        return buffer

    def close(self, path: Path) -> None:
        del self.documents[path.as_uri()]
        self.wire.tell("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    def type(self, path: Path, text: str, at: int, *, over: int = 0) -> None:
        """Type at an index, over so many characters."""
        buffer = self.documents[path.as_uri()]
        self._change(buffer, [{"range": buffer.range(at, at + over), "text": text}])

    def text(self, path: Path) -> str:
        return self.documents[path.as_uri()].text

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        """`workspace/applyEdit`."""
        self.edits.append(params)
        self.before()
        if self.refuse:
            return {"applied": False, "failureReason": "not now"}
        edit = params["edit"]
        if "changes" in edit:
            for uri, edits in edit["changes"].items():
                self._edit(self.documents[uri], edits)
            return {"applied": True}
        for one in edit["documentChanges"]:
            if "kind" in one:
                self._operate(one)
            elif one["textDocument"]["version"] not in (
                None,
                self.documents[one["textDocument"]["uri"]].version,
            ):
                return {"applied": False, "failureReason": "stale"}
            else:
                self._edit(self.documents[one["textDocument"]["uri"]], one["edits"])
        return {"applied": True}

    def _operate(self, one: dict[str, Any]) -> None:
        path = Path(unquote(urlsplit(one["uri"]).path))
        if one["kind"] == "create":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.unlink()
            self.close(path)

    def _edit(self, buffer: Buffer, edits: list[dict[str, Any]]) -> None:
        self.undo.append((buffer.uri, buffer.text))
        last_first = sorted(edits, key=lambda one: buffer.offset(one["range"]["start"]), reverse=True)
        self._change(buffer, [{"range": one["range"], "text": one["newText"]} for one in last_first])

    def _change(self, buffer: Buffer, changes: list[dict[str, Any]]) -> None:
        buffer.change(changes, (buffer.version or 0) + 1)
        if not self.silent:
            identity = {"uri": buffer.uri, "version": buffer.version}
            self.wire.tell("textDocument/didChange", {"textDocument": identity, "contentChanges": changes})
