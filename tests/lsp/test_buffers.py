"""Open documents: lines, positions and changes as the specification counts them, in every encoding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.lsp.buffers import Buffer, split
from pygent.lsp.changes import text_edits

ENCODINGS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
PIECES = [
    "a",
    "b",
    "é",
    "한",
    "😀",
    "\U0010ffff",
    "\n",
    "\r\n",
    "\r",
    "\u2028",
    "\x0c",
    "\x85",
    "\x1c",
    "\t",
    "",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def reference_lines(text: str) -> list[str]:
    """The lines, one character at a time."""
    lines, at = [""], 0
    while at < len(text):
        end = "\r\n" if text.startswith("\r\n", at) else text[at] if text[at] in "\r\n" else ""
        lines[-1] += end or text[at]
        if end:
            lines.append("")
        at += len(end) or 1
    return lines


def reference_offset(text: str, position: dict[str, int], encoding: str) -> int:
    """A position's index, by encoding the line for real."""
    lines = reference_lines(text)
    if position["line"] >= len(lines):
        return len(text)
    codec, size = ENCODINGS[encoding]
    line = lines[position["line"]].rstrip("\r\n")
    data = line.encode(codec)[: position["character"] * size]
    return sum(map(len, lines[: position["line"]])) + len(data.decode(codec, "ignore"))


@given(TEXTS)
def test_lines_end_where_the_specification_says(text: str) -> None:
    assert split(text) == reference_lines(text)


@given(TEXTS, st.sampled_from(list(ENCODINGS)), st.integers(0, 12), st.integers(0, 12))
def test_positions_are_those_of_the_encoding(text: str, encoding: str, line: int, character: int) -> None:
    buffer = Buffer("file:///x", text, encoding=encoding)
    position = {"line": line, "character": character}
    offset = buffer.offset(position)
    assert offset == reference_offset(text, position, encoding)
    assert buffer.offset(buffer.position(offset)) == offset


CHANGES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), TEXTS), max_size=6
)


@given(TEXTS, st.sampled_from(list(ENCODINGS)), CHANGES)
@settings(max_examples=400)
def test_changes_do_what_they_say(text: str, encoding: str, changes: list[Any]) -> None:
    buffer = Buffer("file:///x", text, encoding=encoding)
    for line, character, other_line, other_character, new in changes:
        start, end = sorted([(line, character), (other_line, other_character)])
        span = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        first = reference_offset(text, span["start"], encoding)
        last = max(first, reference_offset(text, span["end"], encoding))
        text = text[:first] + new + text[last:]
        buffer.change([{"range": span, "text": new}], 2)
        assert buffer.text == text
        assert buffer.lines == reference_lines(text)


def test_a_whole_text_and_ranges_in_one_notification() -> None:
    buffer = Buffer("file:///x", "old")
    span = {"start": {"line": 0, "character": 1}, "end": {"line": 0, "character": 2}}
    buffer.change([{"text": "abc"}, {"range": span, "text": "X"}], 7)
    assert (buffer.text, buffer.version) == ("aXc", 7)


def test_a_form_feed_does_not_move_the_lines_below_it() -> None:
    buffer = Buffer("file:///x", "a\x0cb\u2028c\nsecond\nthird")
    span = {"start": {"line": 2, "character": 0}, "end": {"line": 2, "character": 5}}
    assert buffer.text[buffer.offset(span["start"]) : buffer.offset(span["end"])] == "third"
    buffer.change([{"range": span, "text": "z"}], 2)
    assert buffer.text.endswith("second\nz")


def test_half_a_character_finds_its_other_half() -> None:
    """An editor that counts in UTF-16 may send the halves of a character one after the other."""
    buffer = Buffer("file:///x", "ab")
    at = {"line": 0, "character": 1}
    buffer.change([{"range": {"start": at, "end": at}, "text": "\ud83d"}], 2)
    at = {"line": 0, "character": 2}
    buffer.change([{"range": {"start": at, "end": at}, "text": "\ude00"}], 3)
    assert buffer.text == "a😀b"
    assert buffer.offset({"line": 0, "character": 3}) == 2


@given(TEXTS, TEXTS, st.sampled_from(list(ENCODINGS)))
@settings(max_examples=500)
def test_edits_make_the_one_text_of_the_other(before: str, after: str, encoding: str) -> None:
    edits = text_edits(before, after, encoding)
    buffer = Buffer("file:///x", before, encoding=encoding)
    spans = [(buffer.offset(one["range"]["start"]), buffer.offset(one["range"]["end"])) for one in edits]
    assert all(start <= end for start, end in spans)
    assert all(spans[n][1] <= spans[n + 1][0] for n in range(len(spans) - 1))
    text = before
    for (start, end), edit in reversed(list(zip(spans, edits, strict=True))):
        text = text[:start] + edit["newText"] + text[end:]
    assert text == after


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_an_edit_touches_no_more_than_what_differs(encoding: str) -> None:
    before = "x = '😀'; y = 1\n" + "same\n" * 50 + "last\n"
    after = "x = '😀'; y = 22\n" + "same\n" * 50 + "lost\n"
    first, second = text_edits(before, after, encoding)
    column = {"utf-8": 16, "utf-16": 14, "utf-32": 13}[encoding]
    assert first["range"]["start"] == {"line": 0, "character": column}
    assert first["newText"] == "22"
    assert second["range"] == {"start": {"line": 51, "character": 1}, "end": {"line": 51, "character": 2}}


def test_a_large_rewrite_is_one_edit() -> None:
    before, after = ("".join(f"{word} {n}\n" for n in range(5000)) for word in ("old", "new"))
    (edit,) = text_edits(before, after, "utf-16")
    assert edit["range"]["start"] == {"line": 0, "character": 0}
