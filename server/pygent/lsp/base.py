"""pygls, hardened: every request is answered, cancelling cancels, nothing leaks, nothing pops up.

Stock pygls 2.1 answers a request that it can't decode never, runs a cancelled command to its end
(openlawlibrary/pygls#621 and neighbours), keeps a future for every notification and exits with 0 where the
specification says 1.  What it is good at stays: the types, the capabilities and the folders.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method

from pygent.lsp.outbox import Kind, Outbox
from pygent.lsp.surrogates import decoded, encoded
from pygent.lsp.transport import BadFrame
from pygent.redaction import process

log = logging.getLogger("pygent.lsp")

PARSE, INVALID, UNKNOWN, PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
NOT_INITIALIZED, CANCELLED, FAILED = -32002, -32800, -32803

Handler = Callable[[Any], Awaitable[Any]]


class ResponseError(Exception):
    """An error answer to a request: its code, a sentence, and data for programs."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Declined(Exception):
    """The client answered a request of ours with an error of this `code`, or not at all (None)."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(f"error {code}" if code is not None else "no answer")
        self.code = code


class Protocol(LanguageServerProtocol):
    """The message loop of one connection.

    `custom` handles requests with plain dicts, by method; all but `initialize` go there.  `taken` has
    notifications, `listeners` are told of one after it was taken in.  `capabilities` returns what is
    announced beyond pygls'.  What is sent goes to `outbox`.
    """

    def __init__(self, server: LanguageServer, converter: Any) -> None:
        super().__init__(server, converter)
        self.outbox = Outbox()
        self.custom: dict[str, Handler] = {"shutdown": self._on_shutdown}
        self.taken: dict[str, Callable[[Any], None]] = {}
        self.listeners: dict[str, Callable[[Any], None]] = {}
        self.raw_params: dict[str, Any] = {}
        self.capabilities: Callable[[], dict[str, Any]] = dict
        self.initialized = False
        self.on_exit: Callable[[], None] = lambda: None
        self._running: dict[str | int, asyncio.Task[Any]] = {}
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._last_ask = 0

    @property
    def exit_code(self) -> int:
        """What the process ends with when the client has gone: 0 only after `shutdown`."""
        return 0 if self._shutdown else 1

    def close(self) -> None:
        """The client has gone: end what runs for it, and wait for none of its answers."""
        for task in list(self._running.values()):
            task.cancel()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Declined())
        self.outbox.close()

    # -- incoming --------------------------------------------------------------------------------

    def receive(self, body: bytes | BadFrame) -> None:
        """Take in a message body, or what stood in its place; never raises."""
        if isinstance(body, BadFrame):
            self._error(None, PARSE, f"The message can't be read: {body}.")
            return
        try:
            message = decoded(body)
        except (ValueError, RecursionError):
            self._error(None, PARSE, "The message is not JSON.")
            return
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self._error(_number(message), INVALID, "The message is not a JSON-RPC 2.0 object.")
        elif "method" not in message:
            self._take_answer(message)
        elif "id" in message:
            self._take_request(message)
        else:
            self._take_notification(message)

    def _take_request(self, message: dict[str, Any]) -> None:
        number, method, params = _number(message), message["method"], message.get("params")
        if number is None or not isinstance(method, str):
            self._error(number, INVALID, "A request needs an id and the name of a method.")
        elif number in self._running:
            self._error(number, INVALID, "A request with this id is still running.")
        elif not self.initialized and method != "initialize":
            self._error(number, NOT_INITIALIZED, "The server waits for initialize.")
        elif self._shutdown:
            self._error(number, INVALID, "The server is shutting down.")
        elif method == "initialize":
            self._initialize(message)
        elif method not in self.custom:
            self._error(number, UNKNOWN, f"There is no method {method[:100]!r}.")
        elif not isinstance(params, dict | None):
            self._error(
                number, PARAMS, f"Wrong params of {method}.", {"field": "params", "expected": "an object"}
            )
        else:
            self._start(number, self.custom[method], params or {})

    def _start(self, number: str | int, handler: Handler, params: Any) -> None:
        task = asyncio.ensure_future(handler(params))
        self._running[number] = task
        task.add_done_callback(lambda done: self._answer(number, done))

    def _answer(self, number: str | int, task: asyncio.Task[Any]) -> None:
        self._running.pop(number, None)
        if task.cancelled():
            self._error(number, CANCELLED, "The request was cancelled.")
            return
        error = task.exception()
        if error is None:
            try:
                result = encoded(task.result())
            except (ValueError, TypeError, RecursionError) as problem:
                error = problem
            else:
                self.outbox.put(b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (encoded(number), result))
                return
        if isinstance(error, ResponseError):
            self._error(number, error.code, error.message, error.data)
        else:
            log.error("a request failed", exc_info=error)
            self._error(number, INTERNAL, f"An internal error: {type(error).__name__}. The log has more.")

    def _initialize(self, message: dict[str, Any]) -> None:
        """Give pygls the part of `initialize` that it works with; no value newer than ours gets to it."""
        number, params = message["id"], message.get("params")
        if self.initialized:
            self._error(number, INVALID, "The server is initialized already.")
            return
        try:
            decoded = self._converter.structure({**message, "params": _core(params)}, types.InitializeRequest)
        except Exception as error:  # noqa: BLE001 - whatever the converter raises, the request is answered
            log.info("initialize can't be read: %s", type(error).__name__)
            data = {"field": "params", "expected": "InitializeParams of the specification"}
            self._error(number, PARAMS, "The params of initialize can't be read.", data)
            return
        self.raw_params = params if isinstance(params, dict) else {}
        self.handle_message(decoded)  # type: ignore[arg-type]

    def _take_notification(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params") or {}
        if method == "exit":
            self.on_exit()
        elif not isinstance(params, dict) or not isinstance(method, str):
            log.info("a notification was ignored: its params are no object")
        elif method == "$/cancelRequest":
            number = _number(params)
            if number is not None and (task := self._running.get(number)) is not None:
                task.cancel()
        elif self.initialized and not self._shutdown:
            try:
                self.taken.get(method, lambda _: None)(params)
                self.listeners.get(method, lambda _: None)(params)
            except Exception as error:  # noqa: BLE001 - as above, but there is nobody to answer
                log.info("a notification %s was ignored: %s", method[:100], type(error).__name__)

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, Any]:
        """As pygls, with what the features announce."""
        result = yield from super().lsp_initialize(params)
        plain = self._converter.unstructure(result)
        plain["capabilities"].update(self.capabilities())
        self.initialized = True
        return plain

    def _on_shutdown(self, _: Any) -> Awaitable[None]:
        """Only `exit` is heard from now on, also one that comes without waiting for the answer."""
        self._shutdown = True
        return self._cancel_all()

    async def _cancel_all(self) -> None:
        for task in list(self._running.values()):
            if task is not asyncio.current_task():
                task.cancel()

    # -- outgoing --------------------------------------------------------------------------------

    async def ask(self, method: str, params: Any, timeout: float | None = None) -> Any:
        """Send a request and wait for its result, as plain values.

        When we are cancelled or out of patience the client is told with `$/cancelRequest`, and a late
        answer is ignored.  Raises Declined.
        """
        self._last_ask += 1
        number = f"pygent-{self._last_ask}"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            return await asyncio.wait_for(answer, timeout)
        except (asyncio.CancelledError, asyncio.TimeoutError) as error:
            self.tell("$/cancelRequest", {"id": number})
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Declined from error
        finally:
            del self._asked[number]

    def tell(self, method: str, params: Any, kind: Kind = "must") -> None:
        """Send a notification; `kind` is as of Outbox."""
        if method.startswith("window/"):
            params = process.value(params)
        self._say({"jsonrpc": "2.0", "method": method, "params": params}, kind)

    def _take_answer(self, message: dict[str, Any]) -> None:
        answer = self._asked.get(str(message.get("id")))
        if answer is None or answer.done():
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            code = error.get("code") if isinstance(error, dict) else None
            answer.set_exception(Declined(code if isinstance(code, int) else INTERNAL))

    def _error(self, number: str | int | None, code: int, message: str, data: Any = None) -> None:
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        error = process.value(error)
        self._say({"jsonrpc": "2.0", "id": number, "error": error})

    def _say(self, message: dict[str, Any], kind: Kind = "must") -> None:
        self.outbox.put(encoded(message), kind)

    def _send_data(self, data: Any) -> None:
        """What pygls sends: the same way as ours, and without the traceback that it puts into errors."""
        if not data:
            return
        if isinstance(data, types.ResponseErrorMessage) and data.error is not None:
            data.error.data = None
        self.outbox.put(json.dumps(data, default=self._serialize_message).encode())


def _number(message: Any) -> str | int | None:
    """The id in a message, if there is one that the protocol knows."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _core(params: Any) -> dict[str, Any]:
    """What pygls needs of `initialize`, in values that it knows.  Raises when that is not there."""
    capabilities = params.get("capabilities")
    general = capabilities.get("general") if isinstance(capabilities, dict) else None
    offered = general.get("positionEncodings") if isinstance(general, dict) else None
    known = [name for name in offered or () if name in ("utf-8", "utf-16", "utf-32")]
    kept = {name: params.get(name) for name in ("processId", "rootPath", "rootUri", "workspaceFolders")}
    return {**kept, "capabilities": {"general": {"positionEncodings": known or ["utf-16"]}}}


class BaseServer(LanguageServer):
    """A LanguageServer over the hardened protocol; errors go to the log, not into the person's face."""

    protocol: Protocol

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            name,
            version,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            protocol_cls=Protocol,
            converter_factory=default_converter,
            max_workers=2,
        )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log it."""
        log.error("%s: %s", getattr(source, "__name__", source), type(error).__name__)
