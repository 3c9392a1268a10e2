"""Writing into a text in which somebody types: nothing typed is lost, and what is written is complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.lsp.conversations import writer as module
from pygent.lsp.conversations.following import Insertion
from pygent.lsp.conversations.writer import Piece, Writer

HEAD, REST = "# Title\n\n## You\n\nfix it", "\n\n## You\n\ndraft\n"
TAIL = "\n\n[tail]"
STREAM = "\n\n## Pygent\n\nFirst line\n\n```\ncode\n```\n\nThe end of it."


class Client:
    """An editor with one document, and a person whose next doings stand in `script`.

    It tells of changes one by one, or `lazily` of several at once when the server's edit is in.  With
    `versioned` it refuses an edit for a text that is not the one it has.
    """

    def __init__(self, script: list[tuple[str, int]], *, versioned: bool, lazy: bool) -> None:
        self.text = HEAD + REST
        self.told = self.text
        self.typed: set[str] = set()
        self.script = script
        self.versioned = versioned
        self.lazy = lazy
        self.inserted: list[tuple[int, str]] = []
        self.tell: Callable[[str], None] = lambda _: None

    def notify(self, *, held: bool = False) -> None:
        if not held and self.told != self.text:
            self.told = self.text
            self.tell(self.text)

    def edit(self, at: int, over: int, text: str) -> None:
        """Change the text; what the server has put in moves along, and ends the undoing if it is not whole."""
        self.text = self.text[:at] + text + self.text[at + over :]
        moved = []
        for start, words in self.inserted:
            if start >= at + over:
                moved.append((start + len(text) - over, words))
            elif start + len(words) <= at:
                moved.append((start, words))
            else:
                moved.clear()
        self.inserted = moved

    def act(self, *, held: bool = False) -> None:
        """What the person does next."""
        if not self.script:
            return
        kind, number = self.script.pop(0)
        at = number % (len(self.text) + 1)
        first = 0xE000 + len(self.typed)
        if kind == "type":
            self.typed.add(chr(first))
            self.edit(at, 0, chr(first))
        elif kind == "paste":
            self.typed |= {chr(first), chr(first + 1)}
            self.edit(at, 0, f"{chr(first)}\n{chr(first + 1)}")
        elif kind == "undo" and self.inserted and TAIL not in self.text:
            self.notify()  # an undo is told of by itself
            start, words = self.inserted[-1]
            self.edit(start, len(words), "")
        self.notify(held=held)

    async def apply(self, sent: Insertion) -> bool:
        before = self.told
        self.act(held=self.lazy)
        if self.versioned and before != self.text:
            await asyncio.sleep(0)
            self.notify()
            return False
        lines = self.text.split("\n")
        line = min(sent.line, len(lines) - 1)
        at = sum(len(one) + 1 for one in lines[:line]) + min(sent.character, len(lines[line]))
        if sent.end is not None:
            end = sum(len(one) + 1 for one in lines[: sent.end[0]]) + sent.end[1]
            self.edit(at, end - at, "")
            self.notify()
            return True
        self.edit(at, 0, sent.text)
        self.inserted.append((at, sent.text))
        if not self.lazy:
            self.notify()
        await asyncio.sleep(0)
        self.act(held=self.lazy and not self.versioned)
        if self.lazy:
            asyncio.get_running_loop().call_soon(self.notify)
        return True


async def write(client: Client, chunks: list[int]) -> Writer:
    """Stream the answer in pieces of these sizes, while the person acts."""
    writer = Writer(client.text, client.apply, versioned=client.versioned, stuck=lambda: None)
    client.tell = writer.seen
    writer.places["answer"] = len(HEAD)
    piece = Piece("answer", live=True)
    left = STREAM
    for size in [*chunks, len(STREAM)]:
        writer.put(piece, left[:size])
        left = left[size:]
        client.act()
        for _ in range(3):
            await asyncio.sleep(0)
    piece.tail = lambda rest: TAIL
    writer.put(piece)
    await writer.written()
    return writer


DOINGS = st.tuples(st.sampled_from(["type", "type", "paste", "undo", "nothing"]), st.integers(0, 400))
SCRIPTS = st.lists(DOINGS, max_size=30)
SIZES = st.lists(st.integers(1, 20), max_size=8)


@pytest.fixture(autouse=True, scope="module")
def at_once() -> object:
    """No pauses: the order of things is what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PAUSE", "QUIET", "MAX_QUIET"):
            patch.setattr(module, name, 0.0)
        patch.setattr(module, "PATIENCE", 0.05)
        yield


def without_typing(text: str) -> str:
    return "".join(character for character in text if not 0xE000 <= ord(character) < 0xF000)


@settings(max_examples=300, deadline=None)
@given(script=SCRIPTS, sizes=SIZES, lazy=st.booleans())
def test_with_versions_all_is_there_and_in_its_place(
    script: list[tuple[str, int]], sizes: list[int], lazy: bool
) -> None:
    client = Client([one for one in script if one[0] != "paste"], versioned=True, lazy=lazy)
    writer = asyncio.run(write(client, sizes))
    assert writer.text == client.text
    assert client.typed <= set(client.text)
    assert without_typing(client.text) == HEAD + STREAM + TAIL + REST


@settings(max_examples=300, deadline=None)
@given(script=SCRIPTS, sizes=SIZES, lazy=st.booleans())
def test_without_versions_nothing_is_lost(
    script: list[tuple[str, int]], sizes: list[int], lazy: bool
) -> None:
    """An edit may go astray where somebody types above it; its words are written again."""
    script = [one for one in script if not lazy or one[0] != "undo"]
    client = Client(script, versioned=False, lazy=lazy)
    writer = asyncio.run(write(client, sizes))
    assert writer.text == client.text
    assert client.typed <= set(client.text)
    rest = iter("".join(client.text.split()))
    assert all(character in rest for character in "".join(STREAM.split())), "the answer is not complete"


@settings(max_examples=200, deadline=None)
@given(script=SCRIPTS, sizes=SIZES)
def test_words_that_went_astray_are_taken_away_and_nothing_else(
    script: list[tuple[str, int]], sizes: list[int]
) -> None:
    client = Client([one for one in script if one[0] != "undo"], versioned=False, lazy=False)

    async def tidied() -> tuple[str, bool]:
        writer = await write(client, sizes)
        client.script.clear()  # who asks for this types nothing
        before, done = client.text, await writer.clean()
        assert not writer.astray
        assert writer.text == client.text
        return before, done

    before, done = asyncio.run(tidied())
    assert client.typed <= set(client.text)
    rest = iter(before)
    assert all(character in rest for character in client.text), "something was put in"
    if done:
        expected = HEAD + STREAM + TAIL + REST
        assert "".join(without_typing(client.text).split()) == "".join(expected.split())
