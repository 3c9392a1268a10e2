"""pygls, hardened: every request is answered, cancelling cancels, nothing leaks, nothing pops up.

Stock pygls 2.1 answers a request that it can't decode never, runs a cancelled command to its end
(openlawlibrary/pygls#621 and neighbours), keeps a future for every notification and exits with 0 where the
specification says 1.  What it is good at stays: the types, the documents and the capabilities.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec
from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method

log = logging.getLogger("pygent.lsp")

PARSE, INVALID, UNKNOWN, PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
NOT_INITIALIZED, CANCELLED, FAILED = -32002, -32800, -32803

Handler = Callable[[Any], Awaitable[Any]]
Send = Callable[[bytes], None]


class ResponseError(Exception):
    """An error answer to a request: its code, a sentence, and data for programs."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Declined(Exception):
    """The client answered a request of ours with an error, or not at all."""


class Protocol(LanguageServerProtocol):
    """The message loop of one connection.

    `custom` handles requests with plain dicts, by method; all other methods go to pygls.  `taken` has
    notifications that pygls does not get, `listeners` are told of one after it was taken in.  `capabilities`
    returns what is announced beyond pygls'.  `send` takes message bodies.
    """

    def __init__(self, server: LanguageServer, converter: Any) -> None:
        super().__init__(server, converter)
        self.custom: dict[str, Handler] = {}
        self.listeners: dict[str, Callable[[Any], None]] = {}
        self.raw_params: dict[str, Any] = {}
        self.taken: dict[str, Callable[[Any], None]] = {}
        self.capabilities: Callable[[], dict[str, Any]] = dict
        self.initialized = False
        self.exit_code: int | None = None
        self.on_exit: Callable[[], None] = lambda: None
        self.send: Send = lambda _: None
        self._running: dict[str | int, asyncio.Task[Any]] = {}
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._last_ask = 0

    # -- incoming --------------------------------------------------------------------------------

    def receive(self, body: bytes) -> None:
        """Take in a message body; never raises."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._error(None, PARSE, "The message is not JSON.")
            return
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self._error(None, INVALID, "The message is not a JSON-RPC 2.0 object.")
            return
        if "method" not in message:
            self._take_answer(message)
        elif "id" in message:
            self._take_request(message)
        else:
            self._take_notification(message)

    def _take_request(self, message: dict[str, Any]) -> None:
        number, method = message["id"], message["method"]
        if not isinstance(number, str | int) or not isinstance(method, str):
            self._error(None, INVALID, "A request needs an id and the name of a method.")
        elif not self.initialized and method != "initialize":
            self._error(number, NOT_INITIALIZED, "The server waits for initialize.")
        elif self._shutdown:
            self._error(number, INVALID, "The server is shutting down.")
        elif method == "initialize" and self.initialized:
            self._error(number, INVALID, "The server is initialized already.")
        elif method in self.custom:
            self._start(number, self.custom[method], message.get("params") or {})
        else:
            self._standard_request(message)

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
            result = msgspec.json.encode(task.result(), enc_hook=str)
            self.send(b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (msgspec.json.encode(number), result))
        elif isinstance(error, ResponseError):
            self._error(number, error.code, error.message, error.data)
        else:
            log.error("a request failed", exc_info=error)
            self._error(number, INTERNAL, f"An internal error: {type(error).__name__}. The log has more.")

    def _standard_request(self, message: dict[str, Any]) -> None:
        number, method = message["id"], message["method"]
        if method == "initialize":
            params = message.get("params")
            self.raw_params = params if isinstance(params, dict) else {}
        try:
            decoded = self._decoded(message)
        except Exception as error:  # noqa: BLE001 - whatever the converter raises, the request is answered
            log.info("undecodable %s: %s", method, error)
            self._error(number, PARAMS, f"The params of {method} can't be read.", {"field": "params"})
            return
        try:
            self.handle_message(decoded)
        finally:
            self.initialized = self.initialized or method == "initialize"

    def _decoded(self, message: dict[str, Any]) -> Any:
        """The message as its type; an `initialize` with values newer than ours loses only those."""
        try:
            return self._converter.structure(message, self.get_message_type(message["method"]) or _Plain)
        except Exception:
            if message["method"] != "initialize":
                raise
            capabilities = message["params"].get("capabilities") or {}
            known = {"utf-8", "utf-16", "utf-32"}
            encodings = (capabilities.get("general") or {}).get("positionEncodings") or []
            general = {"positionEncodings": [name for name in encodings if name in known]}
            params = {**message["params"], "capabilities": {"general": general}, "trace": None}
            params = {key: value for key, value in params.items() if key != "trace"}
            return self._converter.structure({**message, "params": params}, types.InitializeRequest)

    def _take_notification(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params") or {}
        if method == "exit":
            self.exit_code = 0 if self._shutdown else 1
            self.on_exit()
        elif method == "$/cancelRequest" and isinstance(params, dict):
            task = self._running.get(params.get("id", ""))
            if task is not None:
                task.cancel()
            elif params.get("id") in self._request_futures:
                self._handle_cancel_notification(params["id"])
        elif self.initialized and not self._shutdown:
            try:
                if method in self.taken:
                    self.taken[method](params)
                else:
                    self.handle_message(self._decoded({"params": {}, **message}))
                self.listeners.get(method, lambda _: None)(params)
            except Exception as error:  # noqa: BLE001 - as above, but there is nobody to answer
                log.info("a notification %s was ignored: %s", method, type(error).__name__)

    def _execute_handler(
        self, msg_id: Any, handler: Any, callback: Any, args: Any = None, kwargs: Any = None
    ) -> None:
        """As pygls, but the future goes when it is done."""

        def done(future: Any) -> None:
            self._request_futures.pop(msg_id, None)
            callback(future)

        super()._execute_handler(msg_id, handler, done, args, kwargs)

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, Any]:
        """As pygls, with what the features announce."""
        result = yield from super().lsp_initialize(params)
        plain = self._converter.unstructure(result)
        plain["capabilities"].update(self.capabilities())
        return plain

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *_: Any) -> None:  # type: ignore[override]
        """Cancel what runs; only `exit` is heard from now on."""
        self._shutdown = True
        for task in list(self._running.values()):
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
            raise Declined(f"no answer to {method} in {timeout} s") from error
        finally:
            del self._asked[number]

    def tell(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._say({"jsonrpc": "2.0", "method": method, "params": params})

    def _take_answer(self, message: dict[str, Any]) -> None:
        answer = self._asked.get(str(message.get("id")))
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(Declined(str(message["error"])))
        else:
            answer.set_result(message.get("result"))

    def _error(self, number: str | int | None, code: int, message: str, data: Any = None) -> None:
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self._say({"jsonrpc": "2.0", "id": number, "error": error})

    def _say(self, message: dict[str, Any]) -> None:
        self.send(msgspec.json.encode(message, enc_hook=str))

    def _send_data(self, data: Any) -> None:
        """What pygls sends: the same way as ours, and without the traceback that it puts into errors."""
        if not data:
            return
        if isinstance(data, types.ResponseErrorMessage) and data.error is not None:
            data.error.data = None
        self.send(json.dumps(data, default=self._serialize_message).encode())


class _Plain:
    """Stands for a method that neither pygls nor we know."""


def converter() -> Any:
    """pygls' converter, with unknown methods left as plain values."""
    made = default_converter()  # type: ignore[no-untyped-call]
    made.register_structure_hook(_Plain, lambda message, _: _unknown(message))
    return made


def _unknown(message: dict[str, Any]) -> Any:
    from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage  # noqa: PLC0415

    if "id" in message:
        return JsonRPCRequestMessage(message["id"], message["method"], "2.0", message.get("params"))
    return JsonRPCNotification(message["method"], "2.0", message.get("params"))


class BaseServer(LanguageServer):
    """A LanguageServer over the hardened protocol; errors go to the log, not into the person's face."""

    protocol: Protocol

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            name,
            version,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            protocol_cls=Protocol,
            converter_factory=converter,
            max_workers=2,
        )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log it."""
        log.error("%s: %s", getattr(source, "__name__", source), error)
