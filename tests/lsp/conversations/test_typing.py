"""A person types anywhere while an answer streams in, over the wire: nothing typed is lost, the answer is whole."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lsp.conversations.test_talk import CHANGES, FREE, VERSIONS, shown
from tests.lsp.paper import Paper
from tests.lsp.wire import Wire, editor

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
ANSWER = (
    "A first paragraph 😀 of some words.\n\n```python\nx = 'ü'\n```\n\nAnd a last one, with 𝄞 and an end."
)
EXPECTED = f"<!-- pygent: ses -->\n\n## You\n\nSay it\n\n## Pygent\n\n{ANSWER}\n\n## You"
DOINGS = st.tuples(
    st.sampled_from(["type", "type", "astral", "line", "undo", "erase"]),
    st.integers(0, 10_000),
    st.integers(0, 60),
)
TYPED = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd]")


class Typist:
    """Types a letter that nobody else does at each stroke, and remembers those that must be there."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.letters: set[str] = set()
        self._last = 0

    def act(self, kind: str, number: int) -> None:
        text = self.paper.text
        at = number % (len(text) + 1)
        self._last += 1
        letter = chr((0xE000 if kind != "astral" else 0xF0000) + self._last)
        if kind == "undo":
            self.paper.undo()
        elif kind == "erase":
            mine = next((place for place in range(at, len(text)) if text[place] in self.letters), None)
            if mine is not None:
                self.letters.discard(text[mine])
                self.paper.type("", mine, over=1)
        else:
            self.letters.add(letter)
            self.paper.type(f"{letter}\n" if kind == "line" else letter, at)


async def converse(
    wire: Wire, number: int, uri: str, encoding: str, script: list[tuple[str, int, int]]
) -> str:
    """Send a message and type as the script says; the document without what was typed."""
    paper = Paper(wire, uri, f"## You\n\nSay it\n{'' if number % 2 else chr(10)}", encoding=encoding)
    typist = Typist(paper)
    params = {"command": "pygent.conversation.send", "arguments": [{"uri": uri}]}
    _, ended = wire.begin("workspace/executeCommand", params)
    await paper.until("## Pygent")
    for kind, place, pause in script:
        if ended.done():
            break
        typist.act(kind, place)
        await asyncio.sleep(pause / 1000)
    answer = await asyncio.wait_for(ended, 60)
    assert answer["result"]["reply"] == ANSWER
    await paper.until("## You")
    assert typist.letters <= set(paper.text)
    paper.close()
    return re.sub("\n{3,}", "\n\n", shown(TYPED.sub("", paper.text))).strip()


def run(workspace: Path, capabilities: Any, encoding: str, script: Any, check: Any, examples: int) -> None:
    loop = asyncio.new_event_loop()
    stack = contextlib.AsyncExitStack()
    reply = Reply(text=ANSWER, fragment=3, delay=0.02, times=0)
    numbers = iter(range(1_000_000))
    try:
        opened = stack.enter_async_context(editor(workspace, reply, capabilities=capabilities, **FREE))
        wire = loop.run_until_complete(opened)

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(script=script)
        def example(script: list[tuple[str, int, int]]) -> None:
            number = next(numbers)
            uri = (workspace / f"{number}.pygent.md").as_uri()
            check(loop.run_until_complete(converse(wire, number, uri, encoding, script)))

        example()
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_with_versioned_edits(workspace: Path, encoding: str) -> None:
    def check(text: str) -> None:
        assert text == EXPECTED

    capabilities = {**VERSIONS, "general": {"positionEncodings": [encoding]}}
    script = st.lists(DOINGS.filter(lambda one: one[0] != "line"), min_size=5, max_size=30)
    run(workspace, capabilities, encoding, script, check, 6)


def test_with_plain_changes(workspace: Path) -> None:
    def check(text: str) -> None:
        rest = iter("".join(text.split()))
        assert all(character in rest for character in "".join(ANSWER.split())), text

    run(workspace, CHANGES, "utf-16", st.lists(DOINGS, min_size=5, max_size=30), check, 8)
