"""Output: cleaned, capped, kept."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pygent.sandbox.output import Cleaner, Output


def clean(*pieces: bytes) -> str:
    cleaner = Cleaner()
    return "".join(cleaner.feed(piece) for piece in pieces) + cleaner.feed(b"", final=True)


def test_escapes_go_and_an_unfinished_one_swallows_no_further_line() -> None:
    assert clean(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x") == "red x"
    assert clean(b"\x1b]0;never closed\nnext line\n") == "\nnext line\n"
    assert clean(b"a\x1b", b"[31", b"mb") == "ab"


def test_a_progress_line_keeps_its_last_state() -> None:
    assert clean(b"x\n10%\r20%\r30%\n") == "x\n30%\n"
    assert clean(b"windows\r\nline\r\n") == "windows\nline\n"


def test_text_that_hides_itself_is_shown() -> None:
    assert clean("a\u202eb\u200bc".encode()) == "a\\u{202e}b\\u{200b}c"


@given(st.text(alphabet="ab\x1b[]m;0\n\té€😀", max_size=40), st.integers(1, 5))
def test_cutting_the_bytes_anywhere_changes_nothing(text: str, size: int) -> None:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert clean(*pieces) == clean(data)


@given(st.binary(max_size=200))
def test_any_bytes_become_plain_text(data: bytes) -> None:
    assert not set(clean(data)) & {chr(n) for n in (*range(9), 27, 127, 0x9B)}


def test_the_file_is_made_only_for_what_is_not_shown(tmp_path: Path) -> None:
    small = Output(tmp_path, "small", None)
    small.feed(b"x" * 32_000)
    assert small.finish() == ("x" * 32_000, None)
    large = Output(tmp_path, "large", None)
    for number in range(10_000):
        large.feed(b"%06d\n" % number)
    text, path = large.finish()
    assert text.startswith("000000\n")
    assert text.endswith("009999\n")
    assert path is not None
    assert Path(path).read_bytes() == b"".join(b"%06d\n" % number for number in range(10_000))
