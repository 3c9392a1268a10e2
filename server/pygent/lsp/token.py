"""The token of a server on a socket: whoever can read its file may speak to the server."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http
import logging
import os
import secrets
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent import files
from pygent.lsp.base import FAILED
from pygent.lsp.surrogates import decoded, encoded
from pygent.lsp.transport import BadFrame, FrameReader, frame
from pygent.redaction import process

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

log = logging.getLogger("pygent.lsp")
BYTES = 32
"""Random bytes of a token: nobody guesses 256 bits."""
HANDSHAKE = 10.0
"""Seconds for a client to show the token."""
MAX_FIRST = 1024 * 1024
"""Bytes of the message that a client shows the token in."""
_LONGEST = 4096
_REFUSED = "The token of this server is missing or wrong."


class Token:
    """A new token, and the file that it is found in: for its owner only, and gone with the server.

    It is in no message, log or argument of a program, which others on the machine could read.
    """

    def __init__(self) -> None:
        self.path = Path("server.token")
        self._value = secrets.token_urlsafe(BYTES)
        process.hide(self._value)

    def publish(self, path: Path) -> None:
        """Write the file, in place of that of a server which has ended.  Raises OSError."""
        self.path = Path(os.path.realpath(path.parent)) / path.name
        files.write_chosen(self.path, f"{self._value}\n".encode(), 0o600)

    def withdraw(self) -> None:
        """Remove the file, unless it is another server's by now."""
        with contextlib.suppress(OSError):
            if self.fits(files.read(self.path, self.path.parent, _LONGEST).decode("ascii", "replace")):
                files.remove(self.path, self.path.parent)

    def fits(self, given: str | None) -> bool:
        """Whether somebody has the token; the time that it takes does not tell how much of it fits."""
        return given is not None and hmac.compare_digest(
            given.strip().encode("utf-8", "replace"), self._value.encode()
        )

    @property
    def fix(self) -> str:
        """How to be let in."""
        return f"Send the token that is in {self.path}; docs/protocol.md says how."


async def admitted(
    token: Token, frames: FrameReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> list[bytes | BadFrame]:
    """The first messages of a client that shows the token; none of one that does not, which is told so.

    The token stands in the header of the first message, or in the options of `initialize`.
    """
    try:
        return await asyncio.wait_for(_first(token, frames, reader, writer), HANDSHAKE)
    except asyncio.TimeoutError:
        log.warning("a client of the socket was refused: it showed no token in %g s", HANDSHAKE)
        return []
    except OSError:
        return []


async def _first(
    token: Token, frames: FrameReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> list[bytes | BadFrame]:
    found: list[bytes | BadFrame] = []
    while not found:
        if not (data := await reader.read(1 << 16)):
            return []
        found = frames.feed(data)
    first = found[0]
    if isinstance(first, BadFrame):
        log.warning("a client of the socket was refused: %s", first)
        return []
    number, shown = _read(first)
    if token.fits(frames.bearer) or token.fits(shown):
        return found
    log.warning("a client of the socket was refused: no token, or a wrong one")
    error = {"code": FAILED, "message": _REFUSED, "data": {"code": "denied", "fix": token.fix}}
    writer.write(frame(encoded({"jsonrpc": "2.0", "id": number, "error": error})))
    writer.write_eof()
    while await reader.read(1 << 16):  # a socket that is closed on unread bytes takes the answer with it
        pass
    return []


def _read(body: bytes) -> tuple[Any, str | None]:
    """The id of a message, and the token in its options if it is `initialize`."""
    try:
        message = decoded(body)
        method, number = message.get("method"), message.get("id")
    except (ValueError, RecursionError, AttributeError):
        return None, None
    number = number if isinstance(number, str | int) else None
    try:
        token = message["params"]["initializationOptions"]["pygent"]["token"]
    except (LookupError, TypeError):
        return number, None
    return number, token if isinstance(token, str) and method == "initialize" else None


def gate(token: Token) -> Callable[[ServerConnection, Request], Response | None]:
    """What looks at each WebSocket handshake, before any message."""

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        given = [word for line in request.headers.get_all("Authorization") for word in line.split()[1:]]
        query = urllib.parse.urlsplit(request.path).query
        given += urllib.parse.parse_qs(query).get("token", [])
        if any(map(token.fits, given)):
            return None
        log.warning("a client of the socket was refused: no token, or a wrong one")
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, f"{_REFUSED} {token.fix}\n")

    return process_request
