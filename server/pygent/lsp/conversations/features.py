"""The language features of conversation documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent.lsp.buffers import Buffer, units
from pygent.lsp.conversations.choices import choices, in_range
from pygent.lsp.conversations.completion import Completion
from pygent.lsp.conversations.markdown import Section, normalised, one_line, parse
from pygent.lsp.conversations.mentions import file_of, mentions
from pygent.lsp.conversations.open import is_conversation

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

FUNCTION, STRING = 12, 15
"""Kinds of symbols, by the numbers of the specification: the agent's answers, and what people said."""
OPTIONS: dict[str, Any] = {
    "codeLensProvider": {},
    "documentLinkProvider": {},
    "completionProvider": {"triggerCharacters": ["@", "/"]},
}


def register(server: PygentServer) -> None:
    """Add the features to a connection."""
    features = server.features
    features.listen("textDocument/didOpen", server.conversations.opened)
    features.listen("textDocument/didChange", server.conversations.changed)
    features.listen("textDocument/didClose", server.conversations.closed)
    handlers, completion = _Features(server), Completion(server)
    features.listen("textDocument/didOpen", completion.opened)
    for method, handler, provider in (
        ("textDocument/codeLens", handlers.lenses, "codeLensProvider"),
        ("textDocument/codeAction", handlers.actions, "codeActionProvider"),
        ("textDocument/documentSymbol", handlers.symbols, "documentSymbolProvider"),
        ("textDocument/foldingRange", handlers.folds, "foldingRangeProvider"),
        ("textDocument/documentLink", handlers.links, "documentLinkProvider"),
        ("textDocument/completion", completion.complete, "completionProvider"),
    ):
        features.answer(method, handler, claims=is_conversation)
        features.announce(provider, OPTIONS.get(provider, True))


class _Features:
    def __init__(self, server: PygentServer) -> None:
        self._server = server

    async def lenses(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/codeLens`."""
        page = self._server.conversations.find(params["textDocument"]["uri"])
        if page is None:
            return []
        await page.writer.calm()
        return [
            {"range": _line(one.line), "command": one.as_command()} for one in choices(self._server, page)
        ]

    async def actions(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/codeAction`: what the lenses offer, for editors without lenses."""
        page = self._server.conversations.find(params["textDocument"]["uri"])
        if page is None or (params.get("context") or {}).get("only"):
            return []
        await page.writer.calm()
        first, last = params["range"]["start"]["line"], params["range"]["end"]["line"]
        found = in_range(choices(self._server, page), first, last)
        commands = [one.as_command() for one in found]
        if self._server.client.blocks:
            for command in commands:
                if command["command"] in ("pygent.conversation.send", "pygent.conversation.answer"):
                    command["arguments"] = [{**command["arguments"][0], "wait": False}]
        if not self._server.client.action_literals:
            return commands
        return [{"title": command["title"], "command": command} for command in commands]

    def symbols(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/documentSymbol`: the turns."""
        buffer, text = self._server.buffers.get(params["textDocument"]["uri"]), self._text(params)
        if buffer is None or text is None:
            return []
        sections = [section for section in parse(text).sections if section.headed]
        ends = [_line(section.line)["start"] for section in sections[1:]]
        ends.append({"line": len(buffer.lines) - 1, "character": units(buffer.lines[-1], buffer.encoding)})
        return [_symbol(section, end) for section, end in zip(sections, ends, strict=False)]

    def folds(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/foldingRange`: turns, and the tool calls in them."""
        text = self._text(params)
        if text is None:
            return []
        document = parse(text)
        found = [{"startLine": first, "endLine": last, "kind": "region"} for first, last in document.blocks]
        for section in document.sections:
            last = section.line + text.count("\n", section.start, section.finish)
            if section.headed and last > section.line:
                found.append({"startLine": section.line, "endLine": last})
        return found

    def links(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/documentLink`: the files that the person mentions."""
        buffer, text = self._server.buffers.get(params["textDocument"]["uri"]), self._text(params)
        if buffer is None or text is None:
            return []
        workspace = self._server.conversations.folder_of(buffer.uri).workspace
        paper = Buffer(buffer.uri, text, encoding=buffer.encoding)
        found = []
        for section in parse(text).yours():
            for mention in mentions(section.text):
                if (path := file_of(workspace, mention)) is not None:
                    line = f"#L{mention.first}" if mention.first else ""
                    span = paper.range(section.begin + mention.start, section.begin + mention.end)
                    found.append({"range": span, "target": f"{path.as_uri()}{line}"})
        return found

    def _text(self, params: dict[str, Any]) -> str | None:
        buffer = self._server.buffers.get(params["textDocument"]["uri"])
        return None if buffer is None else normalised(buffer.text)


def _line(number: int) -> dict[str, Any]:
    place = {"line": number, "character": 0}
    return {"start": place, "end": place}


def _symbol(section: Section, end: dict[str, int]) -> dict[str, Any]:
    first = one_line(section.text.partition("\n")[0], 80)
    return {
        "name": f"{section.who}: {first}" if first else section.who,
        "kind": STRING if section.who == "You" else FUNCTION,
        "range": {
            "start": {"line": section.line, "character": 0},
            "end": end,
        },
        "selectionRange": _line(section.line),
    }
