"""The whole agent in a Markdown buffer, over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.lsp.paper import Paper
from tests.lsp.wire import editor
from tests.story import call

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
VERSIONS: dict[str, Any] = {"workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}}
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}


async def test_a_conversation_from_an_empty_file(workspace: Path) -> None:
    replies = call("bash", cmd="echo hi"), Reply(text="It says *hi*.")
    async with editor(workspace, *replies, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, (workspace / "chat.pygent.md").as_uri(), "## You\n\nSay hi\n")
        assert set(await paper.lenses()) == {"Send"}
        result = await paper.choose("Send")
        assert result["status"] == "completed"
        assert paper.text == (
            f"<!-- pygent: {result['sessionId']} -->\n\n## You\n\nSay hi\n\n## Pygent\n\n"
            "<details><summary>$ echo hi</summary>\n\n```text\nhi\n```\n\n</details>\n\n"
            "It says *hi*.\n\n## You\n\n"
        )
