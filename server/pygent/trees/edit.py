"""A tree with other files in some places."""

from __future__ import annotations

from collections.abc import Mapping

from pygent.trees.objects import EMPTY, FOLDER, Objects, Tree, Writer

Changes = Mapping[bytes, "tuple[int, bytes] | None"]
"""What lies at a path afterwards: git's mode and the id; None for nothing."""


def edited(tree: bytes, changes: Changes, objects: Objects, writer: Writer) -> bytes:
    """The id of a tree with changes, of which none lies below another; a folder replaces a file."""
    found = _edited(tree, changes, objects, writer)
    return writer.root(objects.tree(tree) if found is None else found)


def _edited(tree: bytes, changes: Changes, objects: Objects, writer: Writer) -> Tree | None:
    if not changes:
        return None
    made = objects.tree(tree) if tree != EMPTY else {}
    below: dict[bytes, dict[bytes, tuple[int, bytes] | None]] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        elif entry is None or entry == (FOLDER, EMPTY):
            made.pop(name, None)
        else:
            made[name] = entry
    for name, inner in below.items():
        mode, oid = made.get(name, (FOLDER, EMPTY))
        oid = writer.tree(_edited(oid if mode == FOLDER else EMPTY, inner, objects, writer) or {})
        if oid == EMPTY:
            made.pop(name, None)
        else:
            made[name] = (FOLDER, oid)
    return made
