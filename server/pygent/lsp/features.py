"""The seam for language features: modules answer standard LSP methods, each for its own documents.

A module that adds features has a function `register(server)`, named in `PygentServer`'s list of modules:

    def register(server: PygentServer) -> None:
        settings = Settings(server)
        features = server.features
        features.answer("textDocument/hover", settings.hover, claims=is_settings_file)
        features.announce("hoverProvider")
        features.listen("textDocument/didChange", settings.changed)

A handler takes the params as plain values and returns plain values or msgspec structs, directly or as an
awaitable.  PygentError and InvalidArgument become their responses, whatever else it raises is logged and
answered as an internal error.  Open documents are in `server.buffers`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.lsp.base import PARAMS, ResponseError
from pygent.lsp.commands import answered, field_of

if TYPE_CHECKING:
    from pygent.lsp.options import Client
    from pygent.lsp.server import PygentServer

log = logging.getLogger("pygent.lsp")

Handler = Callable[[dict[str, Any]], Awaitable[Any] | Any]
Listener = Callable[[dict[str, Any]], None]
Claims = Callable[[str], bool]

JOINED = ("textDocument/codeAction", "textDocument/codeLens")
"""Methods whose answers are lists that stand side by side; of others the first answer counts."""


class _Document(msgspec.Struct):
    uri: str


class _Position(msgspec.Struct):
    line: int
    character: int


class _Range(msgspec.Struct):
    start: _Position
    end: _Position


class _Place(msgspec.Struct, rename="camel"):
    """What the params of document requests have in common; checked before a handler sees them."""

    text_document: _Document | None = None
    position: _Position | None = None
    range: _Range | None = None


class Features:
    """The language features of one connection."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._handlers: dict[str, list[tuple[Claims, Handler]]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._dynamic: dict[str, tuple[dict[str, Any], str | None]] = {}
        self._conditional: list[tuple[Callable[[Client], bool], str, Any]] = []
        self.capabilities: dict[str, Any] = {}

    def answer(self, method: str, handler: Handler, *, claims: Claims = lambda uri: True) -> None:
        """Answer a request for the documents whose URI is claimed.

        The URI is that of `textDocument`, else `uri`, else `data.uri` (put it there in what is resolved
        later), else empty.  The first module that claims it answers; the lists of code actions and lenses
        are joined.
        """
        self._handlers.setdefault(method, []).append((claims, handler))
        self._server.protocol.custom[method] = lambda params: self._run(method, params)

    def listen(self, method: str, listener: Listener) -> None:
        """Be told of a notification of the client, after the open documents have taken it in."""
        self._listeners.setdefault(method, []).append(listener)
        self._server.protocol.listeners[method] = lambda params: self._hear(method, params)

    def announce(self, provider: str, options: Any = True) -> None:
        """Add a server capability, such as `hoverProvider`; the options of several modules are merged."""
        self.capabilities = merged(self.capabilities, {provider: options})

    def announce_if(self, supported: Callable[[Client], bool], provider: str, options: Any) -> None:
        """As `announce`, where the client's capabilities say that it knows what that is."""
        self._conditional.append((supported, provider, options))

    def register(self, method: str, options: dict[str, Any], provider: str | None = None) -> None:
        """Register a method by `client/registerCapability` if the client announces that for it.

        With `provider` a client that does not gets the static capability.  For what would be in the way in
        foreign documents, such as formatting: `options` then has a `documentSelector`.
        """
        self._dynamic[method] = (options, provider)

    def settle(self) -> None:
        """Decide, once the client's capabilities are known, what is announced statically."""
        for method, (_, provider) in self._dynamic.items():
            if provider is not None and not self._server.client.registers(method):
                self.announce(provider)
        for supported, provider, options in self._conditional:
            if supported(self._server.client):
                self.announce(provider, options)

    def registrations(self) -> list[dict[str, Any]]:
        """What is to be registered dynamically with this client."""
        return [
            {"id": f"pygent:{method}", "method": method, "registerOptions": options}
            for method, (options, _) in self._dynamic.items()
            if self._server.client.registers(method)
        ]

    async def _run(self, method: str, params: Any) -> Any:
        try:
            msgspec.convert(params, _Place)
        except msgspec.ValidationError as error:
            field, expected = field_of(str(error))
            message = f"Wrong `{field}` of {method}: expected {expected}."
            raise ResponseError(PARAMS, message, {"field": field, "expected": expected}) from error
        uri = _uri(params)
        calls = [handler for claims, handler in self._handlers[method] if claims(uri)]
        if method in JOINED:
            found = [await answered(_called(handler, params)) for handler in calls]
            return [one for some in found if some for one in some]
        return await answered(_called(calls[0], params)) if calls else None

    def _hear(self, method: str, params: Any) -> None:
        for listener in self._listeners[method]:
            try:
                listener(params)
            except Exception:
                log.exception("a listener of %s failed", method)


async def _called(handler: Handler, params: dict[str, Any]) -> Any:
    result = handler(params)
    return await result if inspect.isawaitable(result) else result


def _uri(params: dict[str, Any]) -> str:
    for owner in (params.get("textDocument"), params, params.get("data")):
        uri = owner.get("uri") if isinstance(owner, dict) else None
        if isinstance(uri, str):
            return uri
    return ""


def merged(one: Any, other: Any) -> Any:
    """Two capabilities as one: objects by key, lists without repeats, and options win over a plain `true`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(value for value in other if value not in one)]
    return one if isinstance(one, dict) and other is True else other
