"""Snapshots of a folder: the first one, one of a folder that is known, and what undo, merge and tasks do with them.

python -m benchmarks.snapshots [10000 50000]

Each row gives seconds on the clock, and of the processors, those of started programs included.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pygent.shadow import Shadow


def project(root: Path, count: int) -> None:
    """Folders of a hundred files, and rules of the usual kind."""
    for number in range(count):
        folder = root / f"src{number // 1000}" / f"part{number // 100}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"file{number}.py").write_text(f"line of {number}\n" * 40)
    (root / ".gitignore").write_text("*.log\n*.pyc\n__pycache__/\n/build/\nnode_modules\n.venv\n")
    past = time.time() - 3600
    for path in root.rglob("*"):
        os.utime(path, (past, past))


async def measured(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """Print what a piece of work takes; returns what it returns."""
    began, clock = os.times(), time.perf_counter()
    result = await work()
    spent, now = time.perf_counter() - clock, os.times()
    processors = sum(after - before for after, before in zip(now[:4], began[:4], strict=True))
    print(f"  {name:28} {spent:8.3f} s  {processors:8.3f} s")
    return result


async def measure(place: Path, count: int) -> None:
    root, shadow = place / "project", Shadow(place / "shadow.git")
    project(root, count)
    print(f"{count} files")
    before = await measured("first snapshot", lambda: shadow.take(root))
    size = sum(512 * path.stat().st_blocks for path in shadow._folder.rglob("*"))
    await measured("nothing changed", lambda: shadow.take(root))
    text = (root / "src0/part0/file7.py").read_text()
    (root / "src0/part0/file7.py").write_text(f"new\n{text}")
    after = await measured("one file changed", lambda: shadow.take(root))
    await measured("what differs", lambda: shadow.entries(before, after))
    await measured("its diff", lambda: shadow.diff(before, after))
    old, theirs = text.encode(), f"new\n{text}".encode()
    assert await measured("merge of a file", lambda: shadow.merge(old, old + b"end\n", theirs))

    async def delegated() -> None:
        given = await shadow.whole(root, {})
        await shadow.check_out(given, place / "task")
        await shadow.take(place / "task")

    await measured("start of a task", delegated)
    await measured("clean-up", lambda: shadow.clean([before, after], 2 << 30))
    files = sum(1 for path in shadow._folder.rglob("*") if path.is_file())
    print(f"  {size / 1e6:.1f} MB of disk after the first; {files} files at the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 50_000])
    for count in parser.parse_args().counts:
        place = Path(tempfile.mkdtemp())
        try:
            asyncio.run(measure(place, count))
        finally:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
