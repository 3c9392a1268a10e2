"""The workspace and its commands for code that is not asynchronous: tools of one's own, and scripts."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pygent import file_trees
from pygent.errors import PygentError, ToolError
from pygent.sandbox import CommandResult, Sandbox
from pygent.tools.bans import banned
from pygent.workspace import Workspace

if TYPE_CHECKING:
    from pygent.config import Settings

COMMAND_TIMEOUT = 600.0
"""Seconds after which a command is killed where nothing says less."""
Value = TypeVar("Value")


class Runtime:
    """Runs commands and reads and writes files of one workspace; every call blocks.

    Call it from any thread but that of `loop`, on which the work is done.  Paths are relative to the
    workspace; one that leads out of it raises PygentError `denied`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        workspace: Workspace,
        sandbox: Callable[[], Awaitable[Sandbox]],
        settings: Callable[[], Settings],
        outputs: Path,
    ) -> None:
        self._loop = loop
        self._workspace = workspace
        self._sandbox = sandbox
        self._settings = settings
        self._outputs = outputs

    @property
    def base_dir(self) -> Path:
        """The workspace's folder on this machine."""
        return self._workspace.root

    @property
    def use_docker(self) -> bool:
        """Whether commands run in Docker; opens the sandbox.  Raises SandboxUnavailable."""
        return self.do(self._opened()).kind == "docker"

    def bash(
        self,
        cmd: str,
        timeout: float | None = COMMAND_TIMEOUT,
        stream: Callable[[str], None] | None = None,
    ) -> str:
        """Run a shell command; returns `$ cmd`, then its output and how it ended if that was not well.

        `timeout` in seconds ends the whole process tree.  `stream` hears the output as it comes, on
        another thread.  Raises SandboxUnavailable.
        """
        settings = self._settings()
        head = f"$ {cmd}\n"
        if stream is not None:
            stream(head)
        reason = banned(cmd, settings.banned_commands, settings.banned_apps)
        if reason is not None:
            return f"{head}[error] {reason}"
        return head + self.do(self._run(cmd, timeout, stream))

    def write_file(self, path: str | Path, content: str) -> str:
        """Create or replace a text file, whole or not at all; returns what was done."""
        return self.do(self._write(str(path), content))

    def read_file(self, path: str | Path, binary: bool = False) -> str:
        """The text of a file; base64 if `binary` or if it is no text; a sentence if there is none."""
        target = self._resolve(path)
        if not _called(self._workspace.is_file, target):
            return f"file {path} not found"
        data = _called(self._workspace.read_bytes, target)
        if not binary:
            try:
                return data.decode()
            except UnicodeDecodeError:
                pass
        return base64.b64encode(data).decode()

    def upload_file(self, src: str | Path, dest: str | Path | None = None) -> str:
        """Copy a file or folder of this machine into the workspace; links stay links."""
        source = Path(os.path.realpath(Path(src).expanduser()))
        if not source.exists():
            return f"file {src} not found"
        target, name = self._resolve(dest or Path(src).name), Path(src).name
        if not source.is_dir() and _called(self._workspace.is_folder, target):
            target /= name
        _copy(source, source.parent, target, self.base_dir)
        return f"Uploaded {self._workspace.relative(target)}"

    def export_file(self, path: str | Path, dest: str | Path) -> str:
        """Copy a file or folder out of the workspace; links stay links."""
        source = self._resolve(path)
        if not (_called(self._workspace.is_file, source) or _called(self._workspace.is_folder, source)):
            return f"file {path} not found"
        target = Path(os.path.realpath(Path(dest).expanduser()))
        if target.is_dir() and _called(self._workspace.is_file, source):
            target /= source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, self.base_dir, target, target.parent)
        return f"Exported {self._workspace.relative(source)}"

    def _resolve(self, path: str | Path) -> Path:
        return _called(self._workspace.resolve, str(path))

    async def _opened(self) -> Sandbox:
        return await self._sandbox()

    async def _run(self, cmd: str, timeout: float | None, stream: Callable[[str], None] | None) -> str:
        sandbox = await self._sandbox()
        notices: list[str] = []
        done = await sandbox.run(
            cmd, timeout=timeout, on_output=stream, outputs=self._outputs, on_notice=notices.append
        )
        return "\n".join([report(done, timeout), *(f"[{text}]" for text in notices)])

    async def _write(self, path: str, content: str) -> str:
        target = self._resolve(path)
        before = self._workspace.read(target) if self._workspace.exists(target) else None
        try:
            await self._workspace.write(target, before, content, "Written by a program")
        except ToolError as error:
            raise PygentError("conflict", str(error)) from error
        return f"Wrote {self._workspace.relative(target)}"

    def do(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do asynchronous work on the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def report(done: CommandResult, limit: float | None) -> str:
    """The output of a command, then how it ended where that was not well."""
    lines = [done.output.rstrip("\n")] if done.output.strip() else []
    if done.timed_out:
        lines.append(f"[timeout after {limit:g}s]")
    elif done.exit_code != 0:
        lines.append(f"[exit code {done.exit_code}]")
    return "".join(f"{line}\n" for line in lines)


def _called(function: Callable[..., Value], *arguments: Any) -> Value:
    try:
        return function(*arguments)
    except ToolError as error:
        raise PygentError("denied", str(error)) from error


def _copy(source: Path, source_root: Path, target: Path, target_root: Path) -> None:
    try:
        file_trees.copy_tree(source, source_root, target, target_root)
    except OSError as error:
        raise PygentError("conflict", f"{source} can't be copied: {error.strerror or error}.") from error
