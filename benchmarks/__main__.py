"""One Markdown table of medians and ratios, rounds interleaved, everything in one run."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path

from benchmarks.programs import SERVER, Editor, bare, cli, run
from pygent.config import Settings
from pygent.errors import PygentError
from pygent.replay import ReplayServer, Reply, Script, ScriptedCall
from pygent.sandbox import Sandbox
from pygent.sandbox.choose import open_sandbox
from pygent.sandbox.local import LocalSandbox
from pygent.sandbox.profile import Profile

Samples = dict[str, list[float]]
IMAGE = "pygent-test/python:slim"


def steps(count: int) -> Script:
    """A conversation of so many steps, each reading a file of its own."""
    read = ScriptedCall(name="read_file", arguments={"path": "file-{{step}}.txt"}, id="call{{step}}")
    return Script(replies=[Reply(tool_calls=[read], times=count), Reply(text="Done.", times=1)])


class Bench:
    """The samples of one run."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.samples: Samples = {}
        self.root = Path(tempfile.mkdtemp(prefix="pygent-bench-"))
        self._places = 0

    def note(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)

    def place(self) -> Path:
        """A fresh project in a fresh home."""
        self._places += 1
        place = self.root / str(self._places) / "project"
        place.mkdir(parents=True)
        (place.parent / ".pygent.toml").write_text("[limits]\nsteps = 10000\n")
        for number in range(1, 500):
            (place / f"file-{number}.txt").write_text(f"line one of {number}\nline two\n" * 5)
        return place

    # -- measurements ------------------------------------------------------------------------------

    async def conversation(
        self, name: str, count: int, drive: Callable[[Path, str], Awaitable[float]]
    ) -> None:
        """A conversation: start to first request, cost per step, and how that grows."""
        async with ReplayServer(steps(count)) as server:
            began = await drive(self.place(), server.base_url)
            times = server.times
        costs = [after[0] - before[1] for before, after in pairwise(times)]
        self.note(f"start/{name}", times[0][0] - began)
        self.note(f"step{count}/{name}", statistics.median(costs[:50]))
        if count > 100:
            self.note(f"late{count}/{name}", statistics.median(costs[-50:]))

    async def bare_loop(self, kind: str, place: Path, url: str) -> float:
        return (await run(bare(kind, url, "go"), place, url)).began

    async def cli_loop(self, place: Path, url: str) -> float:
        return (await run(cli("go"), place, url)).began

    async def lsp_loop(self, place: Path, url: str) -> float:
        editor = await Editor.start(SERVER, place, url)
        await editor.initialize(place)
        editor.tell("initialized")
        await editor.command("pygent.chat", text="go")
        await editor.leave()
        return editor.began

    async def handshake(self) -> None:
        """Start to the initialize reply, and memory after it."""
        for name, argv in (("pygls", bare("pygls")), ("lsp", SERVER)):
            place = self.place()
            editor = await Editor.start(argv, place, "http://127.0.0.1:9/v1")
            self.note(f"initialize/{name}", await editor.initialize(place))
            self.note(f"memory/{name}", editor.status("VmRSS") / 1024)
            await editor.leave()

    async def version(self) -> None:
        place = self.place()
        self.note("version/python", (await run([sys.executable, "-c", "pass"], place, "")).wall)
        program = str(Path(sys.executable).with_name("pygent"))
        self.note("version/cli", (await run([program, "--version"], place, "")).wall)

    async def tokens(self, count: int) -> None:
        """A long answer: CPU for all of it, and how late the last token is at the client."""
        script = Script(replies=[Reply(tokens=count)])
        for kind in ("httpx", "lean", "openai"):
            async with ReplayServer(script) as server:
                cost = await run(bare(kind, server.base_url, "go"), self.place(), "")
            self.note(f"tokens/{kind}", cost.cpu)
        async with ReplayServer(script) as server:
            self.note("tokens/cli", (await run(cli("go"), self.place(), server.base_url)).cpu)
        async with ReplayServer(script) as server:
            place = self.place()
            editor = await Editor.start(SERVER, place, server.base_url)
            await editor.initialize(place)
            editor.tell("initialized")
            await editor.command("pygent.chat", text="go")
            self.note("tokens/lsp", editor.cpu())
            self.note("late/lsp", max(0.0, editor.last_delta - server.times[0][1]))
            await editor.leave()

    async def many(self, count: int) -> None:
        """So many conversations of 20 steps at once, in one process."""
        read = ScriptedCall(name="read_file", arguments={"path": "file-{{step}}.txt"}, id="call{{step}}")
        script = Script(replies=[Reply(tool_calls=[read], times=20), Reply(text="Done.")])
        for kind in ("httpx", "lean", "openai"):
            async with ReplayServer(script) as server:
                cost = await run(bare(kind, server.base_url, "go", str(count)), self.place(), "")
            self.note(f"many/{kind}", cost.wall)
        async with ReplayServer(script) as server:
            place = self.place()
            editor = await Editor.start(SERVER, place, server.base_url)
            await editor.initialize(place)
            editor.tell("initialized")
            await editor.command("pygent.tools")
            before = editor.status("VmRSS")
            files = [f"file-{number}.txt" for number in range(1, 22)]
            began = asyncio.get_running_loop().time()
            made = [
                (await editor.command("pygent.delegate", prompt=f"go {n}", files=files))["task"]["id"]
                for n in range(count)
            ]
            ended = await editor.command("pygent.task.wait", taskIds=made, timeout=600)
            self.note("many/lsp", asyncio.get_running_loop().time() - began)
            failed = [task for task in ended["tasks"] if task["status"] != "completed"]
            if failed:
                raise RuntimeError(str(failed[0]))
            self.note("many threads/lsp", editor.status("Threads"))
            self.note("many memory/lsp", (editor.status("VmRSS") - before) / 1024 / count)
            await editor.leave()

    async def commands(self, count: int) -> None:
        """A command in each sandbox that is here."""
        for name, sandbox in [(one.kind, one) async for one in self._sandboxes()]:
            for _ in range(count):
                began = asyncio.get_running_loop().time()
                await sandbox.run("true")
                self.note(f"command/{name}", asyncio.get_running_loop().time() - began)
                began = asyncio.get_running_loop().time()
                process = await asyncio.create_subprocess_exec("bash", "-c", "true")
                await process.wait()
                self.note("command/bash", asyncio.get_running_loop().time() - began)
            await sandbox.close()

    async def _sandboxes(self) -> AsyncIterator[Sandbox]:
        """Each isolation that is here, with the time from nothing to its first command."""
        place, state, env = self.place(), self.root / "state", dict(os.environ)
        yield LocalSandbox(Profile(place, state, env, requested="0"))
        for wanted in ("0", "1"):
            began = asyncio.get_running_loop().time()
            try:
                sandbox = await open_sandbox(
                    Settings(use_docker=wanted, image=IMAGE),  # type: ignore[arg-type]
                    place,
                    environ=env,
                    report=lambda _: None,
                    state=state,
                )
                await sandbox.run("true")
            except PygentError as error:
                print(f"not measured: {error}", file=sys.stderr)
                continue
            if sandbox.kind != "local":
                self.note(f"first command/{sandbox.kind}", asyncio.get_running_loop().time() - began)
                yield sandbox

    async def all(self) -> None:
        """Every measurement, in rounds, so that a busy moment hits all alike."""
        rounds, long, tokens, crowd = (1, 120, 2000, 10) if self.quick else (5, 400, 20_000, 100)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for count in (50, long) if number < 3 else (50,):
                for kind in ("httpx", "lean", "openai"):
                    await self.conversation(kind, count, lambda p, u, k=kind: self.bare_loop(k, p, u))  # type: ignore[misc]
                await self.conversation("cli", count, self.cli_loop)
                await self.conversation("lsp", count, self.lsp_loop)
            for _ in range(3):
                await self.handshake()
                await self.version()
            await self.tokens(tokens)
            if number < 3:
                await self.many(crowd)
            await self.commands(5 if self.quick else 30)
        self.print_table(long, tokens, crowd)

    # -- the table ---------------------------------------------------------------------------------

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def print_table(self, long: int, tokens: int, crowd: int) -> None:
        rows: list[tuple[str, str, str, str, float]] = []
        for who in ("openai", "lean", "cli", "lsp"):
            budget = {"cli": "1.5", "lsp": "1.8"}.get(who, "-")
            rows.append((f"step of 50, {who}", f"step50/{who}", "step50/httpx", budget, 1e3))
        for who in ("httpx", "openai", "cli", "lsp"):
            budget = "1.5" if who in ("cli", "lsp") else "-"
            rows.append(
                (
                    f"last 50 of {long} steps to its first 50, {who}",
                    f"late{long}/{who}",
                    f"step{long}/{who}",
                    budget,
                    1e3,
                )
            )
        rows += [
            ("start to first request, cli", "start/cli", "start/openai", "1.1", 1e3),
            ("`pygent --version` to `python -c pass`", "version/cli", "version/python", "3", 1e3),
            ("start to `initialize` reply, to bare pygls", "initialize/lsp", "initialize/pygls", "1.15", 1e3),
            ("memory after it (MB), to bare pygls", "memory/lsp", "memory/pygls", "1.2", 1),
        ]
        for who in ("openai", "lean", "cli", "lsp"):
            budget = {"cli": "2.0", "lsp": "3.0"}.get(who, "-")
            rows.append((f"{tokens} tokens, CPU, {who}", f"tokens/{who}", "tokens/httpx", budget, 1e3))
        for who in ("openai", "lean", "lsp"):
            rows.append(
                (
                    f"{crowd} conversations, {who}",
                    f"many/{who}",
                    "many/httpx",
                    "1.6" if who == "lsp" else "-",
                    1e3,
                )
            )
        for kind in ("local", "bubblewrap", "docker"):
            if f"command/{kind}" in self.samples:
                budget = {"docker": "3.0", "bubblewrap": "3.2"}.get(kind, "-")
                rows.append((f"a command, {kind}", f"command/{kind}", "command/bash", budget, 1e3))
        for kind in ("bubblewrap", "docker"):
            if f"first command/{kind}" in self.samples:
                rows.append(
                    (f"nothing to first command, {kind}", f"first command/{kind}", "command/bash", "-", 1e3)
                )
        print("| what | median ms | against, ms | ratio | budget |\n| --- | --- | --- | --- | --- |")
        for title, name, base, budget, scale in rows:
            one, other = self.median(name) * scale, self.median(base) * scale
            print(f"| {title} | {one:.1f} | {other:.1f} | {one / other:.2f} | {budget} |")
        print(
            f"| last token on the wire to last `textDelta` | {self.median('late/lsp') * 1e3:.1f} | - | - | 30 ms |"
        )
        print(f"| threads with {crowd} tasks | {self.median('many threads/lsp'):.0f} | - | - | 12 |")
        print(f"| memory of each of them, MB | {self.median('many memory/lsp'):.2f} | - | - | 1 |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    bench = Bench(parser.parse_args().quick)
    try:
        asyncio.run(bench.all())
    finally:
        shutil.rmtree(bench.root, ignore_errors=True)


if __name__ == "__main__":
    main()
