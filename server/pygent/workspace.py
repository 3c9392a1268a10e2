"""The workspace: one folder that no path leaves, seen through the editor's unsaved buffers."""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pygent import files
from pygent.errors import PygentError, ToolError
from pygent.records import ChangeKind

MAX_TEXT = 10 * 1024 * 1024
"""Bytes of a text file that a tool reads at the most."""

MAX_SHOWN = 20_000
"""Characters of the present text that the model is shown when its change was made for another one."""


class Documents(Protocol):
    """The editor's open buffers, which are truer than the files on disk."""

    def text(self, path: Path) -> str | None:
        """The unsaved text of an open document; None if it is not open."""

    async def apply(self, path: Path, before: str, after: str, label: str) -> bool:
        """Edit an open document; False if that was refused or its text is no longer `before`."""

    async def create(self, path: Path, label: str) -> None:
        """Let the editor create a file that is about to be written, where it does that."""

    async def delete(self, path: Path, before: str, label: str) -> bool:
        """Let the editor delete the file of an open document; False if it does not, or has another text."""

    def dirty(self) -> list[Path]:
        """Open documents whose text differs from the file on disk."""


_PLAIN = ("utf-8", "surrogateescape")
_BOMS = {
    codecs.BOM_UTF8: _PLAIN,
    codecs.BOM_UTF16_LE: ("utf-16-le", "surrogatepass"),
    codecs.BOM_UTF16_BE: ("utf-16-be", "surrogatepass"),
}
"""How a file is encoded, by its first bytes; without such, as UTF-8 or whatever keeps its bytes."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as the model sees it (line ends as \\n), and what its file needs to stay as it was."""

    content: str
    newline: str = "\n"
    bom: bytes = b""

    def encode(self, content: str) -> bytes:
        """The bytes of a new content in the form of the old one."""
        encoding, errors = _BOMS.get(self.bom, _PLAIN)
        return self.bom + content.replace("\n", self.newline).encode(encoding, errors)


class Workspace:
    """A folder in which the agent works.

    `documents` is set by a front end that has open buffers; `mount` is the folder's name as commands see
    it, so that a path which the model took from a command's output is understood.
    """

    def __init__(self, root: Path, mount: str = "/workspace") -> None:
        self.root = Path(os.path.realpath(root))
        self.mount = mount
        self.documents: Documents | None = None

    def resolve(self, path: str) -> Path:
        """The real place of a path of the model's, relative to the root.

        Raises ToolError if it lies outside the workspace, also by way of links, or can't be a path.
        """
        if not path or "\0" in path:
            raise ToolError("The path is empty or has a NUL character in it.")
        try:
            return self._inside(self._unmounted(path), path)
        except OSError as error:
            raise ToolError(f"{path!r} can't be used as a path: {error.strerror}.") from error

    def _unmounted(self, path: str) -> Path:
        if path == self.mount or path.startswith(self.mount + "/"):
            return self.root / path[len(self.mount) :].lstrip("/")
        return self.root / path

    def _inside(self, target: Path, path: str) -> Path:
        real = Path(os.path.realpath(target))
        if real != self.root and self.root not in real.parents:
            raise ToolError(f"{path!r} is outside the workspace. Use a path relative to its root.")
        found = files.status(real, self.root)
        if found is not None and not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise ToolError(f"{path!r} is neither a file nor a folder.")
        return real

    def relative(self, path: Path) -> str:
        """A path inside the workspace as the model and people know it."""
        return path.relative_to(self.root).as_posix()

    def is_file(self, path: Path) -> bool:
        """Whether a plain file lies at a path.  Raises ToolError if that can't be told."""
        return self._kind(path) == stat.S_IFREG

    def is_folder(self, path: Path) -> bool:
        """Whether a folder lies at a path.  Raises ToolError if that can't be told."""
        return self._kind(path) == stat.S_IFDIR

    def _kind(self, path: Path) -> int:
        try:
            found = files.status(path, self.root)
        except OSError as error:
            raise ToolError(f"{self.relative(path)} can't be looked at: {error.strerror}.") from error
        return 0 if found is None else stat.S_IFMT(found.st_mode)

    def exists(self, path: Path) -> bool:
        """Whether there is a file, or an open document that was never saved.  Raises ToolError."""
        return (self.documents is not None and self.documents.text(path) is not None) or self.is_file(path)

    def read(self, path: Path, limit: int = MAX_TEXT) -> Text:
        """The text of a file, or of its open document.  Raises ToolError if there is none to be had.

        A file of more than `limit` bytes is refused.
        """
        buffer = self.documents.text(path) if self.documents is not None else None
        if buffer is not None:
            return _text(buffer)
        data = self.read_bytes(path, limit)
        bom = next((bom for bom in _BOMS if data.startswith(bom)), b"")
        encoding, errors = _BOMS.get(bom, _PLAIN)
        if encoding == "utf-8" and b"\0" in data[:8192]:
            raise ToolError(f"{self.relative(path)} is a binary file ({len(data)} bytes).")
        try:
            return _text(data[len(bom) :].decode(encoding, errors), bom)
        except UnicodeDecodeError as error:
            raise ToolError(f"{self.relative(path)} is no valid {encoding} text: {error.reason}.") from error

    def read_bytes(self, path: Path, limit: int = MAX_TEXT) -> bytes:
        """The bytes of a file on disk.  Raises ToolError if it is missing, a folder or too large."""
        name = self.relative(path)
        try:
            data = files.read(path, self.root, limit)
        except FileNotFoundError:
            raise ToolError(f"There is no file {name}.") from None
        except IsADirectoryError:
            raise ToolError(f"{name} is a folder.") from None
        except OSError as error:
            raise ToolError(f"{name} can't be read: {error.strerror}.") from error
        if len(data) > limit:
            raise ToolError(f"{name} has more than the {limit} bytes that can be read.")
        return data

    def entries(self, path: Path) -> list[str]:
        """The names in a folder, those of folders with a slash.  Raises ToolError."""
        try:
            return files.entries(path, self.root)
        except OSError as error:
            raise ToolError(f"{self.relative(path)} can't be listed: {error.strerror}.") from error

    async def write(self, path: Path, before: Text | None, after: str, label: str) -> ChangeKind:
        """Put a new text into a file or its open document, and say what that was.

        `before` is the text that the change was made for, None for a new file; a document that is no
        longer at it refuses.  Raises ToolError, and the file is as it was.
        """
        kind: ChangeKind = "created" if before is None else "edited"
        form = before or Text("")
        current = self.read(path) if self.exists(path) else None
        if current != before:
            raise ToolError(self._stale(path, "has changed since you read it", current))
        if self.documents is not None and (buffer := self.documents.text(path)) is not None:
            if not await self.documents.apply(path, buffer, after.replace("\n", form.newline), label):
                now = self.read(path) if self.exists(path) else None
                raise ToolError(
                    self._stale(
                        path, "is open in the editor, which refused the edit or has another text", now
                    )
                )
            return kind
        if self.documents is not None and before is None:
            await self.documents.create(path, label)
        try:
            files.write_atomic(path, form.encode(after), root=self.root)
        except OSError as error:
            raise ToolError(f"{self.relative(path)} can't be written: {error.strerror}.") from error
        return kind

    def _stale(self, path: Path, why: str, current: Text | None) -> str:
        """What the model is told of a change that was made for another text: the one that is there now."""
        name = self.relative(path)
        if current is None:
            return f"{name} {why}; nothing was written. It is no longer there."
        text = printable(current.content)
        cut = f"\n[… {len(text) - MAX_SHOWN} more characters]" if len(text) > MAX_SHOWN else ""
        return f"{name} {why}; nothing was written. Its text is now:\n{text[:MAX_SHOWN]}{cut}"

    def unseen(self) -> list[str]:
        """Files of the workspace whose unsaved text a command can't see."""
        dirty = [] if self.documents is None else self.documents.dirty()
        return sorted(self.relative(path) for path in dirty if self.root in path.parents)


def _text(raw: str, bom: bytes = b"") -> Text:
    """Line ends are hidden from the model only where all are alike, so that none is ever changed."""
    endings = raw.count("\r\n")
    if endings and endings == raw.count("\n"):
        return Text(raw.replace("\r\n", "\n"), "\r\n", bom)
    return Text(raw, "\n", bom)


def printable(content: str) -> str:
    """A text for the model and people, with what is not UTF-8 shown as replacement characters."""
    return content.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def check_root(root: Path, home: Path) -> Path:
    """The real path of a folder that may be a workspace.

    Raises PygentError `denied` for a folder whose contents the agent must not be given as a whole: the
    root of the file system, the home folder, or a parent of it.
    """
    real = Path(os.path.realpath(root))
    home = Path(os.path.realpath(home))
    if real == Path(real.anchor) or real == home or real in home.parents:
        raise PygentError(
            "denied",
            f"{real} can't be a workspace: it holds your home folder or the whole system.",
            "Choose a project's folder.",
        )
    return real
