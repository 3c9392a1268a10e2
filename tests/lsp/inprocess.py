"""A server of one connection in this process, and its client: the real protocol, without a pipe."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from pygent.lsp.server import Host, PygentServer


class Loop:
    """A `Wire` without a process: what the client sends is received at once, in order."""

    def __init__(self, host: Host, capabilities: dict[str, Any], **pygent: Any) -> None:
        self.server = PygentServer(host)
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.heard: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self.server.protocol.outbox.news = self._news.set
        params = {"processId": None, "rootUri": None, "capabilities": capabilities}
        self.post(
            {
                "id": 0,
                "method": "initialize",
                "params": {**params, "initializationOptions": {"pygent": pygent}},
            }
        )
        self._reading = asyncio.ensure_future(self._read())

    def post(self, message: dict[str, Any]) -> None:
        self.server.protocol.receive(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def tell(self, method: str, params: Any) -> None:
        self.post({"method": method, "params": params})

    async def _read(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for body in self.server.protocol.outbox.take():
                message = json.loads(body)
                self.heard.append(message)
                if "method" in message and "id" in message:
                    answer = self.answers.get(message["method"], lambda _: None)(message["params"])
                    self.post({"id": message["id"], "result": answer})

    def close_reading(self) -> None:
        """Read no more of what the server sends."""
        self._reading.cancel()

    def close(self) -> None:
        self._reading.cancel()
        self.server.disconnect()
