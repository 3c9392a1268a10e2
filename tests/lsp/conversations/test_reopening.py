"""A document that is closed and opened again, under its name or another, with or without its first line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lsp.conversations.test_talk import FREE, SLOW, VERSIONS, document
from tests.lsp.paper import Paper
from tests.lsp.wire import editor

from pygent.replay import Match, Reply

pytestmark = pytest.mark.e2e
ANSWER = "word " * 200
COUNT = Reply(match=Match(last="Count"), text=ANSWER, **SLOW)
DRAFT = "## You\n\nCount\n"


def whole(session: str) -> str:
    return f"<!-- pygent: {session} -->\n\n## You\n\nCount\n\n## Pygent\n\n{ANSWER}\n\n## You\n\n"


async def test_closed_unsaved_in_mid_turn_it_binds_again(workspace: Path) -> None:
    async with editor(workspace, COUNT, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), DRAFT)
        _, ended = wire.begin("workspace/executeCommand", (await paper.lenses())["Send"]["command"])
        await paper.until("word word")
        paper.close()
        paper.open(DRAFT)
        assert set(await paper.lenses()) == {"Stop"}
        await paper.until("word word")
        result = (await ended)["result"]
        await paper.until("word \n\n## You\n\n")
        assert paper.text == whole(result["sessionId"])
        assert set(await paper.lenses()) == {"Send"}


async def test_closed_unsaved_after_the_turn_too(workspace: Path) -> None:
    async with editor(workspace, COUNT, Reply(text="On."), capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), DRAFT)
        session = (await paper.choose("Send"))["sessionId"]
        paper.close()
        paper.open(DRAFT)
        await paper.until("word \n\n## You\n\n")
        assert paper.text == whole(session)
        paper.type("And on")
        assert (await paper.choose("Send"))["sessionId"] == session


async def test_without_the_line_that_a_person_took_away_it_is_another_conversation(workspace: Path) -> None:
    async with editor(workspace, COUNT, Reply(text="On."), capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), DRAFT)
        session = (await paper.choose("Send"))["sessionId"]
        paper.type("", 0, over=paper.text.index("## You"))
        left = f"{paper.text}And on"
        paper.close()
        paper.open(left)
        assert (await paper.choose("Send"))["sessionId"] != session


async def test_another_text_of_the_same_name_is_another_conversation(workspace: Path) -> None:
    async with editor(workspace, COUNT, Reply(text="On."), capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), DRAFT)
        session = (await paper.choose("Send"))["sessionId"]
        paper.close()
        paper.open("## You\n\nSomething else\n")
        assert (await paper.choose("Send"))["sessionId"] != session
        assert "forked" not in paper.text
        assert ANSWER not in paper.text


async def test_under_another_name_it_goes_on_in_mid_turn(workspace: Path) -> None:
    async with editor(workspace, COUNT, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, "untitled:chat.pygent.md", DRAFT)
        _, ended = wire.begin("workspace/executeCommand", (await paper.lenses())["Send"]["command"])
        await paper.until("word word")
        paper.close()
        saved = Paper(wire, document(workspace), paper.text)
        assert set(await saved.lenses()) == {"Stop"}
        seen = len(saved.text)
        await wire.until(lambda: len(saved.text) > seen + 20)
        assert not ended.done()
        result = (await ended)["result"]
        await saved.until("word \n\n## You\n\n")
        assert saved.text.rstrip() == whole(result["sessionId"]).rstrip()


@pytest.mark.parametrize("harm", ["a letter in the line", "the line is gone", "everything is gone"])
async def test_a_turn_keeps_its_document_whatever_becomes_of_the_first_line(
    workspace: Path, harm: str
) -> None:
    """Editors ask for lenses after each key press: that must not take the document from its turn."""
    async with editor(workspace, COUNT, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), DRAFT)
        _, ended = wire.begin("workspace/executeCommand", (await paper.lenses())["Send"]["command"])
        await paper.until("word word")
        if harm == "a letter in the line":
            paper.type("x", 20)
        elif harm == "the line is gone":
            paper.type("", 0, over=paper.text.index("## You"))
        else:
            paper.change([{"text": ""}])
        assert set(await paper.lenses()) == {"Stop"}
        seen = len(paper.text)
        await wire.until(lambda: len(paper.text) > seen + 20)
        assert await paper.choose("Stop") == {"cancelled": True}
        assert (await ended)["result"]["status"] == "cancelled"
        await paper.until("> **Stopped.**\n\n## You\n\n")
        assert "Stop" not in await paper.lenses()
