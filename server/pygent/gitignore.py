"""What `.gitignore` leaves out of a folder, without git, and the files that it leaves.

Git itself is not run: over a hostile work tree it executes what the repository's configuration names.
Folders are read through handles, links are not followed, and a `.gitignore` that is no plain file of a
sensible size is passed over.  Names are bytes here, as git compares them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pygent import files
from pygent.wildmatch import Uncompilable, translate

MAX_BYTES = 512 * 1024
MAX_PATTERNS = 2000
"""A `.gitignore` beyond these is passed over: a stranger's would hold the server up."""
MAX_DEPTH = 120
"""Folders further down are passed over: each level keeps a handle open."""

_SPACES = re.compile(rb"(?<!\\) +\Z")
_MAGIC = re.compile(rb"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A line of a `.gitignore`; `wildcard` is a regular expression, of the text unless that is literal."""

    text: bytes
    excludes: bool
    only_folders: bool
    whole_path: bool
    wildcard: bytes | None

    @classmethod
    def parse(cls, line: bytes, number: int) -> Pattern | None:
        """None for what is no pattern, or one that never fits.

        As `parse_path_pattern` in git's dir.c; `number` keeps the names of groups apart.
        """
        line = _SPACES.sub(b"", line)
        if not line or line.startswith(b"#"):
            return None
        excludes = not line.startswith(b"!")
        text = line if excludes else line[1:]
        only_folders = text.endswith(b"/")
        text = text[:-1] if only_folders else text
        whole_path = b"/" in text
        text = text.removeprefix(b"/") if whole_path else text
        if not text:
            return None
        try:
            wildcard = translate(text, f"p{number}_") if _MAGIC.search(text) else None
        except Uncompilable:
            return None
        return cls(text, excludes, only_folders, whole_path, wildcard)


class Rules:
    """The patterns of one `.gitignore`; the last one that fits decides."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self._names = _Group([(n, one) for n, one in enumerate(patterns) if not one.whole_path])
        self._paths = _Group([(n, one) for n, one in enumerate(patterns) if one.whole_path])

    @classmethod
    def parse(cls, data: bytes) -> Rules | None:
        """None where nothing is said, or too much."""
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if sum(line[:1] not in (b"", b"\r", b"#") for line in lines) > MAX_PATTERNS:
            return None
        found = [Pattern.parse(line.removesuffix(b"\r"), n) for n, line in enumerate(lines)]
        patterns = [pattern for pattern in found if pattern is not None]
        return cls(patterns) if patterns else None

    def verdict(self, path: bytes, name: bytes, is_folder: bool) -> bool | None:
        """Whether a path below the folder of the rules is left out; None if they don't say."""
        by_name = self._names.last(name, is_folder)
        by_path = self._paths.last(path, is_folder)
        found = max((one for one in (by_name, by_path) if one), key=lambda one: one[0], default=None)
        return None if found is None else found[1].excludes


@dataclass(slots=True)
class _Group:
    """Patterns that are compared with the same thing: a name, or a path.

    Literal ones are looked up, and all others tried in one expression first, as nearly always none fits.
    """

    patterns: list[tuple[int, Pattern]]
    _literal: dict[bytes, list[tuple[int, Pattern]]] = field(init=False)
    _wild: list[tuple[int, Pattern, bytes]] = field(init=False)
    _any: re.Pattern[bytes] | None = field(init=False)

    def __post_init__(self) -> None:
        self._literal, self._wild = {}, []
        for number, pattern in self.patterns:
            if pattern.wildcard is None:
                self._literal.setdefault(pattern.text, []).append((number, pattern))
            else:
                self._wild.append((number, pattern, pattern.wildcard))
        alternatives = b"|".join(wildcard for _, _, wildcard in self._wild)
        self._any = re.compile(alternatives, re.DOTALL) if alternatives else None

    def last(self, text: bytes, is_folder: bool) -> tuple[int, Pattern] | None:
        """The last pattern that fits, with its number."""
        found = None
        for number, pattern in reversed(self._literal.get(text, ())):
            if is_folder or not pattern.only_folders:
                found = number, pattern
                break
        if self._any is None or not self._any.match(text):
            return found
        for number, pattern, wildcard in reversed(self._wild):
            if found is not None and number < found[0]:
                break
            if (is_folder or not pattern.only_folders) and _compiled(wildcard).match(text):
                return number, pattern
        return found


@functools.lru_cache(4096)
def _compiled(wildcard: bytes) -> re.Pattern[bytes]:
    return re.compile(wildcard, re.DOTALL)


Stack: TypeAlias = "tuple[tuple[int, Rules], ...]"
"""The rules that hold in a folder, the nearest last, each with where the paths that it judges begin."""


def left_out(path: bytes, name: bytes, is_folder: bool, stack: Stack) -> bool:
    """The verdict of the nearest `.gitignore` that has one."""
    for start, rules in reversed(stack):
        verdict = rules.verdict(path[start:], name, is_folder)
        if verdict is not None:
            return verdict
    return False


def extended(stack: Stack, handle: int, prefix: bytes) -> Stack:
    """The rules with those of the folder itself; its paths begin with `prefix`."""
    try:
        with files.opened_in(handle, ".gitignore") as file:
            data = files.all_of(file, MAX_BYTES + 1)
    except OSError:
        return stack
    rules = Rules.parse(data) if len(data) <= MAX_BYTES else None
    return stack if rules is None else (*stack, (len(prefix), rules))


def is_repository_name(name: bytes) -> bool:
    """Whether git would take a folder of this name for a repository, on any file system."""
    return name.lower() in (b".git", b"git~1")


def walk(root: Path, start: Path) -> Iterator[Path]:
    """The files below `start` that no `.gitignore` leaves out, from the root down; links are not followed."""
    stack: Stack = ()
    prefix, place = b"", root
    try:
        parts = start.relative_to(root).parts
        handle = files.open_folder(root)
    except (OSError, ValueError):
        return
    try:
        for part in parts:
            stack = extended(stack, handle, prefix)
            inner = files.open_folder(part, handle)
            os.close(handle)
            handle, prefix, place = inner, prefix + os.fsencode(part) + b"/", place / part
    except OSError:
        os.close(handle)
        return
    yield from _walk(handle, prefix, place, stack)


def _walk(handle: int, prefix: bytes, place: Path, stack: Stack) -> Iterator[Path]:
    """The files of a folder and then those of its folders; closes the handle."""
    try:
        with os.scandir(handle) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if any(entry.name == ".gitignore" for entry in entries):
            stack = extended(stack, handle, prefix)
        taken = [
            (entry.name, entry.is_dir(follow_symlinks=False))
            for entry in entries
            if _is_taken(entry, prefix, stack)
        ]
        yield from (place / name for name, is_folder in taken if not is_folder)
        for name, is_folder in taken if prefix.count(b"/") < MAX_DEPTH else ():
            if is_folder:
                with contextlib.suppress(OSError):
                    inner = files.open_folder(name, handle)
                    yield from _walk(inner, prefix + os.fsencode(name) + b"/", place / name, stack)
    except OSError:
        return
    finally:
        os.close(handle)


def _is_taken(entry: os.DirEntry[str], prefix: bytes, stack: Stack) -> bool:
    """Whether an entry is a plain file or a folder that nothing leaves out."""
    is_folder = entry.is_dir(follow_symlinks=False)
    if not is_folder and not entry.is_file(follow_symlinks=False):
        return False
    name = os.fsencode(entry.name)
    return name != b".git" and not left_out(prefix + name, name, is_folder, stack)
