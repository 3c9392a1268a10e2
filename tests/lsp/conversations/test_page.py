"""The example of the documentation is what happens; and what a document shows of tasks and other clients."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.conftest import REPOSITORY
from tests.lsp.conversations.test_talk import CHANGES, FREE, VERSIONS, document
from tests.lsp.paper import Paper
from tests.lsp.wire import editor, server
from tests.story import call

from pygent.replay import Match, ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e


def example(name: str) -> str:
    page = (REPOSITORY / "docs/conversations.md").read_text()
    found = re.search(rf"<!-- example: {name} -->\n````markdown\n(.*?)\n````\n", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("capabilities", [VERSIONS, CHANGES])
async def test_the_example_of_the_documentation(workspace: Path, bwrap: str, capabilities: Any) -> None:
    replies = call("bash", cmd="echo hi"), Reply(text="The shell said *hi*.")
    async with editor(workspace, *replies, capabilities=capabilities) as wire:
        paper = Paper(wire, document(workspace), example("before") + "\n")
        _, ended = wire.begin("workspace/executeCommand", (await paper.lenses())["Send"]["command"])
        await paper.until("**Approval needed**")
        await paper.choose("Allow")
        await ended
        assert re.sub("ses_[0-9a-f]+", "ses_…", paper.text).rstrip() == example("after")


async def test_what_a_task_waits_for_is_asked_in_its_parents_document(workspace: Path) -> None:
    touch = replace(call("bash", cmd="touch x"), match=Match(first="touch"))
    async with editor(workspace, touch, Reply(text="Ok.", times=0), capabilities=VERSIONS) as wire:
        paper = Paper(wire, document(workspace), "## You\n\nHello\n")
        await paper.choose("Send")
        paper.type("my draft")
        session = re.findall("ses_[0-9a-f]+", paper.text)[0]
        task = (await wire.command("pygent.delegate", prompt="touch it", sessionId=session))["task"]["id"]
        await paper.until("**Approval needed**")
        assert paper.text.index("**Approval needed**") < paper.text.index("## You\n\nmy draft")
        assert "[Task: touch it]" in paper.text
        lenses = await paper.lenses()
        assert set(lenses) == {"Allow", "Allow for session", "Deny", "Send"}
        line = lenses["Deny"]["range"]["start"]["line"]
        assert paper.text.split("\n")[line].startswith("> **Approval needed**")
        await paper.choose("Deny")
        (done,) = (await wire.command("pygent.task.wait", taskIds=[task]))["tasks"]
        assert done["status"] == "completed"
        await paper.until("> **Denied** (editor)\n\n## You\n\nmy draft")


async def test_a_turn_that_another_client_began_is_shown_above_the_draft(workspace: Path) -> None:
    async with editor(workspace, Reply(text="Ok.", times=0), capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\nOne\n")
        session = (await paper.choose("Send"))["sessionId"]
        paper.type("my draft")
        await wire.command("pygent.chat", text="## You\n```\nTwo", sessionId=session)
        await paper.until("\\## You\n```\nTwo\n```\n\n## Pygent\n\nOk.\n\n## You\n\nmy draft")


async def test_emacs_is_answered_at_once(workspace: Path) -> None:
    replies = call("bash", cmd="while [ ! -e go ]; do sleep 0.1; done"), Reply(text="Gone.")
    async with (
        ReplayServer(Script(replies=list(replies))) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        params = {
            "capabilities": VERSIONS,
            "clientInfo": {"name": "Eglot"},
            "rootUri": workspace.as_uri(),
            "initializationOptions": {"pygent": FREE},
        }
        await wire.request("initialize", params)
        wire.tell("initialized")
        paper = Paper(wire, document(workspace), "## You\n\nGo\n")
        send = (await paper.actions())["Send"]
        begun = await wire.command(send["command"], *send["arguments"])
        assert set(begun) == {"sessionId", "turnId"}
        (workspace / "go").touch()
        await paper.until("Gone.\n\n## You")
