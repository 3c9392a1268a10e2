"""`pygent.toml` and `.env` as languages (PROTOCOL section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent.lsp.folders import SETTINGS_NAMES
from pygent.lsp.options import announced
from pygent.lsp.settings.documents import Document, Documents

if TYPE_CHECKING:
    from pygent.lsp.diagnostics import Publisher
    from pygent.lsp.server import PygentServer
    from pygent.lsp.settings.known import Known

Params = dict[str, Any]
TRIGGERS = ["[", "=", '"', "'", "/", "."]
SELECTOR = [{"scheme": "file", "pattern": f"**/{name}"} for name in SETTINGS_NAMES]


def register(server: PygentServer) -> None:
    """Add the features to a connection."""
    settings = server.settings
    features, claims = server.features, settings.documents.claims
    features.answer("textDocument/completion", settings.completion, claims=claims)
    features.answer("textDocument/hover", settings.hover, claims=claims)
    features.answer("textDocument/documentSymbol", settings.symbols, claims=claims)
    features.answer("textDocument/foldingRange", settings.folds, claims=claims)
    features.answer("textDocument/formatting", settings.formatting, claims=claims)
    features.answer("textDocument/codeAction", settings.actions, claims=claims)
    features.announce("completionProvider", {"triggerCharacters": TRIGGERS})
    features.announce("hoverProvider")
    features.announce("documentSymbolProvider")
    features.announce("foldingRangeProvider")
    features.announce("codeActionProvider", {"codeActionKinds": ["quickfix"]})
    features.register("textDocument/formatting", {"documentSelector": SELECTOR}, "documentFormattingProvider")
    features.listen("textDocument/didOpen", settings.opened)
    features.listen("textDocument/didChange", settings.changed)
    features.listen("textDocument/didClose", settings.opened)


class Settings:
    """What one connection knows of its settings files; the features are imported when they are first used."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self.documents = Documents(server)
        self._known: Known | None = None
        self._publisher: Publisher | None = None

    @property
    def publisher(self) -> Publisher:
        """What publishes the diagnostics."""
        if self._publisher is None:
            from pygent.lsp.diagnostics import Publisher  # noqa: PLC0415 - not before it is needed

            self._publisher = Publisher(self._server, self.documents)
        return self._publisher

    def close(self) -> None:
        """Publish no more."""
        if self._publisher is not None:
            self._publisher.close()

    def opened(self, params: Params) -> None:
        """`didOpen` and `didClose`."""
        if self.documents.claims(params["textDocument"]["uri"]):
            self.publisher.publish()

    def changed(self, params: Params) -> None:
        """`didChange`."""
        if self.documents.claims(params["textDocument"]["uri"]):
            self.publisher.soon()

    async def completion(self, params: Params) -> Any:
        """`textDocument/completion`."""
        from pygent.lsp.settings.completion import completion  # noqa: PLC0415
        from pygent.lsp.settings.known import Known  # noqa: PLC0415

        document = self._document(params)
        if document is None:
            return None
        self._known = self._known or Known()
        snippets = self._has("completion", "completionItem", "snippetSupport")
        return await completion(self._known, document, document.offset(params), snippets=bool(snippets))

    def hover(self, params: Params) -> Any:
        """`textDocument/hover`."""
        from pygent.lsp.settings.hover import hover  # noqa: PLC0415

        document = self._document(params)
        markdown = "markdown" in (self._has("hover", "contentFormat") or ())
        return None if document is None else hover(document, document.offset(params), markdown=markdown)

    def symbols(self, params: Params) -> Any:
        """`textDocument/documentSymbol`."""
        from pygent.lsp.settings.symbols import symbols  # noqa: PLC0415

        document = self._document(params)
        nested = bool(self._has("documentSymbol", "hierarchicalDocumentSymbolSupport"))
        return None if document is None else symbols(document, nested=nested)

    def folds(self, params: Params) -> Any:
        """`textDocument/foldingRange`."""
        from pygent.lsp.settings.symbols import folds  # noqa: PLC0415

        document = self._document(params)
        return None if document is None else folds(document)

    def formatting(self, params: Params) -> Any:
        """`textDocument/formatting`."""
        from pygent.config.tidy import tidy  # noqa: PLC0415

        document = self._document(params)
        if document is None or document.file.dotenv:
            return None
        text = document.buffer.text
        tidied = tidy(text)
        whole = document.buffer.range(0, len(text))
        return [] if tidied == text else [{"range": whole, "newText": tidied}]

    def actions(self, params: Params) -> Any:
        """`textDocument/codeAction`: quick fixes."""
        from pygent.lsp.settings.actions import actions  # noqa: PLC0415

        document = self._document(params)
        return None if document is None else actions(self._server, document, params)

    def _document(self, params: Params) -> Document | None:
        return self.documents.get(params["textDocument"]["uri"])

    def _has(self, *path: str) -> Any:
        return announced(self._server.protocol.raw_params, "textDocument", *path)
