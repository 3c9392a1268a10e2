"""Finding things in the workspace, without what `.gitignore` leaves out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from pygent import files
from pygent.errors import ToolError
from pygent.gitignore import walk
from pygent.protected import is_secret
from pygent.tools import Arguments, Result, ToolContext
from pygent.visible import NAME, visible
from pygent.workspace import Workspace, printable

MAX_MATCHES = 200
MAX_LINE = 300
MAX_FILE = 2 * 1024 * 1024
SECONDS = 10.0
"""A search ends after this long: a pattern of the model's may need exponential time."""


class Grep(Arguments):
    """Search file contents with a regular expression; gives path:line:text."""

    name: ClassVar[str] = "grep"
    parallel: ClassVar[bool] = True
    pattern: str
    path: Annotated[str, Meta(description="File or folder to search.")] = "."
    include: Annotated[str | None, Meta(description="Only files whose name fits, such as *.py.")] = None

    def title(self) -> str:
        """The pattern."""
        return f"Search for {self.pattern}"

    async def run(self, context: ToolContext) -> Result:
        """Search in a thread, for a limited time."""
        start = context.workspace.resolve(self.path)
        found = await asyncio.to_thread(_grep, context.workspace, start, self.pattern, self.include)
        return Result("\n".join(found[:MAX_MATCHES]) or "No match.", truncated=len(found) > MAX_MATCHES)


class Glob(Arguments):
    """List files whose path fits a pattern such as **/*.py, the newest first."""

    name: ClassVar[str] = "glob"
    parallel: ClassVar[bool] = True
    pattern: str

    def title(self) -> str:
        """The pattern."""
        return f"List {self.pattern}"

    async def run(self, context: ToolContext) -> Result:
        """List in a thread."""
        found = await asyncio.to_thread(_glob, context.workspace, self.pattern)
        more = f"\n[{len(found) - MAX_MATCHES} more]" if len(found) > MAX_MATCHES else ""
        names = (visible(printable(name), keep=NAME) for name in found[:MAX_MATCHES])
        return Result("\n".join(names) + more or "No file.", truncated=bool(more))


def _grep(workspace: Workspace, start: Path, pattern: str, include: str | None) -> list[str]:
    import fnmatch  # noqa: PLC0415

    import regex  # noqa: PLC0415 - a search with a time limit

    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise ToolError(f"The pattern is not a regular expression: {error}.") from error
    deadline = time.monotonic() + SECONDS
    found: list[str] = []
    try:
        for path in [start] if workspace.is_file(start) else walk(workspace.root, start):
            if time.monotonic() > deadline:
                raise TimeoutError
            if is_secret(path.name) or (include and not fnmatch.fnmatch(path.name, include)):
                continue
            found += _matches(workspace, path, compiled, deadline)
            if len(found) > MAX_MATCHES:
                break
    except TimeoutError:
        found.append(f"[stopped after {SECONDS:g} s; narrow the search]")
    return found


def _matches(workspace: Workspace, path: Path, compiled: object, deadline: float) -> Iterator[str]:
    import regex  # noqa: PLC0415

    assert isinstance(compiled, regex.Pattern)
    try:
        content = workspace.read(path, MAX_FILE).content
    except ToolError:
        return  # binary, too large, or no plain file any more
    name = visible(printable(workspace.relative(path)), keep=NAME)
    for number, line in enumerate(content.split("\n"), 1):
        left = deadline - time.monotonic()
        if left <= 0 or compiled.search(line[:10_000], timeout=left, concurrent=True):
            if left <= 0:
                raise TimeoutError
            yield printable(f"{name}:{number}:{line[:MAX_LINE]}")


def _glob(workspace: Workspace, pattern: str) -> list[str]:
    import pathspec  # noqa: PLC0415

    spec = pathspec.GitIgnoreSpec.from_lines([pattern if "/" in pattern else f"**/{pattern}"])
    fits = [
        path for path in walk(workspace.root, workspace.root) if spec.match_file(workspace.relative(path))
    ]
    fits.sort(key=lambda path: _changed_at(workspace, path), reverse=True)
    return [workspace.relative(path) for path in fits]


def _changed_at(workspace: Workspace, path: Path) -> float:
    """When a file was changed last; the beginning of time if it can't be told any more."""
    try:
        found = files.status(path, workspace.root)
    except OSError:
        return 0.0
    return 0.0 if found is None else found.st_mtime


TOOLS = (Grep, Glob)
