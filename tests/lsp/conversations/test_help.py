"""Mentions, completion, commands, symbols, folds and links of conversation documents, over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.lsp.conversations.test_talk import FREE, VERSIONS, document, shown
from tests.lsp.paper import Paper
from tests.lsp.wire import Wire, editor, server
from tests.story import call

from pygent.lsp.conversations.mentions import Mention, mentions
from pygent.lsp.conversations.slash import SLASH, command_of
from pygent.replay import Match, ReplayServer, Reply, Script

pytestmark = pytest.mark.e2e
DONE = Reply(text="Done.", times=0)


def last_said(wire: Wire) -> Any:
    return wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]


async def complete(paper: Paper, typed: str) -> list[dict[str, Any]]:
    """Type at the end, and the items that are offered there, after taking back what was typed."""
    paper.type(typed)
    params = {"textDocument": {"uri": paper.uri}, "position": paper.buffer.position(len(paper.text))}
    answer = (await paper.wire.request("textDocument/completion", params))["result"]
    paper.type("", len(paper.text) - len(typed), over=len(typed))
    return (answer or {"items": []})["items"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see @a.py.", [Mention("a.py", 4, 9)]),
        ("(@src/b.py:10-20)", [Mention("src/b.py", 1, 16, 10, 20)]),
        ('@"a b.py:3"', [Mention("a b.py", 0, 11, 3, 3)]),
        ("@problems, @task", [Mention("problems", 0, 9), Mention("task", 11, 16)]),
        ("me@example.org and `@decorator` and \\@x and @@y", []),
    ],
)
def test_what_is_a_mention(text: str, expected: list[Mention]) -> None:
    assert list(mentions(text)) == expected


def test_what_is_a_command() -> None:
    assert command_of("/help tools") == ("help", "tools")
    assert command_of("/delegate @tester do\nthis") == ("delegate", "@tester do\nthis")
    assert command_of("/tmp/x is full") is command_of("/helper") is command_of("help") is None


async def test_mentions_become_attachments(workspace: Path, tmp_path: Path) -> None:
    (workspace / "a.py").write_text("one\ntwo\nthree\n")
    (workspace / "b c.txt").write_text("spaced")
    (tmp_path / "secret.txt").write_text("outside")
    (workspace / "out").symlink_to(tmp_path)
    async with editor(workspace, DONE, capabilities=VERSIONS, **FREE) as wire:
        text = '## You\n\nCompare @a.py:2-3 with @"b c.txt", not @../secret.txt @out/secret.txt @app.route'
        paper = Paper(wire, document(workspace), text)
        await paper.choose("Send")
        said = last_said(wire)
        assert "a.py, lines 2 to 3:\n```\ntwo\nthree\n```" in said
        assert "b c.txt, lines 1 to 1:\n```\nspaced\n```" in said
        assert "outside" not in said
        unsaved = Paper(wire, (workspace / "a.py").as_uri(), "unsaved\n")
        assert unsaved.text
        wire.answers["workspace/applyEdit"] = paper.apply
        paper.type("And @a.py?")
        assert (await paper.choose("Send"))["status"] == "completed"
        assert "unsaved" in last_said(wire)
        assert set(await paper.lenses()) == {"Send"}
        links = await wire.request("textDocument/documentLink", {"textDocument": {"uri": paper.uri}})
        targets = [one["target"] for one in links["result"]]
        assert f"{(workspace / 'a.py').as_uri()}#L2" in targets
        assert not [one for one in targets if "secret" in one]


async def test_problems_are_those_that_the_editor_told_of(workspace: Path) -> None:
    (workspace / "a.py").write_text("x = y\n")
    async with editor(workspace, DONE, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\nFix @problems")
        refused = await wire.refusal("pygent.conversation.send", uri=paper.uri)
        assert "No problems are known" in refused["message"]
        span = {"start": {"line": 0, "character": 4}, "end": {"line": 0, "character": 5}}
        diagnostic = {"range": span, "message": "y is not defined", "source": "pyright"}
        uri = (workspace / "a.py").as_uri()
        params = {"textDocument": {"uri": uri}, "range": span, "context": {"diagnostics": [diagnostic]}}
        await wire.request("textDocument/codeAction", params)
        offered = [one["label"] for one in await complete(paper, " @prob")]
        assert offered == ["problems", "problems:a.py"]
        await paper.choose("Send")
        assert "Problems in a.py:\n- line 1: y is not defined" in last_said(wire)


async def test_a_task_is_mentioned_with_what_it_did(workspace: Path) -> None:
    write = replace(call("write_file", path="new.py", content="x = 1\n"), match=Match(first="write a file"))
    replies = Reply(match=Match(first="Tell me"), text="Told."), write, Reply(text="Wrote it.", times=0)
    async with editor(workspace, *replies, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\n/delegate write a file")
        result = await paper.choose("Send")
        (task,) = (await wire.command("pygent.tasks"))["tasks"]
        assert task["id"] in result["reply"]
        await wire.command("pygent.task.wait", taskIds=[task["id"]])
        assert {"task", f"task:{task['id']}"} <= {one["label"] for one in await complete(paper, "@tas")}
        paper.type("Tell me: what did @task do?")
        await paper.choose("Send")
        assert f"Task {task['id']} (completed): write a file\n\nWrote it." in last_said(wire)
        assert "+x = 1" in last_said(wire)


async def test_completion(workspace: Path) -> None:
    for name in ("src/alpha.py", "src/beta.py", "build/x.o", "spaced name.py", ".env"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("")
    (workspace / ".gitignore").write_text("build/\n")
    async with editor(workspace, DONE, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\nSee 😀 ")
        labels = [one["label"] for one in await complete(paper, "@")]
        assert {"src/alpha.py", "src/beta.py", "spaced name.py", ".gitignore"} <= set(labels)
        assert not {"build/x.o", ".env"} & set(labels)
        (item,) = [one for one in await complete(paper, "@alph") if one["label"] == "src/alpha.py"]
        paper.type("@alph")
        paper.change([{"range": item["textEdit"]["range"], "text": item["textEdit"]["newText"]}])
        assert paper.text.endswith("See 😀 @src/alpha.py")
        (item,) = await complete(paper, " @spaced")
        assert item["textEdit"]["newText"] == '"spaced name.py"'
        assert await complete(paper, " a@b") == []
        paper.type("\n\n## You\n\n")
        assert {one["label"] for one in await complete(paper, "/")} == {f"/{name}" for name in SLASH}
        assert await complete(paper, "text\n/") == []


async def test_commands_answer_in_the_document(workspace: Path) -> None:
    replies = replace(call("write_file", path="a.py", content="x = 1\n"), match=Match(first="Write")), DONE
    async with editor(workspace, *replies, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\n/cost")
        assert "There is no conversation yet" in (await paper.choose("Send"))["reply"]
        paper.type("Write it")
        session = (await paper.choose("Send"))["sessionId"]
        assert (workspace / "a.py").exists()
        for text, expected in (
            ("/help", "`/delegate [@PERSONA] TEXT`"),
            ("/help nothing", "There is no command /nothing"),
            ("/undo", "deleted `a.py`"),
            ("/redo", "created `a.py`"),
            ("/tasks", "There are no tasks."),
            ("/model replayed", "The model is `replayed`."),
            ("/persona", "**Pygent**"),
            ("/persona nobody", "**Failed:**"),
            ("/cost", "tokens in"),
            ("/tools bash off", "- [ ] `bash`"),
            ("/delegate", "needs the work to do"),
        ):
            paper.type(text)
            result = await paper.choose("Send")
            assert expected in result["reply"], result
            assert paper.text.endswith(f"{text}\n\n## Pygent\n\n{result['reply']}\n\n## You\n\n")
        assert len((await wire.command("pygent.session.get", sessionId=session))["messages"]) == 4
        paper.type("And on")
        assert (await paper.choose("Send"))["sessionId"] == session
        paper.type("/new")
        new = (await paper.choose("Send"))["sessionId"]
        assert paper.text.startswith(f"<!-- pygent: {new} after {session} -->")
        paper.type("First")
        assert (await paper.choose("Send"))["sessionId"] == new
        assert last_said(wire) == "First"


async def test_outline_and_folds(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), "## You\n\nSay *hi*\nplease")
        await paper.choose("Send")
        params = {"textDocument": {"uri": paper.uri}}
        symbols = (await wire.request("textDocument/documentSymbol", params))["result"]
        assert [one["name"] for one in symbols][0::2] == ["You: Say *hi*", "You"]
        lines = paper.text.split("\n")
        folds = (await wire.request("textDocument/foldingRange", params))["result"]
        parts = ["\n".join(lines[one["startLine"] : one["endLine"] + 1]) for one in folds]
        assert parts[0].startswith("<details>") and parts[0].endswith("</details>")
        assert parts[1:] == ["## You\n\nSay *hi*\nplease", f"## Pygent\n\n{parts[0]}\n\nDone."]


@pytest.mark.parametrize(
    "text",
    ["", "Hi", "Hi\n", "<!-- pygent: ses_00 -->\n", "## You", "Before\n\n## You\n\n𝄞 end", "## You\r\nx\r\n"],
)
async def test_a_document_at_its_beginning_has_an_outline(workspace: Path, text: str) -> None:
    """Editors ask for it as soon as a document is open, and refuse ranges that end beyond its end."""
    async with editor(workspace, capabilities=VERSIONS, **FREE) as wire:
        paper = Paper(wire, document(workspace), text)
        params = {"textDocument": {"uri": paper.uri}}
        for method in ("documentSymbol", "foldingRange", "codeLens", "documentLink"):
            assert "error" not in await wire.request(f"textDocument/{method}", params), method
        symbols = (await wire.request("textDocument/documentSymbol", params))["result"]
        assert len(symbols) == text.count("## You")
        end = paper.buffer.position(len(text))
        assert all(one["range"]["end"] == end for one in symbols)


async def test_without_a_folder(workspace: Path) -> None:
    async with (
        ReplayServer(Script(replies=[DONE])) as model,
        server(workspace, base_url=model.base_url) as wire,
    ):
        await wire.initialize(None, VERSIONS)
        paper = Paper(wire, "untitled:/notes/chat.pygent.md", "Hello @problem and @x.py")
        assert (await paper.choose("Send"))["status"] == "completed"
        assert shown(paper.text).endswith("## Pygent\n\nDone.\n\n## You\n\n")
