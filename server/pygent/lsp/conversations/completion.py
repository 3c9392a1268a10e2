"""Completion in conversation documents: files, problems and tasks after `@`, commands after `/`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygent.lsp.buffers import Buffer
from pygent.lsp.conversations.markdown import normalised, parse
from pygent.lsp.conversations.open import is_conversation
from pygent.lsp.conversations.slash import SLASH
from pygent.lsp.names import FileNames
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

LIMIT = 100
FILE, REFERENCE, FUNCTION = 17, 18, 3
"""Kinds of completion items, by the numbers of the specification."""
_BEGUN = re.compile(r"""(?<![\w@./\\`])@("?)([^\s"`]*)\Z""")


class Completion:
    """What can stand where a person types."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server

    def names(self, uri: str) -> FileNames:
        """The file names of the folder that a document belongs to."""
        return self._server.names.of(self._server.conversations.folder_of(uri).workspace.root)

    def opened(self, params: dict[str, Any]) -> None:
        """`textDocument/didOpen`: read the names before they are asked for."""
        uri = params["textDocument"]["uri"]
        if is_conversation(uri):
            self.names(uri).read()

    async def complete(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """`textDocument/completion`."""
        buffer = self._server.buffers.get(params["textDocument"]["uri"])
        if buffer is None:
            return None
        number, character = buffer.place(params["position"])
        before = buffer.lines[number][:character]
        begun = _BEGUN.search(before)
        if begun is not None:
            return await self._mentions(buffer, params["position"], begun[2], quoted=bool(begun[1]))
        if re.fullmatch(r"/[a-z-]*", before) and _first_line(buffer, number):
            span = {"start": {"line": number, "character": 0}, "end": params["position"]}
            return {"isIncomplete": False, "items": [_command(name, span) for name in SLASH]}
        return None

    async def _mentions(
        self, buffer: Buffer, position: dict[str, int], begun: str, *, quoted: bool
    ) -> dict[str, Any]:
        back = len(begun) + quoted
        start = buffer.offset(position) - back
        span = {"start": buffer.position(start), "end": position}
        found, whole = await self.names(buffer.uri).find(begun, LIMIT)
        items = [*self._problems(buffer.uri), *self._tasks()]
        shown = [_item(name, kind, detail, span) for name, kind, detail in items if begun.lower() in name]
        shown += [_item(f'"{name}"' if " " in name else name, FILE, "", span, name) for name in found]
        for rank, item in enumerate(shown):
            item["sortText"] = f"{rank:04}"
        return {"isIncomplete": not whole or bool(found), "items": shown}

    def _problems(self, uri: str) -> list[tuple[str, int, str]]:
        known = self._server.problems.known()
        root = self._server.conversations.folder_of(uri).workspace.root
        count = sum(map(len, known.values()))
        items = [("problems", REFERENCE, f"{count} known problems of open documents")]
        for one, found in known.items():
            path = path_of(one)
            if path is not None and root in path.parents:
                name = path.relative_to(root).as_posix()
                items.append((f"problems:{name}", REFERENCE, f"{len(found)} known problems"))
        return items

    def _tasks(self) -> list[tuple[str, int, str]]:
        tasks = self._server.app.tasks.recorded(limit=20)
        latest = [("task", REFERENCE, "the latest delegated task")] if tasks else []
        return latest + [(f"task:{one.id}", REFERENCE, f"{one.status}: {one.title}") for one in tasks]


def _first_line(buffer: Buffer, number: int) -> bool:
    """Whether a line is the first of a section of the person's that has anything on it."""
    text = normalised(buffer.text)
    return any(
        section.text.startswith("/") and section.begin == _offset(text, number)
        for section in parse(text).yours()
    )


def _offset(text: str, number: int) -> int:
    return sum(len(line) + 1 for line in text.split("\n")[:number])


def _item(
    name: str, kind: int, detail: str, span: dict[str, Any], filter_text: str | None = None
) -> dict[str, Any]:
    item = {
        "label": filter_text or name,
        "kind": kind,
        "filterText": filter_text or name,
        "textEdit": {"range": span, "newText": name},
    }
    return {**item, "detail": detail} if detail else item


def _command(name: str, span: dict[str, Any]) -> dict[str, Any]:
    arguments, meaning = SLASH[name].arguments, SLASH[name].meaning
    return {
        "label": f"/{name}",
        "kind": FUNCTION,
        "detail": f"/{name} {arguments}".rstrip(),
        "documentation": meaning,
        "textEdit": {"range": span, "newText": f"/{name}" + (" " if arguments else "")},
    }
