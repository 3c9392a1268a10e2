"""Starting and ending: arguments, standard input and output, signals, and exit codes as specified."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pygent import __version__, programs
from pygent.errors import PygentError
from pygent.logs import clean_standard_error
from pygent.lsp.server import Host, PygentServer, soon
from pygent.lsp.trace import ToClients, log_to
from pygent.lsp.transport import claim_streams, read_in_thread, write_in_thread
from pygent.paths import state_folder
from pygent.redaction import process

if TYPE_CHECKING:
    from pygent.app import App

log = logging.getLogger("pygent.lsp")
PARENT_CHECK = 2.0
"""Seconds between looks whether the client's process is still there, where the system can't tell us."""
LAST_WORDS = 2.0
"""Seconds for a client to read what is left when the server ends."""


def serve(argv: Sequence[str] | None) -> int:
    """Parse the arguments and serve on the chosen transport."""
    given = _parser().parse_args(argv)
    streams = None if given.tcp or given.ws else claim_streams()
    environ = dict(os.environ)  # noqa: TID251 - the one place where the server reads it; passed down from here
    # Whatever starts in this process from now on does not inherit the key.
    process.hide(os.environ.pop("OPENAI_API_KEY", None))  # noqa: TID251
    programs.own_process()
    clean_standard_error()
    log_to(given.log_file or _own_log(), given.log_level)
    log.info("pygent-server %s begins", __version__)
    host = Host(lambda: _app(environ, given.config), given.config)
    try:
        if streams is None:
            from pygent.lsp.sockets import Listening, listen  # noqa: PLC0415 - not for the common case

            return asyncio.run(
                listen(host, Listening(given.tcp, given.ws, given.ws_origin, given.token_file))
            )
        return _stdio(host, *streams)
    except KeyboardInterrupt:
        return 130


def _own_log() -> Path | None:
    """The log in the state folder; none where that can't be used, which the client is told on opening it."""
    try:
        return state_folder() / "server.log"
    except PygentError as error:
        sys.stderr.write(f"pygent-server: {error.message} {error.fix}\n")
        return None


def _app(environ: Mapping[str, str], config: Path | None) -> App:
    from pygent.app import App  # noqa: PLC0415 - heavy: after the client has its answer

    return App(environ=environ, home=Path(environ.get("HOME") or Path.home()), config_file=config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pygent-server", description="The Pygent language server.")
    parser.add_argument("--version", action="version", version=f"pygent-server {__version__}")
    transport = parser.add_mutually_exclusive_group()
    transport.add_argument(
        "--stdio", action="store_true", help="serve one client on standard input and output (default)"
    )
    transport.add_argument(
        "--tcp", type=_address, metavar="HOST:PORT", help="serve on a socket; several clients may attach"
    )
    transport.add_argument(
        "--ws", type=_address, metavar="HOST:PORT", help="the same over WebSocket, one message a frame"
    )
    parser.add_argument(
        "--ws-origin",
        action="append",
        default=[],
        metavar="URL",
        help="let web pages of this origin attach (repeatable; default: none)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="where the token of a socket is written (default: server-PORT.token in the state folder)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings instead of pygent.toml")
    parser.add_argument(
        "--log-file", type=Path, metavar="FILE", help="default: server.log in the state folder"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"HOST:PORT, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _stdio(host: Host, source: int, target: int) -> int:
    """Serve one client; the exit code is left to `os._exit`, as a thread may still read standard input."""
    code = asyncio.run(_serve_stdio(host, source, target))
    logging.shutdown()
    os._exit(code)


async def _serve_stdio(host: Host, source: int, target: int) -> int:
    loop = asyncio.get_running_loop()
    server = PygentServer(host)
    protocol = server.protocol
    over: asyncio.Future[int] = loop.create_future()
    logging.getLogger().addHandler(ToClients(host.connections, loop))

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    def gone() -> None:
        end(protocol.exit_code)

    protocol.on_exit = gone
    on_signals(loop, end)
    writing = write_in_thread(target, protocol.outbox, functools.partial(soon, loop, gone))
    read_in_thread(source, loop, protocol.receive, gone, protocol.outbox)
    server.on_greeting = lambda pid: _watch_parent(server, pid, lambda: end(1))
    code = await over
    await host.close()
    server.disconnect()
    await asyncio.to_thread(writing.join, LAST_WORDS)
    return code


def on_signals(loop: asyncio.AbstractEventLoop, end: Callable[[int], None]) -> None:
    """End with 128 + the number of a signal that asks for it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, end, 128 + number)


def _watch_parent(server: PygentServer, pid: int | None, end: Callable[[], None]) -> None:
    """End when the process that the client named has died.

    It is looked at before the client has its answer, after which it may die at any time.  One that was never
    there is of another machine or container: there the end of the stream tells.
    """
    if pid is None or pid <= 0:
        return
    if not _alive(pid):
        log.info("the client's process is not of this machine")
        return
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or an old one
        handle = None
    server.later(_parent_gone(pid, handle, end))


async def _parent_gone(pid: int, handle: int | None, end: Callable[[], None]) -> None:
    if handle is None:
        while _alive(pid):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(PARENT_CHECK)
    else:
        await _readable(handle)
    log.warning("the client's process %s is gone", pid)
    end()


async def _readable(handle: int) -> None:
    """Wait until a process that a descriptor stands for has ended."""
    loop, died = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, died.set)
    try:
        await died.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
