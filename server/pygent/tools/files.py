"""Reading and changing files of the workspace."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from pygent import files, programs
from pygent.errors import ToolError
from pygent.protected import is_protected
from pygent.tools import Arguments, Result, ToolContext
from pygent.tools.edits import kept, nearest, replace, unified_diff
from pygent.visible import NAME, visible
from pygent.workspace import Text, Workspace, printable

MAX_LINES = 2000
MAX_KEPT = 65 * 1024 * 1024
"""Bytes of a command's whole output, a little more than are ever kept of it."""
MAX_OUTPUT = 48 * 1024
"""Characters of a file that one call shows."""

PathArgument = Annotated[str, Meta(description="Relative to the workspace's root.")]


class ReadFile(Arguments):
    """Read a text file, or list a folder. Lines come numbered; the numbers are not part of the file."""

    name: ClassVar[str] = "read_file"
    parallel: ClassVar[bool] = True
    path: PathArgument
    start: Annotated[int, Meta(description="First line, from 1.")] = 1
    end: Annotated[int | None, Meta(description="Last line, included.")] = None

    def title(self) -> str:
        """The file and the lines."""
        span = f":{self.start}-{self.end or ''}" if self.start > 1 or self.end else ""
        return f"Read {self.path}{span}"

    async def run(self, context: ToolContext) -> Result:
        """Read the open buffer or the file."""
        if Path(self.path).parent == context.outputs:
            return self._page(_output(Path(self.path)))
        path = context.workspace.resolve(self.path)
        if context.workspace.is_folder(path):
            return Result(_listing(context.workspace, path))
        await context.confirm_secret(context.workspace.relative(path))
        return self._page(printable(context.workspace.read(path).content))

    def _page(self, content: str) -> Result:
        lines = content.split("\n")
        if lines and not lines[-1]:
            lines.pop()  # the end of the last line, not a line of its own
        first = max(self.start, 1)
        chosen = lines[first - 1 : self.end][:MAX_LINES]
        shown, size = list[str](), 0
        for number, line in enumerate(chosen, first):
            size += len(line) + 8
            if size > MAX_OUTPUT and shown:
                break
            shown.append(f"{number:6d}\t{line[:MAX_OUTPUT]}")
        last = first + len(shown) - 1
        cut = last < min(self.end or len(lines), len(lines))
        note = f"\n[lines {first} to {last} of {len(lines)}; go on with start={last + 1}]" if cut else ""
        return Result("\n".join(shown) + note if shown else f"[{len(lines)} lines]", truncated=cut)


class WriteFile(Arguments):
    """Create a file, or replace its whole content. To change a part of a file use edit_file."""

    name: ClassVar[str] = "write_file"
    changes: ClassVar[bool] = True
    path: PathArgument
    content: str

    def title(self) -> str:
        """The file."""
        return f"Write {self.path}"

    async def run(self, context: ToolContext) -> Result:
        """Write, keeping the form of an existing file."""
        path = context.workspace.resolve(self.path)
        before = context.workspace.read(path) if context.workspace.exists(path) else None
        if before is not None and before.content == self.content:
            return Result(f"{self.path} already has this content.")
        await _change(context, path, before, self.content)
        return Result(f"{'Created' if before is None else 'Replaced'} {self.path}.")


class EditFile(Arguments):
    """Replace exact text in a file. `old` must occur once, so include enough lines around it, unless
    replace_all is set. Read the file first; leave the line numbers out.
    """

    name: ClassVar[str] = "edit_file"
    changes: ClassVar[bool] = True
    path: PathArgument
    old: str
    new: str
    replace_all: bool = False

    def title(self) -> str:
        """The file."""
        return f"Edit {self.path}"

    async def run(self, context: ToolContext) -> Result:
        """Replace, or leave the file byte for byte as it is and say why."""
        path = context.workspace.resolve(self.path)
        before = context.workspace.read(path)
        if not self.old:
            raise ToolError("`old` is empty; use write_file to create a file.")
        if self.old == self.new:
            raise ToolError("`old` and `new` are the same.")
        count = before.content.count(self.old)
        if count == 0:
            raise ToolError(f"`old` is not in {self.path}. {nearest(printable(before.content), self.old)}")
        if count > 1 and not self.replace_all:
            raise ToolError(
                f"`old` occurs {count} times in {self.path}; add lines around it or set replace_all."
            )
        after, line = replace(before.content, self.old, self.new)
        await _change(context, path, before, after)
        many = f" in {count} places" if count > 1 else ""
        return Result(f"Edited {self.path}{many}, first at line {line}.")


class DownloadFile(Arguments):
    """Get a file's content whole; base64 if binary is set."""

    name: ClassVar[str] = "download_file"
    parallel: ClassVar[bool] = True
    path: PathArgument
    binary: bool = False

    def title(self) -> str:
        """The file."""
        return f"Download {self.path}"

    async def run(self, context: ToolContext) -> Result:
        """Read it."""
        path = context.workspace.resolve(self.path)
        await context.confirm_secret(context.workspace.relative(path))
        if self.binary:
            return Result(base64.b64encode(context.workspace.read_bytes(path, MAX_OUTPUT)).decode())
        content = printable(context.workspace.read(path).content)
        cut = len(content) > MAX_OUTPUT
        note = f"\n[{len(content) - MAX_OUTPUT} characters left out; page with read_file]" if cut else ""
        return Result(content[:MAX_OUTPUT] + note, truncated=cut)


async def _change(context: ToolContext, path: Path, before: Text | None, after: str) -> None:
    """Show the change if a person wants to see it first, make it, announce it."""
    name = context.workspace.relative(path)
    diff = unified_diff(name, None if before is None else before.content, after)
    title = f"{'Create' if before is None else 'Change'} {name}"
    own = programs.within(path, programs.own_files(context.workspace.root))
    if (own or is_protected(name)) and not context.opened(path):
        await context.confirm(kind="path", title=f"{title}, which is protected", detail=name, diff=diff)
    elif context.settings.confirm_edits:
        await context.confirm(kind="edit", title=title, detail=name, diff=diff)
    kind = await context.workspace.write(path, before, after, f"Pygent: {name}")
    context.changed(path, kind, kept(diff))


def _output(path: Path) -> str:
    """A whole output that a command of this session had.  Raises ToolError."""
    try:
        return files.read(path, path.parent, MAX_KEPT).decode("utf-8", "replace")
    except OSError as error:
        raise ToolError(f"{path} can't be read: {error.strerror}.") from error


def _listing(workspace: Workspace, folder: Path) -> str:
    names = workspace.entries(folder)
    more = f"\n[{len(names) - MAX_LINES} more]" if len(names) > MAX_LINES else ""
    shown = (visible(printable(name), keep=NAME) for name in names[:MAX_LINES])
    return ("\n".join(shown) or f"{workspace.relative(folder)} is empty.") + more


TOOLS = (ReadFile, WriteFile, EditFile, DownloadFile)
