"""Starting and ending: transports, logs, signals, and exit codes as the specification has them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from pygent import __version__
from pygent.lsp.server import Host, PygentServer
from pygent.lsp.transport import BadFrame, FrameReader, Writer, claim_stdout, frame, read_in_thread
from pygent.paths import state_folder

if TYPE_CHECKING:
    from pygent.app import App

log = logging.getLogger("pygent.lsp")
LOG_BYTES, LOGS_KEPT = 2_000_000, 3
PARENT_CHECK = 2.0
"""Seconds between looks whether the process that started us is still there."""


def serve(argv: Sequence[str] | None) -> int:
    """Parse the arguments and serve on the chosen transport."""
    given = _parser().parse_args(argv)
    environ = dict(os.environ)  # noqa: TID251 - the one place where the server reads it; passed down from here
    # Whatever starts in this process from now on does not inherit the key.
    os.environ.pop("OPENAI_API_KEY", None)  # noqa: TID251
    _log_to(given.log_file, given.log_level)
    host = Host(lambda: _app(environ, given.config))
    try:
        if given.tcp:
            return asyncio.run(_tcp(host, *given.tcp))
        return _stdio(host)
    except KeyboardInterrupt:
        return 130


def _app(environ: Mapping[str, str], config: Path | None) -> App:
    from pygent.app import App  # noqa: PLC0415 - heavy: after the client has its answer

    return App(environ=environ, home=Path(environ.get("HOME") or Path.home()), config_file=config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pygent-server", description="The Pygent language server.")
    parser.add_argument("--version", action="version", version=f"pygent-server {__version__}")
    parser.add_argument("--stdio", action="store_true", help="serve on standard input and output (default)")
    parser.add_argument(
        "--tcp", type=_address, metavar="HOST:PORT", help="serve on a socket; several clients may attach"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings instead of pygent.toml")
    parser.add_argument(
        "--log-file", type=Path, metavar="FILE", help="default: server.log in the state folder"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise argparse.ArgumentTypeError(f"HOST:PORT, not {text!r}")
    return host or "127.0.0.1", int(port)


def _log_to(path: Path | None, level: str) -> None:
    """A rotating file; warnings go to standard error, too."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    logging.getLogger("pygls").setLevel("WARNING")
    shape = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    file = RotatingFileHandler(
        path or state_folder() / "server.log", maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, delay=True
    )
    errors = logging.StreamHandler(sys.stderr)
    errors.setLevel("WARNING")
    for handler in (file, errors):
        handler.setFormatter(shape)
        root.addHandler(handler)


def _stdio(host: Host) -> int:
    """Serve one client; the exit code is left to `os._exit`, as a thread may still read standard input."""
    writer = Writer(claim_stdout())
    code = asyncio.run(_serve_stdio(host, writer))
    writer.close()
    logging.shutdown()
    os._exit(code)


async def _serve_stdio(host: Host, writer: Writer) -> int:
    loop = asyncio.get_running_loop()
    server = PygentServer(host)
    over: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    def ended(problem: str | None) -> None:
        if problem:
            log.error("the client's stream can't be read: %s", problem)
        end(0 if server.protocol._shutdown else 1)

    server.protocol.send = writer.send
    server.protocol.on_exit = lambda: end(server.protocol.exit_code or 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, end, 128 + number)
    read_in_thread(sys.stdin.buffer, loop, server.protocol.receive, ended)
    watching = asyncio.ensure_future(_parent_gone(server, end))
    code = await over
    watching.cancel()
    server.disconnect()
    await host.close()
    return code


async def _parent_gone(server: PygentServer, end: object) -> None:
    """End when the process that the client named is no longer there."""
    while True:
        await asyncio.sleep(PARENT_CHECK)
        pid = server.process_id
        if pid and not _alive(pid):
            log.warning("the client's process %s is gone", pid)
            end(1)  # type: ignore[operator]
            return


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


async def _tcp(host: Host, address: str, port: int) -> int:
    """Serve any number of clients, each by a server of its own over the same App."""
    connections: set[asyncio.Task[None]] = set()

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _serve_stream(PygentServer(host), reader, writer)
        finally:
            connections.discard(task)

    listening = await asyncio.start_server(serve_client, address, port)
    where = listening.sockets[0].getsockname()
    sys.stderr.write(f"pygent-server listens on {where[0]}:{where[1]}\n")
    sys.stderr.flush()
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set_result, 128 + number)
    code = await over
    listening.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await host.close()
    return code


async def _serve_stream(
    server: PygentServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client of a socket until it leaves."""
    left = asyncio.Event()
    server.protocol.send = lambda body: writer.write(frame(body))
    server.protocol.on_exit = left.set
    frames = FrameReader()
    leaving = asyncio.ensure_future(left.wait())
    try:
        while not left.is_set():
            reading = asyncio.ensure_future(reader.read(1 << 16))
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            data = reading.result() if reading.done() else b""
            if not data:
                reading.cancel()
                break
            for body in frames.feed(data):
                server.protocol.receive(body)
    except (OSError, BadFrame) as error:
        log.warning("a client's stream can't be read: %s", error)
    finally:
        leaving.cancel()
        server.disconnect()
        writer.close()
