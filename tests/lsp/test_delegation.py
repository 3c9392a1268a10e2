"""Delegation over the wire: said to, taken over, tried again and deleted, and turns that are steered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, editor, server

from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
EDITS: dict[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {"groupsOnLabel": True}},
    }
}
WAIT = "touch begun; until [ -e go ]; do sleep 0.02; done"
DONE = Reply(text="Done.", times=0)


def bash(first: str, cmd: str) -> Reply:
    return Reply(match=Match(first=first), tool_calls=[ScriptedCall(name="bash", arguments={"cmd": cmd})])


async def ended(wire: Wire, task_id: str) -> dict[str, Any]:
    (task,) = (await wire.command("pygent.task.wait", taskIds=[task_id], timeout=60))["tasks"]
    return dict(task)


async def exists(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.02)


def heard(wire: Wire, *words: str, number: int = -1) -> bool:
    """Whether the model was told these words, in this order, and each once."""
    messages = wire.model.requests[number]["messages"]  # type: ignore[attr-defined]
    text = str([message["content"] for message in messages if message["role"] != "system"])
    places = [text.find(word) for word in words]
    return -1 not in places and places == sorted(places) and all(text.count(word) == 1 for word in words)


async def test_a_running_turn_is_steered_and_the_next_one_queued(workspace: Path) -> None:
    replies = bash("go", WAIT), Reply(text="Steered."), Reply(text="And then.")
    async with editor(workspace, *replies, events=True, **FREE) as wire:
        begun = await wire.command("pygent.chat", text="go", wait=False)
        await exists(workspace / "begun")
        here = {"sessionId": begun["sessionId"]}
        steered = await wire.command("pygent.chat", text="use tabs", deliver="steer", wait=False, **here)
        assert steered["turnId"] == begun["turnId"]
        params = [{"text": "then tidy up", "deliver": "queue", **here}]
        _, queued = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": params})
        await wire.command("pygent.session.get", **here)  # the queued one has been taken in
        (workspace / "go").touch()
        result = (await asyncio.wait_for(queued, 60))["result"]
        assert (result["status"], result["reply"]) == ("completed", "And then.")
        assert result["turnId"] != begun["turnId"]
        assert heard(wire, "use tabs", number=1)
        assert heard(wire, "use tabs", "then tidy up")
        ends = [one["turnId"] for one in wire.events("turnFinished")]
        assert ends == [begun["turnId"], result["turnId"]]


@pytest.mark.parametrize("deliver", ["steer", "queue"])
async def test_with_no_turn_to_join_a_message_begins_one(workspace: Path, deliver: str) -> None:
    async with editor(workspace, DONE, **FREE) as wire:
        result = await wire.command("pygent.chat", text="go", deliver=deliver)
        assert result["status"] == "completed"
        assert heard(wire, "go")


async def test_a_task_hears_what_is_sent_running_and_ended(workspace: Path) -> None:
    async with editor(workspace, bash("work", WAIT), DONE, **FREE) as wire:
        task = (await wire.command("pygent.delegate", "work"))["task"]
        await exists(Path(task["workspace"]) / "begun")
        said = await wire.command("pygent.task.send", taskId=task["id"], text="use tabs")
        assert said == {"delivered": True}
        (Path(task["workspace"]) / "go").touch()
        assert (await ended(wire, task["id"]))["status"] == "completed"
        assert heard(wire, "work", "use tabs")
        await wire.command("pygent.task.send", taskId=task["id"], text="and again")
        again = await ended(wire, task["id"])
        assert (again["status"], again["steps"]) == ("completed", 3)
        assert heard(wire, "work", "use tabs", "and again")
        unknown = await wire.refusal("pygent.task.send", taskId="tsk_0", text="hello")
        assert (unknown["code"], unknown["data"]["code"]) == (-32803, "notFound")


async def test_a_task_is_tried_again_and_deleted(workspace: Path) -> None:
    (workspace / "given").write_text("given")
    async with editor(workspace, bash("work", "cat given > made"), DONE, events=True, **FREE) as wire:
        first = (await wire.command("pygent.delegate", "work"))["task"]
        await ended(wire, first["id"])
        second = (await wire.command("pygent.task.retry", first["id"]))["task"]
        assert (second["prompt"], second["status"]) == ("work", "queued")
        assert (await ended(wire, second["id"]))["status"] == "completed"
        for task in (first, second):
            assert await wire.command("pygent.task.delete", task["id"]) == {"deleted": True}
            assert not Path(task["workspace"]).parent.exists()
            gone = await wire.refusal("pygent.task.get", task["id"])
            assert gone["data"]["code"] == "notFound"
        assert await wire.command("pygent.task.delete", first["id"]) == {"deleted": False}
        assert await wire.command("pygent.tasks") == {"tasks": []}


async def test_a_running_task_is_not_tried_again(workspace: Path) -> None:
    async with editor(workspace, bash("work", WAIT), DONE, **FREE) as wire:
        task = (await wire.command("pygent.delegate", "work"))["task"]
        busy = await wire.refusal("pygent.task.retry", task["id"])
        assert busy["data"]["code"] == "busy"


async def test_changes_of_open_documents_arrive_as_annotated_edits(workspace: Path) -> None:
    path = workspace / "a.py"
    path.write_text("one\ntwo\nthree\n")
    (workspace / "closed").write_text("old\n")
    work = bash("work", "sed -i s/three/THREE/ a.py; echo new > closed; echo made > made")
    async with editor(workspace, work, DONE, capabilities=EDITS, **FREE) as wire:
        document = {"uri": path.as_uri(), "languageId": "python", "version": 3, "text": "one\ntwo\nthree\n"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        task = (await wire.command("pygent.delegate", "work"))["task"]
        await ended(wire, task["id"])
        typed = "ONE\ntwo\nthree\n"  # meanwhile the person types
        change = {"textDocument": {"uri": path.as_uri(), "version": 4}, "contentChanges": [{"text": typed}]}
        wire.tell("textDocument/didChange", change)
        diff = await wire.command("pygent.task.diff", task["id"])
        assert {one["path"]: one["kind"] for one in diff["files"]} == {
            "a.py": "edited",
            "closed": "edited",
            "made": "created",
        }
        preview = await wire.command("pygent.task.apply", taskId=task["id"], preview=True)
        assert (sorted(preview["applied"]), preview["conflicts"]) == (["a.py", "closed", "made"], [])
        assert (workspace / "closed").read_text() == "old\n"
        assert wire.asked == []

        wire.answers["workspace/applyEdit"] = lambda params: {"applied": True}
        done = await wire.command("pygent.task.apply", taskId=task["id"])
        assert (sorted(done["applied"]), done["conflicts"]) == (["a.py", "closed", "made"], [])
        edit = next(
            one["params"]["edit"]
            for one in wire.asked
            if one["params"]["edit"]["documentChanges"][0].get("textDocument")
        )
        (changed,) = edit["documentChanges"]
        assert changed["textDocument"] == {"uri": path.as_uri(), "version": 4}
        (piece,) = changed["edits"]
        assert piece["newText"] == "THREE"
        assert piece["range"]["start"] == {"line": 2, "character": 0}
        assert "Pygent" in edit["changeAnnotations"][piece["annotationId"]]["label"]
        assert path.read_text() == "one\ntwo\nthree\n"  # the file is the editor's to save
        assert (workspace / "closed").read_text() == "new\n"
        assert (workspace / "made").read_text() == "made\n"


async def test_an_edit_that_the_editor_refuses_is_a_conflict(workspace: Path) -> None:
    path = workspace / "a.py"
    path.write_text("one\n")
    async with editor(workspace, bash("work", "echo two > a.py"), DONE, capabilities=EDITS, **FREE) as wire:
        wire.answers["workspace/applyEdit"] = lambda params: {"applied": False}
        document = {"uri": path.as_uri(), "languageId": "python", "version": 3, "text": "one\n"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        task = (await wire.command("pygent.delegate", "work"))["task"]
        await ended(wire, task["id"])
        done = await wire.command("pygent.task.apply", taskId=task["id"])
        assert done["applied"] == []
        (conflict,) = done["conflicts"]
        assert conflict["path"] == "a.py"
        assert "refused" in conflict["reason"]
        assert path.read_text() == "one\n"


async def test_unsaved_texts_are_given_to_a_task(workspace: Path) -> None:
    path = workspace / "a.py"
    path.write_text("saved\n")
    async with editor(workspace, bash("work", "cat a.py"), DONE, **FREE) as wire:
        document = {"uri": path.as_uri(), "languageId": "python", "version": 3, "text": "typed\n"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        task = (await wire.command("pygent.delegate", "work"))["task"]
        assert (await ended(wire, task["id"]))["status"] == "completed"
        assert (Path(task["workspace"]) / "a.py").read_text() == "typed\n"


async def test_a_task_of_one_client_is_worked_with_from_another(workspace: Path) -> None:
    """Two editors of one machine, each with a server of its own."""
    async with editor(workspace, bash("work", WAIT), DONE, **FREE) as wire, server(workspace) as other:
        await other.initialize(workspace, **FREE)
        task = (await wire.command("pygent.delegate", "work"))["task"]
        await exists(Path(task["workspace"]) / "begun")
        (seen,) = (await other.command("pygent.tasks"))["tasks"]
        assert (seen["id"], seen["status"]) == (task["id"], "running")
        assert await other.command("pygent.tasks", folderUri=workspace.as_uri()) == {"tasks": [seen]}
        (workspace.parent / "elsewhere").mkdir()
        elsewhere = (workspace.parent / "elsewhere").as_uri()
        assert await other.command("pygent.tasks", folderUri=elsewhere) == {"tasks": []}
        log = await other.command("pygent.task.log", taskId=task["id"])
        assert "toolStarted" in [one["event"]["type"] for one in log["events"]]
        assert (await other.command("pygent.task.diff", task["id"]))["files"][0]["path"] == "begun"
        assert (await other.command("pygent.task.apply", task["id"]))["applied"] == ["begun"]
        assert (workspace / "begun").exists()
        cancelled = await other.command("pygent.task.cancel", task["id"])
        assert cancelled["task"]["status"] == "cancelled"
        assert (await ended(wire, task["id"]))["status"] == "cancelled"
