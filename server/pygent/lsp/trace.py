"""The log: a rotating file, standard error for warnings, and the client at its trace level.

A line has no payload and no traceback (see `pygent.logs.OneLine`); with `--log-level debug` the file has
whole tracebacks.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.logs import LogFile, OneLine, not_of_sessions

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

TRACES = {"off": logging.WARNING, "messages": logging.INFO, "verbose": logging.DEBUG}
"""From which level on a client is told, by what it asks for with `$/setTrace`."""
TYPES = {logging.ERROR: 1, logging.WARNING: 2, logging.INFO: 3, logging.DEBUG: 4}


def log_to(path: Path | None, level: str) -> None:
    """Log to a file that rotates, if there is one, and warnings to standard error, too."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    logging.getLogger("pygls").setLevel("WARNING")
    whole = level == "debug"
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setLevel("WARNING")
    try:
        if path is not None:
            handlers.append(LogFile(path))
    except OSError as error:
        sys.stderr.write(f"The log {path} can't be written: {error.strerror}.\n")
    for handler in handlers:
        handler.setFormatter(OneLine(whole=whole and handler is not handlers[0]))
        handler.addFilter(not_of_sessions)
        root.addHandler(handler)


class ToClients(logging.Handler):
    """Tells each client with `window/logMessage` what its trace level asks for."""

    def __init__(self, connections: Sequence[PygentServer], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._connections = connections
        self._loop = loop
        self.setFormatter(OneLine(times=False))
        self.addFilter(not_of_sessions)

    def emit(self, record: logging.LogRecord) -> None:
        """Send it from the loop, whichever thread it comes from."""
        if record.name.split(".")[0] != "pygent" or self._loop.is_closed():
            return
        params = {"type": TYPES.get(record.levelno, 4), "message": self.format(record)}
        self._loop.call_soon_threadsafe(self._tell, record.levelno, params)

    def _tell(self, level: int, params: dict[str, Any]) -> None:
        for one in self._connections:
            if one.protocol.initialized and level >= TRACES[one.trace]:
                one.protocol.tell("window/logMessage", params, "passing")
