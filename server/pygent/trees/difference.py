"""What differs between two trees, and as a patch that `git apply` takes to the byte.

The lines are compared by libgit2, text by text: no attributes, no filters, no programs.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pygent.trees.objects import FOLDER, REPOSITORY, Objects, Tree, library

LARGE = 8 << 20
"""Contents of more bytes are compared as a whole: it would hold up the server to look at their lines."""
MANY_LINES = 80_000
"""The same where both have more lines between what they have in common at the start and the end.

libgit2 holds Python's lock meanwhile: so many lines took it half a second, a million repeated ones minutes.
"""
SHORT = 7
"""Characters of an id in a diff for people."""

_ESCAPES = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
_ODD = re.compile(rb"[\0-\x1f\x7f\"\\]")


class Side(NamedTuple):
    """A file in one of the trees: git's mode, and the id of its content."""

    mode: int
    oid: bytes


class Change(NamedTuple):
    """A path at which two trees differ."""

    path: bytes
    old: Side | None
    new: Side | None


def changes(old: bytes, new: bytes, objects: Objects) -> list[Change]:
    """The files at which two trees differ, in git's order.  Raises PygentError `notFound`."""
    return sorted(_changes(b"", objects.tree(old), objects.tree(new), objects))


def _changes(prefix: bytes, old: Tree, new: Tree, objects: Objects) -> Iterator[Change]:
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        inner = _below(before, objects), _below(after, objects)
        if any(inner):
            yield from _changes(prefix + name + b"/", *inner, objects)
        sides = _side(before), _side(after)
        if any(sides):
            yield Change(prefix + name, *sides)


def _below(entry: tuple[int, bytes] | None, objects: Objects) -> Tree:
    return objects.tree(entry[1]) if entry is not None and entry[0] == FOLDER else {}


def _side(entry: tuple[int, bytes] | None) -> Side | None:
    return Side(*entry) if entry is not None and entry[0] != FOLDER else None


def content(side: Side | None, objects: Objects) -> bytes:
    """The bytes at one side; of a repository what git shows instead."""
    if side is None:
        return b""
    if side.mode == REPOSITORY:
        return b"Subproject commit %s\n" % side.oid.hex().encode()
    return objects.read(side.oid)


def lines(change: Change, objects: Objects) -> tuple[int, int] | None:
    """How many lines were added and removed; None for binary files."""
    if is_large(change, objects):
        return None
    patch = _compared(content(change.old, objects), content(change.new, objects))
    return None if patch is None else (patch.added, patch.removed)


def is_large(change: Change, objects: Objects) -> bool:
    """Whether a content is too large to be compared line by line."""
    return any(
        side is not None and side.mode != REPOSITORY and objects.size(side.oid) > LARGE for side in change[1:]
    )


class _Lines(NamedTuple):
    added: int
    removed: int
    hunks: bytes


def _compared(old: bytes, new: bytes) -> _Lines | None:
    """The lines that differ; None if one is binary, or to look at them would take too long."""
    if b"\0" in old[:8000] or b"\0" in new[:8000] or is_hard(old, new):
        return None
    pygit2 = library()
    patch = pygit2.Patch.create_from(old, new, flag=pygit2.enums.DiffOption.INDENT_HEURISTIC)
    _, added, removed = patch.line_stats
    data = patch.data
    return _Lines(added, removed, data[data.find(b"\n@@ ") + 1 :] if b"\n@@ " in data else b"")


def text(change: Change, objects: Objects, *, binary: bool) -> bytes:
    """A change as git writes it in a diff; with `binary` so that it can be applied, whatever the file is."""
    path, old, new = change
    if old and new and old.mode >> 12 != new.mode >> 12:  # a file became a link: gone, and made
        gone, made = Change(path, old, None), Change(path, None, new)
        return text(gone, objects, binary=binary) + text(made, objects, binary=binary)
    before, after = quoted(b"a/" + path), quoted(b"b/" + path)
    head = b"diff --git %s %s\n" % (before, after) + _modes(old, new)
    if old and new and old.oid == new.oid:
        return head
    zero = bytes(20)
    ids = [(side.oid if side else zero).hex().encode()[: None if binary else SHORT] for side in (old, new)]
    same_mode = b" %o" % old.mode if old and new and old.mode == new.mode else b""
    head += b"index %s..%s%s\n" % (*ids, same_mode)
    before, after = before if old else b"/dev/null", after if new else b"/dev/null"
    large = is_large(change, objects)
    if large and not binary:
        return head + b"Binary files %s and %s differ\n" % (before, after)
    contents = content(old, objects), content(new, objects)
    found = None if large else _compared(*contents)
    if found is None and binary:
        return head + b"GIT binary patch\n" + _literal(contents[1]) + _literal(contents[0])
    if found is None:
        return head + b"Binary files %s and %s differ\n" % (before, after)
    if not found.hunks:
        return head
    return head + b"--- %s\n+++ %s\n" % (_ended(before), _ended(after)) + found.hunks


def is_hard(old: bytes, new: bytes) -> bool:
    """Whether it would hold up the server to compare two texts line by line."""
    if min(len(old), len(new)) <= MANY_LINES:
        return False
    start = _common(old, new, lambda text, begin, end: text[begin:end])
    old, new = old[start:], new[start:]
    last = _common(old, new, lambda text, begin, end: text[len(text) - end : len(text) - begin])
    return min(text.count(b"\n", 0, len(text) - last) for text in (old, new)) > MANY_LINES


def _common(old: bytes, new: bytes, part: Callable[[bytes, int, int], bytes]) -> int:
    """How many bytes two texts have in common from one end, which `part` counts from."""
    same, different = 0, min(len(old), len(new)) + 1
    while different - same > 1:
        middle = (same + different) // 2
        if part(old, same, middle) == part(new, same, middle):
            same = middle
        else:
            different = middle
    return same


def _modes(old: Side | None, new: Side | None) -> bytes:
    if old is None and new is not None:
        return b"new file mode %06o\n" % new.mode
    if new is None and old is not None:
        return b"deleted file mode %06o\n" % old.mode
    if old and new and old.mode != new.mode:
        return b"old mode %06o\nnew mode %06o\n" % (old.mode, new.mode)
    return b""


def _literal(data: bytes) -> bytes:
    """A content in a binary patch: lines of up to 52 bytes in base 85, each led by its length."""
    packed = zlib.compress(data)
    rows = [b"literal %d\n" % len(data)]
    for start in range(0, len(packed), 52):
        row = packed[start : start + 52]
        length = len(row) + (64 if len(row) <= 26 else 70)
        rows.append(b"%c%s\n" % (length, base64.b85encode(row, pad=True)))
    return b"".join(rows) + b"\n"


def quoted(path: bytes) -> bytes:
    """A path as git writes it, in quotes where a character is odd."""
    if not _ODD.search(path):
        return path
    return b'"%s"' % _ODD.sub(lambda found: b"\\" + _escape(found[0][0]), path)


def _escape(byte: int) -> bytes:
    return _ESCAPES.get(byte) or b"%03o" % byte


def _ended(path: bytes) -> bytes:
    """A path with a space needs an end that shows."""
    return path + b"\t" if b" " in path and not path.startswith(b'"') else path
