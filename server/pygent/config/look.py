"""One look at the files of a folder that settings come from or name: their bytes, read once.

What is compared with the person's word is what is parsed, and what runs: nothing is opened a second time.
Everything goes through the door (`pygent.files`), so no link is followed and nothing waits for a pipe.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from pygent import files

MAX_FILE = 1024 * 1024
"""Bytes of a settings file; a larger one is no settings file."""
MAX_FILES = 2000
MAX_BYTES = 64 * 1024 * 1024
"""Files, and their bytes, that the settings of a folder may name: all are read at each look that is new."""
MAX_CODE = 4 * 1024 * 1024
"""Bytes of Python that is looked through for what it imports."""
MAX_PLACES = 20_000
"""Places that are looked at, whatever a folder's settings name."""
MAX_DEPTH = 40
"""Folders below each other."""
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
COMPILED = "__pycache__/"
"""The folder that is not looked through: Python is told to keep its compiled files elsewhere."""


class Look:
    """What was found in a folder.

    `root` is the folder; `places` are further folders that commands can write.  `named` are the files that
    each setting names, `refused` why the files of a setting can't be trusted at all.
    """

    def __init__(self, root: Path, places: Iterable[Path] = ()) -> None:
        self.root = root
        self.named: dict[str, set[str]] = {}
        self.refused: dict[str, str] = {}
        self._places = [root, *places]
        self._data: dict[str, bytes] = {}
        self._marks: dict[str, str] = {}
        self._wrong: dict[str, OSError] = {}
        self._stamps: dict[Path, object] = {}
        self._absent: set[str] = set()
        self._room, self._code = MAX_BYTES, MAX_CODE
        self.sealed = False
        """Whether nothing more is read: the look is complete, and may be what the person trusts."""

    @property
    def marks(self) -> Mapping[str, str]:
        """The SHA-256 of each file by its name; a file that is not there has none."""
        return self._marks

    @property
    def is_current(self) -> bool:
        """Whether nothing was changed, made or removed since."""
        return all(self._stamp(path) == stamp for path, stamp in self._stamps.items())

    def add_places(self, places: Iterable[Path]) -> None:
        """Take in further folders that commands can write."""
        self._places += [place for place in places if place not in self._places]

    def is_place(self, folder: Path) -> bool:
        """Whether this is the folder, or another one that commands can write."""
        return folder in self._places

    def inside(self, path: Path) -> Path | None:
        """A path as it lies in one of the folders; None if it lies outside.

        A link in the folder that leads out lies inside: a command can let it lead elsewhere.
        """
        lexical = Path(os.path.normpath(path))
        if any(place in lexical.parents for place in self._places):
            return lexical
        real = Path(os.path.realpath(path))
        return real if any(place in real.parents for place in self._places) else None

    def data(self, path: Path) -> bytes | None:
        """The bytes of a file, at most MAX_FILE + 1; None if there is none.  Raises OSError."""
        name = self._read(path, keep=True)
        if name in self._wrong:
            raise self._wrong[name]
        return self._data.get(name)

    def watches(self, path: Path) -> bool:
        """Whether a file counts, be it there or not."""
        return path in self._stamps

    def says(self, path: Path, text: str) -> bool:
        """Whether a file's text is this one, as editors have it: without byte order mark, any line ends."""
        try:
            data = self.data(path)
        except OSError:
            return False
        plain = text.removeprefix("\ufeff").replace("\r\n", "\n").encode("utf-8", "surrogatepass")
        return data is not None and data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n") == plain

    def holds(self, path: Path) -> bool:
        """Whether the bytes of a file were read at this look."""
        return self.name(path) in self._data

    def is_below(self, path: Path) -> bool:
        """Whether a path is one of the folders or lies in one."""
        real = Path(os.path.realpath(path))
        return self.is_place(real) or self.inside(real) is not None

    def cover(self, key: str, paths: Iterable[Path]) -> None:
        """Take in files, and all that lies below folders, that a setting names."""
        names = self.named.setdefault(key, set())
        waiting = [(path, 0) for path in paths]
        while waiting and not self._is_exhausted:
            path, depth = waiting.pop()
            try:
                if files.is_folder(path, self._place(path)):
                    waiting += [(path / name, depth + 1) for name in self.entries(path) if depth < MAX_DEPTH]
                    continue
            except OSError as error:
                self.refused[key] = f"{self.name(path)} can't be read: {error.strerror}"
                continue
            name = self._read(path, keep=key == "tools")
            if name in self._marks:
                names.add(name)
            if name in self._wrong:
                self.refused[key] = f"{name} can't be trusted: {self._wrong[name].strerror}"
            if depth == MAX_DEPTH:
                self.refused[key] = f"{name} lies more than {MAX_DEPTH} folders deep"
        if self._is_exhausted:
            most = f"{MAX_FILES} files or {MAX_BYTES >> 20} MiB"
            self.refused[key] = f"it names more than {most} of this folder"

    @property
    def _is_exhausted(self) -> bool:
        return len(self._marks) > MAX_FILES or self._room < 0 or len(self._stamps) > MAX_PLACES

    def entries(self, folder: Path) -> list[str]:
        """The names in a folder.  Raises OSError."""
        if self._is_exhausted:
            return []
        self._stamps[folder] = self._stamp(folder)
        found = files.entries(folder, self._place(folder))
        return [name.rstrip("/") for name in found if name != COMPILED]

    def is_file(self, path: Path) -> bool:
        """Whether anything but a folder lies at a path; a file that is made there later changes the look."""
        if self._is_exhausted:
            return False
        if path not in self._stamps:
            self._stamps[path] = self._stamp(path)
        found = self._stamps[path]
        return isinstance(found, tuple) and not stat.S_ISDIR(found[0])

    def differs(self, key: str, accepted: Mapping[str, str]) -> list[str]:
        """The files of a setting that are other ones than those accepted."""
        return sorted(name for name in self.named.get(key, ()) if accepted.get(name) != self._marks[name])

    def _read(self, path: Path, *, keep: bool) -> str:
        name = self.name(path)
        known = name in self._absent or name in self._data or name in self._wrong
        if self.sealed or known or (name in self._marks and not keep):
            return name
        self._stamps[path] = self._stamp(path)  # before it is read: a change meanwhile is seen next time
        try:
            data = files.read(path, self._place(path), MAX_FILE if keep else max(self._room, 0))
            if keep and len(data) > MAX_FILE:
                raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE >> 20} MiB")
        except OSError as error:
            if error.errno in _NOT_THERE:
                self._absent.add(name)
            else:
                self._wrong[name] = _worded(error)
                self._marks[name] = f"! {self._wrong[name].strerror}"
            return name
        self._room -= len(data)
        self._marks[name] = hashlib.sha256(data).hexdigest()
        self._code -= len(data) if path.suffix == ".py" and keep else 0
        if self._code < 0:
            reason = f"with it there is more than {MAX_CODE >> 20} MiB of Python"
            self._wrong[name], self._marks[name] = OSError(errno.EFBIG, reason), f"! {reason}"
        elif keep:
            self._data[name] = data
        return name

    def name(self, path: Path) -> str:
        """A path relative to the folder, or whole where it lies elsewhere."""
        name = path.relative_to(self.root).as_posix() if self.root in path.parents else str(path)
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def _place(self, path: Path) -> Path:
        return next((one for one in self._places if one == path or one in path.parents), path.parent)

    def _stamp(self, path: Path) -> object:
        """What changes with a file or folder, its mode first; its `ctime` nobody can set."""
        try:
            found = files.status(path, self._place(path))
        except OSError as error:
            return error.errno
        if found is None:
            return None
        return found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _worded(error: OSError) -> OSError:
    """An error of the door in words for a person."""
    if error.errno == errno.ELOOP:
        return OSError(
            errno.ELOOP, "it is a link, or lies behind one, and links in a workspace are not followed"
        )
    if error.errno == errno.EINVAL:
        return OSError(errno.EINVAL, "it is no plain file")
    return error
