"""Where keys stand in a TOML file, for messages and editors (tree-sitter, loaded only when asked)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a file: lines and columns from 1, in code points; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key (`key`) and its whole entry (`entry`) stand."""

    key: Span
    entry: Span


Path = tuple[str | int, ...]


def positions(source: str) -> dict[Path, Place]:
    """The places of all keys by their path; elements of an array of tables are numbered from 0."""
    import tree_sitter_toml  # noqa: PLC0415 - forty milliseconds
    from tree_sitter import Language, Parser  # noqa: PLC0415

    data = source.encode()
    tree = Parser(Language(tree_sitter_toml.language())).parse(data)
    lines = data.split(b"\n")
    places: dict[Path, Place] = {}
    counts: dict[Path, int] = {}
    for node in tree.root_node.children:
        prefix: Path = ()
        if node.type in ("table", "table_array_element"):
            key = next((child for child in node.children if child.type.endswith("key")), None)
            if key is None:
                continue
            prefix = _names(key)
            if node.type == "table_array_element":
                counts[prefix] = counts.get(prefix, -1) + 1
                places.setdefault(prefix, Place(_span(key, lines), _span(key, lines)))
                prefix = (*prefix, counts[prefix])
            places.setdefault(prefix, Place(_span(key, lines), _span(key, lines)))
        for pair in [node] if node.type == "pair" else node.children:
            if pair.type == "pair":
                key = pair.children[0]
                places.setdefault((*prefix, *_names(key)), Place(_span(key, lines), _span(pair, lines)))
    return places


def _names(key: Node) -> Path:
    if key.type == "dotted_key":
        return tuple(name for child in key.children if child.type.endswith("key") for name in _names(child))
    text = (key.text or b"").decode("utf-8", "replace")
    return (text[1:-1] if key.type == "quoted_key" else text,)


def _span(node: Node, lines: list[bytes]) -> Span:
    (row, column), (end_row, end_column) = node.start_point, node.end_point
    return Span(row + 1, _points(lines, row, column), end_row + 1, _points(lines, end_row, end_column))


def _points(lines: list[bytes], row: int, column: int) -> int:
    """A column in bytes from 0 as one in code points from 1."""
    return len(lines[row][:column].decode("utf-8", "replace")) + 1
