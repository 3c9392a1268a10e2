"""What can't be seen is spelt, and two different texts never look the same."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.nasty import COMMANDS, UNSEEN

from pygent.visible import OUTPUT, PROSE, visible

TEXTS = st.text(st.sampled_from([*"ab\\u{}20 \n\t", *UNSEEN]), max_size=12) | st.text(max_size=12)
HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of DerivedCoreProperties.txt (Unicode 16)."""


def read(shown: str) -> str:
    """The text that a shown one stands for."""
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), shown)


@given(TEXTS, TEXTS)
def test_what_differs_looks_different(one: str, other: str) -> None:
    assert read(visible(one)) == one
    assert (visible(one) == visible(other)) == (one == other)


@given(st.characters())
def test_nothing_unseen_is_left(char: str) -> None:
    shown = visible(char)
    hidden = unicodedata.category(char)[0] in "CZ" or HIDDEN.match(char) is not None
    assert (shown != char) == ((hidden and char not in " \n\t") or char in "\u2800\ufffc\U00016fe4\U0001d159")


@pytest.mark.parametrize("char", UNSEEN, ids=lambda char: f"{ord(char):x}")
def test_each_is_spelt(char: str) -> None:
    assert visible(f"te{char}st") == f"te\\u{{{ord(char):x}}}st"


def test_every_ignorable_character_is_spelt() -> None:
    every = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000)) if HIDDEN.match(chr(code))]
    assert [char for char in every if visible(char) == char] == []
    assert len(every) > 4000


def test_a_text_of_its_own_that_spells_one_is_told_apart() -> None:
    assert visible("\\u{200b}") == "\\u{5c}u{200b}"
    assert visible("\\n \\\\ {u}") == "\\n \\\\ {u}"


def test_output_and_prose_keep_what_they_need() -> None:
    assert visible("├─\u00a0x \\u{1F600} \u200d", keep=OUTPUT) == "├─\u00a0x \\u{1F600} \\u{200d}"
    assert visible("ni\u200cne ❤\ufe0f \u202e", keep=PROSE) == "ni\u200cne ❤\ufe0f \\u{202e}"


def test_a_command_stays_on_its_lines() -> None:
    for command in COMMANDS:
        assert visible(command).count("\n") == command.count("\n")
        assert "\n" not in visible(command, keep="")
