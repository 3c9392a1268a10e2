"""Starting what is measured, and reading what it cost."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FREE = {"confirm_bash": False, "max_tasks": 100}


@dataclass
class Cost:
    """Wall and CPU seconds of a process, from its start to its end; peak memory in MB; most threads seen."""

    wall: float
    cpu: float
    began: float
    threads: int = 0


async def run(argv: list[str], place: Path, url: str) -> Cost:
    """Run a program to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=place,
        env=environ(place, url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise RuntimeError(f"{argv}: {errors.decode()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, began)


def environ(place: Path, url: str) -> dict[str, str]:
    """A clean environment with a state folder of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    root = Path(__file__).parent.parent
    return {
        **kept,
        "HOME": str(place.parent),
        "XDG_STATE_HOME": str(place.parent / "state"),
        "PYTHONPATH": str(root),
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "key-of-the-benchmark",
        "PYGENT_USE_DOCKER": "0",
    }


def bare(kind: str, *arguments: str) -> list[str]:
    """A program of `benchmarks.bare`."""
    return [sys.executable, "-m", "benchmarks.bare", kind, *arguments]


def cli(prompt: str) -> list[str]:
    """`pygent` for one request."""
    program = Path(sys.executable).with_name("pygent")
    return [str(program), "--cwd", "--no-confirm-bash", "run", prompt]


class Editor:
    """A language client: what it hears is stamped with the time."""

    def __init__(self, process: asyncio.subprocess.Process, began: float) -> None:
        self.process = process
        self.began = began
        self.last_delta = 0.0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, argv: list[str], place: Path, url: str) -> Editor:
        """Start a server."""
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=place,
            env=environ(place, url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 26,
        )
        return cls(process, began)

    async def initialize(self, place: Path, **config: Any) -> float:
        """The handshake; seconds from the start of the process to the answer."""
        options = {"events": True, "trusted": True, "config": {**FREE, **config}}
        folders = [{"uri": place.as_uri(), "name": "w"}]
        await self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": place.as_uri(),
                "capabilities": {},
                "workspaceFolders": folders,
                "initializationOptions": {"pygent": options},
            },
        )
        return time.perf_counter() - self.began

    async def request(self, method: str, params: Any) -> Any:
        """Send a request and wait for its result."""
        self._last += 1
        answer = self._waiting[self._last] = asyncio.get_running_loop().create_future()
        self._post({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        return await answer

    async def command(self, name: str, **fields: Any) -> Any:
        """Run a command."""
        return await self.request("workspace/executeCommand", {"command": name, "arguments": [fields]})

    def tell(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._post({"jsonrpc": "2.0", "method": method, "params": params or {}})

    async def drain(self) -> None:
        """Wait until the server has taken most of what was sent."""
        assert self.process.stdin is not None
        await self.process.stdin.drain()

    async def leave(self) -> None:
        """End the server."""
        await self.request("shutdown", None)
        self.tell("exit")
        await self.process.wait()
        self._reading.cancel()

    def status(self, field: str) -> int:
        """A number of the process's status, as the kernel tells it."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(f"{field}:")[1].split()[0])

    def cpu(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _post(self, message: Any) -> None:
        assert self.process.stdin is not None
        body = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            head = await self.process.stdout.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length:")[1].split()[0])
            body = await self.process.stdout.readexactly(size)
            if b"pygent/event" in body[:60] and b'"textDelta"' in body:
                self.last_delta = time.perf_counter()
                continue
            if b'"id"' not in body[:40] and b'"method"' in body[:60]:
                continue
            message = json.loads(body)
            waiting = self._waiting.pop(message.get("id"), None)
            if waiting is not None:
                if "error" in message:
                    waiting.set_exception(RuntimeError(str(message["error"])))
                else:
                    waiting.set_result(message.get("result"))


SERVER = [sys.executable, "-m", "pygent.lsp", "--stdio"]
