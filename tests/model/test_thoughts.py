"""Reasoning in front of the text: parted however it is cut, and never mistaken where it is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.asking import CALL, Heard, ask

from pygent.model.thoughts import Thoughts
from pygent.replay import Reply


def parted(pieces: list[str]) -> tuple[str, str]:
    """The reasoning and the text of an answer in these pieces."""
    text: list[str] = []
    reason: list[str] = []
    thoughts = Thoughts(text.append, reason.append)
    for piece in pieces:
        thoughts.feed(piece)
    thoughts.end()
    return "".join(reason), "".join(text)


CASES = [
    ("<think>\nhm\n</think>\n\nIt is 42.", "\nhm\n", "It is 42."),
    (" \n<think></think>It is.", "", "It is."),
    ("<think>never closed </thin", "never closed </thin", ""),
    ("<think>a</think>\n\nb <think>c</think>", "a", "b <think>c</think>"),
    ("It is <think>no</think>", "", "It is <think>no</think>"),
    ("<thin ice", "", "<thin ice"),
    ("<think", "", "<think"),
    ("  indented", "", "  indented"),
    ("", "", ""),
    ("<think>a <</think>b", "a <", "b"),
]


@pytest.mark.parametrize(("said", "reason", "text"), CASES)
@pytest.mark.parametrize("width", [1, 2, 5, 100])
def test_each_shape(said: str, reason: str, text: str, width: int) -> None:
    pieces = [said[at : at + width] for at in range(0, len(said), width)]
    assert parted(pieces) == (reason, text)


@given(
    st.lists(st.sampled_from(["<", "<think>", "</think>", "</", "think>", " ", "\n", "a", "ä"]), max_size=12)
)
def test_what_is_said_is_neither_lost_nor_doubled(pieces: list[str]) -> None:
    said = "".join(pieces)
    reason, text = parted(pieces)
    assert (reason, text) == parted([said])
    found = re.fullmatch(r"\s*<think>(.*?)(?:</think>\s*(.*))?", said, re.DOTALL)
    if found is not None:
        assert (reason, text) == (found[1], found[2] or "")
    else:
        assert (reason, text) == ("", said)


async def test_an_answer_is_heard_without_it() -> None:
    heard = Heard()
    reply = Reply(text="<think>Let me look.</think>\n\nI look.", tool_calls=[CALL], fragment=3)
    answer = await ask([reply], "chat", heard=heard)
    assert (answer.text, heard.text, heard.reasoning) == ("I look.", "I look.", "Let me look.")
    assert [call.call_id for call in answer.calls] == ["abc"]
