"""`python -m pygent.replay SCRIPT`: serve a script until standard input closes."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

import msgspec

from pygent.replay import ReplayServer, read_script


def main() -> int:
    """Serve; the first line of standard output says where, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m pygent.replay", description="Replay a scripted model.")
    parser.add_argument("script", type=Path, help="a JSON file of replies")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--journal", type=Path, help="write each request to this file, a line of JSON each")
    given = parser.parse_args()
    try:
        server = ReplayServer(read_script(given.script), port=given.port, journal=given.journal)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        parser.error(f"{given.script}: {error}")
    asyncio.run(_serve(server))
    return 0


async def _serve(server: ReplayServer) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with server:
        sys.stdout.write(json.dumps({"baseUrl": server.base_url}) + "\n")
        sys.stdout.flush()
        watching = loop.run_in_executor(None, sys.stdin.read)
        watching.add_done_callback(lambda _: ended.set())
        await ended.wait()
    sys.stdout.flush()
    # The thread that reads standard input can't be interrupted.
    import os  # noqa: PLC0415

    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
