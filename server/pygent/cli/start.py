"""From the arguments to a command's exit code: every refusal is one sentence, never a traceback."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from pygent import programs
from pygent.cli.console import Console
from pygent.cli.grammar import UsageError
from pygent.cli.parser import parse
from pygent.errors import PygentError
from pygent.logs import clean_standard_error
from pygent.redaction import process

EXIT = {"configInvalid": 4, "sandboxUnavailable": 5, "limit": 124}
CANCELLED = 130


def start(arguments: list[str]) -> int:
    """Parse, run, and turn whatever goes wrong into a message and a code."""
    environ = dict(os.environ)  # noqa: TID251 - the one place where the CLI reads it; passed down from here
    programs.own_process()
    process.hide(environ.get("OPENAI_API_KEY"))
    clean_standard_error()
    console = Console.standard(environ)
    given = argparse.Namespace(json=False)
    try:
        given = parse(arguments)
        return _run(given, environ, console)
    except UsageError as error:
        console.error(f"{error}.", "pygent --help has every flag and command.")
        return 2
    except PygentError as error:
        console.error(error.message, error.fix)
        if given.json:  # a program that reads the last line finds the end there
            failure = {"code": error.code, "message": error.message, "fix": error.fix}
            console.json({"type": "result", "status": "failed", "reply": "", "error": failure})
        return EXIT.get(error.code, 1)
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        # The reader of our output has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(given: argparse.Namespace, environ: dict[str, str], console: Console) -> int:
    if given.command == "completion":
        from pygent.cli.completion import script  # noqa: PLC0415

        console.answer(script(given.action))
        return 0
    if given.command == "demo":
        from pygent.cli.demo import demo  # noqa: PLC0415

        return _loop(demo(given, environ, console))
    if given.command in ("run", "delegate") or (given.command is None and not sys.stdin.isatty()):
        from pygent.cli.run import delegate, run  # noqa: PLC0415

        if given.command == "delegate":
            return _loop(delegate(given, environ, console))
        return _loop(run(given, environ, console))
    if given.command is None:
        from pygent.cli.repl import interact  # noqa: PLC0415

        return _loop(interact(given, environ, console), interactive=True)
    from pygent.cli.commands import COMMANDS  # noqa: PLC0415

    return _loop(COMMANDS[given.command](given, environ, console))


def _loop(work: Coroutine[Any, Any, int], *, interactive: bool = False) -> int:
    """Run to the end; Ctrl-C and SIGTERM cancel, so that everything is put away."""

    async def guarded() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        code = [CANCELLED]

        def end(number: int) -> None:
            code[0] = 128 + number
            task.cancel()

        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, end, signal.SIGTERM)
            if not interactive:
                loop.add_signal_handler(signal.SIGINT, end, signal.SIGINT)
        try:
            return await task
        except asyncio.CancelledError:
            return code[0]

    return asyncio.run(guarded())
