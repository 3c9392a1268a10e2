"""The problems of the settings as diagnostics: of open files as they are typed, of others as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.config import Config, Diagnostic, check
from pygent.config.diagnostic import Related
from pygent.config.places import Text
from pygent.lsp.buffers import Buffer
from pygent.lsp.settings.documents import Documents
from pygent.lsp.settings.edits import on_disk

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

SEVERITY = {"error": 1, "warning": 2, "hint": 4}
UNNECESSARY = 1
"""The tag of what has no effect, which editors grey out."""
PAUSE = 0.15
"""Seconds without a key press after which what is typed is looked at."""


class Publisher:
    """Publishes a connection's diagnostics, and takes back old ones."""

    def __init__(self, server: PygentServer, documents: Documents) -> None:
        self._server = server
        self._documents = documents
        self._published: dict[str, list[dict[str, Any]]] = {}
        self._waiting: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Publish once nothing was typed for a moment."""
        self.close()
        self._waiting = asyncio.get_running_loop().call_later(PAUSE, self.publish)

    def close(self) -> None:
        """Publish no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def publish(self) -> None:
        """Publish what is wrong now, as far as that has changed."""
        found = self._found()
        for uri in self._published.keys() - found.keys():
            self._tell(uri, [])
        for uri, diagnostics in found.items():
            if self._published.get(uri) != diagnostics:
                self._tell(uri, diagnostics)
        self._published = found

    def _tell(self, uri: str, diagnostics: list[dict[str, Any]]) -> None:
        params = {"uri": uri, "diagnostics": diagnostics}
        buffer = self._server.buffers.get(uri)
        version = {} if buffer is None or buffer.version is None else {"version": buffer.version}
        self._server.protocol.tell("textDocument/publishDiagnostics", {**params, **version})

    def _found(self) -> dict[str, list[dict[str, Any]]]:
        """Diagnostics by document; one with nothing to say is there while it is open."""
        documents = self._documents.all()
        found: dict[str, list[dict[str, Any]]] = {one.buffer.uri: [] for one in documents}
        places = Places(self._server)
        for problem in self._problems(documents):
            if problem.file is not None:
                uri = places.buffer(problem.file).uri
                made = places.diagnostic(problem)
                if made not in found.setdefault(uri, []):
                    found[uri].append(made)
        return found

    def _problems(self, documents: list[Any]) -> Iterator[Diagnostic]:
        for _, config in self._documents.configs():
            yield from check(config)
        for document in documents:
            if document.folder is None:
                yield from of_file(document.config, document.path)


def of_file(config: Config, path: Path) -> list[Diagnostic]:
    """The problems of one file."""
    return [one for one in check(config) if one.file == str(path)]


class Places:
    """Problems with their places in the client's units; each file is looked at once."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._known: dict[str, tuple[Buffer, Text]] = {}

    def buffer(self, file: str) -> Buffer:
        """A file as it is open, else as it is on disk."""
        return self._file(file)[0]

    def diagnostic(self, problem: Diagnostic) -> dict[str, Any]:
        """A problem as a diagnostic of the protocol."""
        made: dict[str, Any] = {
            "range": self._range(problem.file or "", problem),
            "severity": SEVERITY[problem.severity],
            "code": problem.code,
            "source": "pygent",
            "message": problem.text if problem.fix is None else f"{problem.text} {problem.fix}",
        }
        if problem.code == "shadowed":
            made["tags"] = [UNNECESSARY]
        if problem.related:
            made["relatedInformation"] = [self._related(one) for one in problem.related]
        return made

    def _related(self, related: Related) -> dict[str, Any]:
        place = self._range(related.file, related)
        return {
            "location": {"uri": self.buffer(related.file).uri, "range": place},
            "message": related.message,
        }

    def _range(self, file: str, place: Diagnostic | Related) -> dict[str, Any]:
        buffer, text = self._file(file)
        if place.line is None:
            return buffer.range(0, 0)
        start = text.offset(place.line, place.column or 1)
        end = text.offset(place.end_line or place.line, place.end_column or 1 << 20)
        return buffer.range(start, max(start, end))

    def _file(self, file: str) -> tuple[Buffer, Text]:
        if file not in self._known:
            path = Path(file)
            buffer = self._server.buffers.at(path) or on_disk(path, self._server.encoding())
            self._known[file] = (buffer, Text(buffer.text))
        return self._known[file]
