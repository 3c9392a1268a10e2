"""Removes a container whose maker is killed before the container can notice by itself.

A container ends with its connection to us (see `supervisor`), but only once it is connected and started: a
slow engine may still be making it when we are killed.  This program waits beside it for that time, and
costs no more than an idle Python: the Docker SDK is imported only when there is something to remove.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from pygent import programs

PASSED = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME", "PATH", "XDG_RUNTIME_DIR")
"""What it needs of the environment: where the engine is, and no secret."""
START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pygent.sandbox import watchdog
sys.stdin.buffer.read()
watchdog.remove(sys.argv[2])
"""
"""The program, on the server's own import path and on no other: PYTHONPATH and the like do not count."""
LOOKED_FOR = 60
"""Seconds in which an engine that was asked for a container can still come up with it."""


@contextlib.contextmanager
def watched(name: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Have the container of a name removed if this process dies within the block."""
    known = {key: environ[key] for key in PASSED if key in environ}
    watchdog = subprocess.Popen(
        [sys.executable, "-I", "-c", START, json.dumps(programs.import_path()), name],
        cwd="/",  # the working directory may be a stranger's folder
        env={**known, "PATH": programs.safe_path(environ.get("PATH", ""))},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watchdog.kill()
        watchdog.communicate()


def remove(name: str) -> None:
    """Remove a container as soon as it is there, within `LOOKED_FOR`."""
    import docker.errors  # noqa: PLC0415 - heavy

    from pygent.sandbox import engine  # noqa: PLC0415 - needed only now

    client, end = engine.connect(os.environ), time.monotonic() + LOOKED_FOR
    while time.monotonic() < end:
        try:
            client.api.remove_container(name, force=True)
        except docker.errors.NotFound:
            time.sleep(0.5)
        else:
            return
