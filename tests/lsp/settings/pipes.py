"""Servers over `--stdio`, for tests that each have a loop of their own: what they say is heard by a thread."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.conftest import python

from pygent.lsp.transport import FrameReader, frame


class Pipe:
    """A server process after its handshake; `heard` is everything that it said."""

    def __init__(
        self,
        capabilities: dict[str, Any],
        *,
        trusted: bool,
        home: Path,
        environ: dict[str, str],
        config: Path | None,
    ) -> None:
        named = () if config is None else ("--config", str(config))
        self.process = subprocess.Popen(
            python("-m", "pygent.lsp", "--stdio", *named),
            env={**os.environ, "HOME": str(home), **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.heard: list[dict[str, Any]] = []
        self._numbers = itertools.count()
        self._news = threading.Condition()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        params = {"processId": None, "rootUri": None, "capabilities": capabilities}
        options = {"pygent": {"trusted": trusted}}
        number = self.ask("initialize", {**params, "initializationOptions": options})
        with self._news:
            assert self._news.wait_for(lambda: self.answer(number), 60)
        self.encoding = str(self.answer(number)["result"]["capabilities"]["positionEncoding"])  # type: ignore[index]
        self.tell("initialized", {})

    def tell(self, method: str, params: Any) -> None:
        self._post({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> int:
        """Send a request; returns its number."""
        number = next(self._numbers)
        self._post({"id": number, "method": method, "params": params})
        return number

    def answer(self, number: int) -> dict[str, Any] | None:
        """The answer to a request, if it is there."""
        found = (one for one in reversed(self.heard) if one.get("id") == number and "method" not in one)
        return next(found, None)

    def close(self) -> None:
        """Shut it down.  Raises AssertionError if it did not end as it should."""
        self.ask("shutdown", None)
        self.tell("exit", {})
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        code = self.process.wait()
        self._reading.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()  # type: ignore[union-attr]
        assert (code, b"Traceback" in errors) == (0, False), (code, errors.decode())

    def _post(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(frame(json.dumps({"jsonrpc": "2.0", **message}).encode()))
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        frames = FrameReader()
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            for body in frames.feed(data):
                assert isinstance(body, bytes)
                self._hear(json.loads(body))

    def _hear(self, message: dict[str, Any]) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()
        if "method" in message and "id" in message:
            self._post({"id": message["id"], "result": None})


class Pool:
    """Servers by what their client announces, for the tests that need no environment of their own."""

    def __init__(self) -> None:
        self._pipes: dict[str, Pipe] = {}

    def get(self, capabilities: dict[str, Any], *, trusted: bool, home: Path) -> Pipe:
        key = json.dumps([capabilities, trusted])
        if key not in self._pipes:
            self._pipes[key] = Pipe(capabilities, trusted=trusted, home=home, environ={}, config=None)
        return self._pipes[key]

    def close(self) -> None:
        """Shut all of them down."""
        while self._pipes:
            self._pipes.popitem()[1].close()


POOL = Pool()
