"""`python -m benchmarks.sessions`: what a session of 10,000 messages costs against one of 100.

Each row is a whole program, started in a fresh process: resume to the first request at the model server, list,
and the first page of events over LSP.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.programs import SERVER, Editor, cli, run
from pygent.events import Message, ToolFinished, ToolStarted, TurnFinished, TurnStarted, UsageReported
from pygent.records import Persona, SessionInfo, ToolCall, Usage, new_id, now_ms
from pygent.replay import ReplayServer, Reply, Script
from pygent.store import Store

USED = Usage(prompt_tokens=1000, completion_tokens=50)


def record(state: Path, folder: Path, messages: int) -> str:
    """A session of so many messages in a state folder: turns of four steps, each reading a file."""
    state.mkdir(parents=True)
    store = Store(state)
    now = now_ms()
    info = SessionInfo(
        id=new_id("ses"), title="Long", created_at=now, updated_at=now, workspace=str(folder),
        folder_uri=folder.as_uri(), persona=Persona(name="Pygent"), status="idle",
    )  # fmt: skip
    store.save_session(info)
    seq = 0
    for turn in range(messages // 10):
        for event in _turn(turn):
            seq += 1
            store.append(info.id, seq, event, turn_id=f"trn_{turn:06d}", task_id=None)
    store.close()
    return info.id


def _turn(number: int):  # type: ignore[no-untyped-def]
    yield TurnStarted(text=f"What about {number}?")
    for step in range(4):
        item = f"itm_{number}_{step}"
        arguments = '{"path":"a.txt"}'
        call = ToolCall(item_id=item, call_id=f"call{number}x{step}", name="read_file", arguments=arguments)
        yield Message(item_id=f"{item}m", role="assistant", text="Let me look.", tool_calls=[call])
        yield UsageReported(prompt_tokens=1000, completion_tokens=50)
        yield ToolStarted(item_id=item, name="read_file", title="Read a.txt", arguments={"path": "a.txt"})
        output = f"line one of {number}\nline two\n" * 5
        yield ToolFinished(item_id=item, status="completed", output=output, truncated=False, duration_ms=1)
    yield Message(item_id=f"itm_{number}", role="assistant", text="That is so.")
    yield TurnFinished(status="completed", reply="That is so.", usage=USED)


async def measure(root: Path, sizes: list[int], rounds: int) -> dict[tuple[str, int], list[float]]:
    """Seconds by what was done and the size of the session; rounds interleaved."""
    samples: dict[tuple[str, int], list[float]] = {}
    places: dict[int, tuple[Path, str]] = {}
    for size in sizes:
        place = root / str(size) / "project"
        place.mkdir(parents=True)
        places[size] = place, record(place.parent / "state" / "pygent", place, size)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for size, (place, session) in places.items():
            async with ReplayServer(Script(replies=[Reply(text="Yes.", times=0)])) as server:
                program, *flags, command, text = cli("And now?")
                cost = await run(
                    [program, *flags, "--resume", session, command, text], place, server.base_url
                )
                samples.setdefault(("resume to first request", size), []).append(
                    server.times[0][0] - cost.began
                )
                listed = await run([program, "--cwd", "sessions"], place, server.base_url)
                samples.setdefault(("list", size), []).append(listed.wall)
                for name, seconds in await _over_lsp(place, server.base_url, session):
                    samples.setdefault((name, size), []).append(seconds)
    return samples


async def _over_lsp(place: Path, url: str, session: str) -> list[tuple[str, float]]:
    editor = await Editor.start(SERVER, place, url)
    await editor.initialize(place)
    editor.tell("initialized")
    loop = asyncio.get_running_loop()
    taken = []
    for name, fields in (
        ("pygent.session.list", {}),
        ("pygent.session.events", {"sessionId": session, "limit": 100}),
    ):
        began = loop.time()
        await editor.command(name, **fields)
        taken.append((f"start and {name}", began and loop.time() - editor.began))
    await editor.leave()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs=2, default=[100, 10_000])
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pygent-bench-"))
    try:
        samples = asyncio.run(measure(root, given.sizes, given.rounds))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    small, large = given.sizes
    print(f"| what | {small} messages, ms | {large} messages, ms | ratio |\n| --- | --- | --- | --- |")
    for name in dict.fromkeys(name for name, _ in samples):
        one, other = (statistics.median(samples[name, size]) * 1e3 for size in (small, large))
        print(f"| {name} | {one:.1f} | {other:.1f} | {other / one:.2f} |")


if __name__ == "__main__":
    main()
