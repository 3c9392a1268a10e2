"""The commands of the protocol over a real connection, with a scripted model."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import IGNORE, REFUSE, editor, server
from tests.story import call

from pygent.lsp import chat, inspect, tasks
from pygent.lsp.commands import COMMANDS
from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
MESSAGES = {"window": {"showMessage": {"messageActionItem": {}}, "workDoneProgress": True}}
assert chat and inspect and tasks  # they register the commands that are parametrised below


async def test_a_chat_tells_its_story_in_events(workspace: Path) -> None:
    replies = call("bash", cmd="echo hi"), call("write_file", path="a.py", content="x = 1\n"), DONE
    async with editor(workspace, *replies, events=True, **FREE) as wire:
        result = await wire.command("pygent.chat", "fix", "the tests")
        assert (result["status"], result["reply"]) == ("completed", "All done.")
        assert result["changes"] == [{"uri": (workspace / "a.py").as_uri(), "kind": "created"}]
        assert result["usage"]["promptTokens"] == 300
        stored = await wire.command("pygent.session.events", sessionId=result["sessionId"])
        shown = [one for one in wire.events() if one["event"]["type"] not in ("textDelta", "toolOutput")]
        assert stored["events"] == shown
        assert stored["seq"] == len(shown)
        got = await wire.command("pygent.session.get", sessionId=result["sessionId"])
        assert [m["role"] for m in got["messages"]] == [
            "user",
            "assistant",
            "tool",
            "assistant",
            "tool",
            "assistant",
        ]
        assert await wire.leave() == 0


async def test_without_events_a_stock_editor_hears_only_what_it_knows(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, capabilities=MESSAGES, **FREE) as wire:
        await wire.command("pygent.chat", "go")
        methods = {one["method"] for one in wire.notifications}
        assert methods <= {"$/progress", "window/logMessage", "window/showMessage"}
        await wire.until(lambda: [one for one in wire.notifications if one["method"] == "$/progress"])


async def test_not_waiting_answers_at_once_and_the_end_comes_by_event(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="sleep 0.3"), DONE, events=True, **FREE) as wire:
        begun = await wire.command("pygent.chat", text="go", wait=False)
        assert not wire.events("turnFinished")
        end = await wire.event("turnFinished")
        assert end["turnId"] == begun["turnId"]


async def test_the_same_message_sent_twice_runs_once(workspace: Path) -> None:
    async with editor(workspace, DONE, events=True, **FREE) as wire:
        first = await wire.command("pygent.chat", text="go", clientMessageId="m1")
        again = await wire.command("pygent.chat", text="go", clientMessageId="m1")
        assert again["turnId"] == first["turnId"]
        assert len(wire.events("turnStarted")) == 1


@pytest.mark.parametrize("way", ["approve", "message", "hand"])
async def test_consent_by_each_way(workspace: Path, way: str) -> None:
    options = {"events": True, "approvals": way == "approve"}
    capabilities = MESSAGES if way == "message" else {}
    async with editor(
        workspace, call("bash", cmd="touch x"), DONE, capabilities=capabilities, **options
    ) as wire:
        wire.answers["pygent/approve"] = lambda params: {"decision": "accept", "feedback": None}
        wire.answers["window/showMessageRequest"] = lambda params: (
            {"title": "Allow"} if way == "message" else REFUSE
        )
        _, answer = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        asked = (await wire.event("approvalRequested"))["event"]["approval"]
        assert (asked["kind"], asked["command"], asked["isolation"]) == ("command", "touch x", "bubblewrap")
        if way == "hand":
            (waiting,) = (await wire.command("pygent.approvals"))["approvals"]
            assert waiting == asked
            resolve = {"approvalId": asked["id"], "decision": "accept"}
            assert await wire.command("pygent.approval.respond", **resolve) == {"resolved": True}
            assert await wire.command("pygent.approval.respond", **resolve) == {"resolved": False}
        assert (await answer)["result"]["status"] == "completed"
        assert (workspace / "x").exists()
        assert (await wire.event("approvalResolved"))["event"]["decision"] == "accept"


@pytest.mark.parametrize("answer", [REFUSE, IGNORE, {"decision": "perhaps"}, None])
async def test_a_client_that_does_not_answer_leaves_the_approval_open(workspace: Path, answer: Any) -> None:
    async with editor(workspace, call("bash", cmd="touch x"), DONE, events=True, approvals=True) as wire:
        wire.answers["pygent/approve"] = lambda params: answer
        _, ended = wire.begin("workspace/executeCommand", {"command": "pygent.chat", "arguments": ["go"]})
        asked = (await wire.event("approvalRequested"))["event"]["approval"]
        await wire.until(lambda: wire.asked)
        await wire.command(
            "pygent.approval.respond", approvalId=asked["id"], decision="decline", feedback="no"
        )
        assert (await ended)["result"]["status"] == "completed"
        assert not (workspace / "x").exists()
        if answer is IGNORE:
            assert [one for one in wire.notifications if one["method"] == "$/cancelRequest"]


async def test_a_question_is_asked_or_ends_the_turn(workspace: Path) -> None:
    ask = call("ask_user", prompt="Which?", options=["a", "b"])
    async with editor(workspace, ask, DONE, events=True, **FREE) as wire:
        result = await wire.command("pygent.chat", "go")
        assert result["status"] == "needsInput"
        assert result["question"]["options"] == ["a", "b"]
        answered = await wire.command("pygent.chat", "b")
        assert (answered["sessionId"], answered["status"]) == (result["sessionId"], "completed")
    async with editor(workspace, ask, DONE, capabilities=MESSAGES, events=True, **FREE) as wire:
        wire.answers["window/showMessageRequest"] = lambda params: params["actions"][1]
        assert (await wire.command("pygent.chat", "go"))["status"] == "completed"
        assert (await wire.event("questionAnswered"))["event"]["answer"] == "b"
    async with editor(workspace, ask, DONE, questions=True, events=True, **FREE) as wire:
        wire.answers["pygent/ask"] = lambda params: {"answer": "neither"}
        await wire.command("pygent.chat", "go")
        assert (await wire.event("questionAnswered"))["event"]["answer"] == "neither"


async def test_a_wait_for_the_model_is_counted_down_in_progress(workspace: Path) -> None:
    busy = Reply(status=429, headers={"retry-after": "2.4"})
    async with editor(workspace, busy, DONE, capabilities=MESSAGES, **FREE) as wire:
        params = {"command": "pygent.chat", "arguments": ["go"], "workDoneToken": "mine"}
        _, answer = wire.begin("workspace/executeCommand", params)
        assert (await answer)["result"]["status"] == "completed"
        told = [one["params"]["value"] for one in wire.notifications if one["method"] == "$/progress"]
        shown = [value["message"] for value in told if "again" in value.get("message", "")]
        assert "429" in shown[0]
        assert shown[1:] == ["Trying again in 2 s (1 of 5)", "Trying again in 1 s (1 of 5)"]
        assert [one for one in wire.notifications if one["method"] == "window/showMessage"] == []


async def test_the_doctor_tells_what_was_learnt_of_the_endpoint(workspace: Path) -> None:
    words = {"error": {"message": "stream_options: Extra inputs are not permitted"}}
    async with editor(workspace, Reply(status=400, body=words), DONE, DONE, events=True, **FREE) as wire:
        assert [c for c in (await wire.command("pygent.doctor"))["checks"] if c["id"] == "endpoint"] == []
        await wire.command("pygent.chat", "go")
        assert "adapted" in [one["event"]["code"] for one in wire.events("notice")]
        (check,) = [c for c in (await wire.command("pygent.doctor"))["checks"] if c["id"] == "endpoint"]
        assert "`stream_options`" in check["message"]


@pytest.mark.parametrize("way", ["command", "request", "progress"])
async def test_cancelling_in_mid_command(workspace: Path, way: str) -> None:
    mark = f"3{time.time_ns() % 10**8:08d}"
    long = call("bash", cmd=f"echo go; sleep {mark}")
    async with editor(workspace, long, DONE, capabilities=MESSAGES, events=True, **FREE) as wire:
        params = {"command": "pygent.chat", "arguments": ["go"], "workDoneToken": "mine"}
        number, answer = wire.begin("workspace/executeCommand", params)
        await wire.event("toolOutput")
        if way == "command":
            assert await wire.command("pygent.cancel") == {"cancelled": True}
            assert (await answer)["result"]["status"] == "cancelled"
        elif way == "request":
            wire.tell("$/cancelRequest", {"id": number})
            assert (await answer)["error"]["code"] == -32800
        else:
            wire.tell("window/workDoneProgress/cancel", {"token": "mine"})
            assert (await answer)["result"]["status"] == "cancelled"
        assert (await wire.event("turnFinished"))["event"]["status"] == "cancelled"
        assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode
        assert await wire.command("pygent.cancel") == {"cancelled": False}


async def test_sessions_are_listed_renamed_exported_and_deleted(workspace: Path) -> None:
    async with editor(workspace, DONE, **FREE) as wire:
        session_id = (await wire.command("pygent.chat", "a memorable request"))["sessionId"]
        async with server(workspace) as other:
            await other.initialize(workspace)
            (seen,) = (await other.command("pygent.session.list", search="memorable"))["sessions"]
            assert (seen["id"], seen["status"]) == (session_id, "idle")
        renamed = await wire.command("pygent.session.rename", sessionId=session_id, title="new")
        assert renamed["session"]["title"] == "new"
        text = (await wire.command("pygent.session.export", sessionId=session_id, format="md"))["text"]
        assert "a memorable request" in text
        assert "All done." in text
        assert await wire.command("pygent.session.delete", sessionId=session_id) == {"deleted": True}
        gone = await wire.refusal("pygent.session.get", sessionId=session_id)
        assert (gone["code"], gone["data"]["code"]) == (-32803, "notFound")


async def test_delegated_work(workspace: Path) -> None:
    (workspace / "given.txt").write_text("given")
    child = Match(first="write it")
    replies = [
        Reply(
            match=child, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "cp given.txt made.txt"})]
        ),
        Reply(
            match=child, tool_calls=[ScriptedCall(name="write_file", arguments={"path": "b", "content": "b"})]
        ),
        Reply(match=child, text="Written."),
    ]
    config = {"confirm_bash": False, "task_personas": [{"name": "tester", "description": "tests"}]}
    async with editor(workspace, *replies, events=True, trusted=True, config=config) as wire:
        made = (await wire.command("pygent.delegate", prompt="write it", files=["given.txt"]))["task"]
        assert made["persona"]["name"] == "tester"
        (ended,) = (await wire.command("pygent.task.wait", taskIds=[made["id"]], timeout=30))["tasks"]
        assert (ended["status"], ended["steps"], ended["changedFiles"]) == ("completed", 3, ["b"])
        assert not (workspace / "made.txt").exists()
        log = await wire.command("pygent.task.log", taskId=made["id"])
        assert {one["taskId"] for one in log["events"]} == {made["id"]}
        sides = [
            (await wire.command("pygent.task.file", taskId=made["id"], path="made.txt", side=side))["text"]
            for side in ("before", "after")
        ]
        assert sides == ["", "given"]
        unchanged = await wire.refusal("pygent.task.file", taskId=made["id"], path="given.txt")
        assert unchanged["data"]["code"] == "notFound"
        collected = await wire.command(
            "pygent.task.collect", taskId=made["id"], path="made.txt", dest="sub/x.txt"
        )
        assert collected == {"collected": ["sub/x.txt"]}
        assert (workspace / "sub/x.txt").read_text() == "given"
        (listed,) = (await wire.command("pygent.tasks", status="completed"))["tasks"]
        assert listed == (await wire.command("pygent.task.get", made["id"]))["task"]
        assert [one["event"]["task"]["status"] for one in wire.events("taskChanged")][-1] == "completed"


async def test_a_task_is_cancelled(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="sleep 600"), events=True, **FREE) as wire:
        task = (await wire.command("pygent.delegate", "long work"))["task"]
        await wire.until(lambda: wire.events("toolStarted"))
        assert (await wire.command("pygent.task.cancel", task["id"]))["task"]["status"] == "cancelled"


async def test_what_is_attached_reaches_the_model(workspace: Path) -> None:
    (workspace / "a.py").write_text("one\ntwo\nthree\n")
    uri = (workspace / "a.py").as_uri()
    span = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 3}}
    problem = {"range": span, "message": "two is wrong"}
    async with editor(workspace, DONE, **FREE) as wire:
        attached = [{"uri": uri, "range": span}, {"uri": uri, "diagnostics": [problem]}]
        await wire.command("pygent.chat", text="look", attachments=attached)
        sent = wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert "a.py, lines 2 to 2:\n```\ntwo\n```" in sent
        assert "- line 2: two is wrong" in sent


async def test_the_agent_reads_and_edits_the_buffer(workspace: Path) -> None:
    path = workspace / "a.py"
    path.write_text("on disk\n")
    replies = [
        call("read_file", path="a.py"),
        call("edit_file", path="a.py", old="in the buffer", new="changed"),
        DONE,
    ]
    capabilities = {"workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}}
    async with editor(workspace, *replies, capabilities=capabilities, **FREE) as wire:
        wire.answers["workspace/applyEdit"] = lambda params: {"applied": True}
        document = {
            "uri": path.as_uri(),
            "languageId": "python",
            "version": 3,
            "text": "a\nin the buffer\nz\n",
        }
        wire.tell("textDocument/didOpen", {"textDocument": document})
        await wire.command("pygent.chat", "go")
        assert "in the buffer" in wire.model.requests[1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        (asked,) = [one for one in wire.asked if one["method"] == "workspace/applyEdit"]
        (change,) = asked["params"]["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": path.as_uri(), "version": 3}
        (edit,) = change["edits"]
        assert edit["newText"] == "changed"
        assert edit["range"] == {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 13}}
        assert path.read_text() == "on disk\n"


async def test_an_edit_of_a_buffer_is_taken_back_in_the_buffer(workspace: Path) -> None:
    path, mine = workspace / "a.py", workspace / "mine.py"
    path.write_text("on disk\n")
    mine.write_text("")
    texts = {path.as_uri(): "in the buffer\nkept\n", mine.as_uri(): "not the agent's\n"}
    replies = call("edit_file", path="a.py", old="in the buffer", new="changed"), DONE
    capabilities = {"workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}}
    async with editor(workspace, *replies, capabilities=capabilities, **FREE) as wire:

        def applies(params: Any) -> Any:
            (change,) = params["edit"]["documentChanges"]
            (edit,) = change["edits"]
            uri, span = change["textDocument"]["uri"], edit["range"]
            lines = texts[uri].split("\n")
            start, end = (
                sum(len(line) + 1 for line in lines[: one["line"]]) + one["character"]
                for one in (span["start"], span["end"])
            )
            texts[uri] = texts[uri][:start] + edit["newText"] + texts[uri][end:]
            identity = {"uri": uri, "version": change["textDocument"]["version"] + 1}
            new = {"textDocument": identity, "contentChanges": [{"text": texts[uri]}]}
            wire.tell("textDocument/didChange", new)
            return {"applied": True}

        wire.answers["workspace/applyEdit"] = applies
        for uri, text in texts.items():
            document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
            wire.tell("textDocument/didOpen", {"textDocument": document})
        await wire.command("pygent.chat", "go")
        assert texts[path.as_uri()] == "changed\nkept\n"
        undone = await wire.command("pygent.undo")
        assert [(one["uri"], one["action"]) for one in undone["files"]] == [(path.as_uri(), "edited")]
        assert texts == {
            path.as_uri(): "in the buffer\nkept\n",
            mine.as_uri(): "not the agent's\n",
        }
        assert path.read_text() == "on disk\n"


async def test_a_refused_edit_is_told_and_loses_nothing(workspace: Path) -> None:
    path = workspace / "a.py"
    path.write_text("on disk\n")
    replies = call("edit_file", path="a.py", old="buffer", new="changed"), DONE
    async with editor(workspace, *replies, capabilities={"workspace": {"applyEdit": True}}, **FREE) as wire:
        wire.answers["workspace/applyEdit"] = lambda params: {"applied": False}
        document = {"uri": path.as_uri(), "languageId": "python", "version": 3, "text": "buffer\n"}
        wire.tell("textDocument/didOpen", {"textDocument": document})
        await wire.command("pygent.chat", "go")
        assert "nothing was written" in wire.model.requests[-1]["messages"][-1]["content"]  # type: ignore[attr-defined]
        assert path.read_text() == "on disk\n"


async def test_personas_models_and_tools(workspace: Path) -> None:
    config = {"persona_name": "Max", "task_personas": ["tester"]}
    async with editor(workspace, DONE, trusted=True, config=config) as wire:
        personas = (await wire.command("pygent.personas"))["personas"]
        assert [(one["name"], one["active"]) for one in personas] == [("Max", True), ("tester", False)]
        assert (await wire.command("pygent.persona.use", "tester"))["persona"]["name"] == "tester"
        session = (await wire.command("pygent.session.new"))["session"]
        assert session["persona"]["name"] == "tester"
        assert (await wire.refusal("pygent.persona.use", "nobody"))["data"]["code"] == "notFound"
        assert await wire.command("pygent.models") == {
            "models": [{"id": "gpt-4.1-mini"}, {"id": "replayed"}],
            "active": "gpt-4.1-mini",
        }
        assert await wire.command("pygent.model.use", "replayed") == {"model": "replayed"}
        assert (await wire.command("pygent.models"))["active"] == "replayed"
        mine = (await wire.command("pygent.session.new"))["session"]
        assert mine["model"] == "replayed"
        await wire.command("pygent.model.use", name="gpt-4.1-mini", sessionId=mine["id"])
        await wire.command("pygent.chat", text="who", sessionId=mine["id"])
        assert wire.model.requests[-1]["model"] == "gpt-4.1-mini"  # type: ignore[attr-defined]
        tools = {one["name"]: one for one in (await wire.command("pygent.tools"))["tools"]}
        assert tools["bash"]["parameters"]["required"] == ["cmd"]
        off = await wire.command("pygent.tool.disable", name="grep", sessionId=session["id"])
        assert [one["enabled"] for one in off["tools"] if one["name"] == "grep"] == [False]
        await wire.command("pygent.chat", text="go", sessionId=session["id"])
        offered = [one["function"]["name"] for one in wire.model.requests[-1]["tools"]]  # type: ignore[attr-defined]
        assert "bash" in offered
        assert "grep" not in offered


async def test_settings_reload_and_a_broken_file_keeps_the_last_good_ones(workspace: Path) -> None:
    settings = workspace / "pygent.toml"
    settings.write_text('persona_name = "Max"\n')
    async with editor(workspace, DONE) as wire:
        shown = (await wire.command("pygent.config.show"))["values"]
        assert shown["persona_name"]["value"] == "Max"
        assert shown["persona_name"]["origin"] == "workspace"
        assert shown["api_key"]["value"] == "set"
        settings.write_text('persona_name = "Max\nmodel = 1')
        wire.tell("workspace/didChangeWatchedFiles", {"changes": [{"uri": settings.as_uri(), "type": 2}]})

        def published() -> Any:
            return [
                one["params"]
                for one in wire.notifications
                if one["method"] == "textDocument/publishDiagnostics"
            ]

        found, *_ = (await wire.until(published))[-1]["diagnostics"]
        assert found["range"]["start"]["line"] == 0
        assert (await wire.command("pygent.config.show"))["values"]["persona_name"]["value"] == "Max"
        settings.write_text('persona_name = "Moritz"\n')
        reloaded = await wire.command("pygent.config.reload")
        assert reloaded["values"]["persona_name"]["value"] == "Moritz"
        assert published()[-1]["diagnostics"] == []


async def test_trust_is_asked_for_what_could_harm(workspace: Path) -> None:
    (workspace / "pygent.toml").write_text("confirm_bash = false\n")
    async with editor(workspace, DONE) as wire:
        trusted = await wire.command("pygent.workspace.trust", trusted=True)
        assert trusted["wouldChange"] == [{"key": "confirm_bash", "value": False, "origin": "workspace"}]
        shown = (await wire.command("pygent.config.show"))["values"]
        assert shown["confirm_bash"]["value"] is False


async def test_the_sandbox_and_the_doctor(workspace: Path) -> None:
    async with editor(workspace, DONE) as wire:
        done = await wire.command("pygent.sandbox.run", "echo hi; exit 3")
        assert (done["exitCode"], done["output"], done["timedOut"]) == (3, "hi\n", False)
        slow = await wire.command("pygent.sandbox.run", command="sleep 60", timeout=0.2)
        assert (slow["exitCode"], slow["timedOut"]) == (None, True)
        status = await wire.command("pygent.sandbox.status")
        assert status["effective"] in ("bubblewrap", "local")
        assert await wire.command("pygent.sandbox.restart") == status
        checks = {one["id"]: one for one in (await wire.command("pygent.doctor"))["checks"]}
        assert checks["model"]["status"] == "ok"


async def test_docker_that_is_missing_is_an_error_with_a_fix(workspace: Path) -> None:
    env = {"PYGENT_USE_DOCKER": "1", "DOCKER_HOST": "unix:///nothing.sock"}
    async with editor(workspace, DONE, env=env) as wire:
        error = await wire.refusal("pygent.sandbox.status")
        assert (error["code"], error["data"]["code"]) == (-32803, "sandboxUnavailable")
        assert error["data"]["fix"]
        assert (await wire.command("pygent.chat", "go"))["error"]["code"] == "sandboxUnavailable"


async def test_wrong_arguments_of_every_command_are_named(workspace: Path) -> None:
    async with editor(workspace, DONE) as wire:
        for name, found in COMMANDS.items():
            for arguments in ([{"nonsense": 1}], [1], [{}, {}], [[]]):
                error = await wire.refusal(name, *arguments)
                assert error["code"] == -32602, (name, arguments)
                assert set(error["data"]) == {"field", "expected"}
            for field in found.arguments.__struct_encode_fields__:
                error = await wire.refusal(name, {field: {"an": "object"}})
                assert error["code"] == -32602, (name, field)


async def test_a_second_turn_at_once_is_busy(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="sleep 600"), events=True, **FREE) as wire:
        begun = await wire.command("pygent.chat", text="go", wait=False)
        error = await wire.refusal("pygent.chat", text="me too", sessionId=begun["sessionId"])
        assert error["data"]["code"] == "busy"
        await asyncio.wait_for(wire.leave(), 20)


async def test_a_snapshot_is_saved_and_loaded(workspace: Path, tmp_path: Path) -> None:
    (workspace / "a.txt").write_text("first")
    async with editor(workspace, Reply(text="One."), Reply(text="Two."), **FREE) as wire:
        first = await wire.command("pygent.chat", "go")
        saved = await wire.command("pygent.snapshot.save", dir=str(tmp_path / "saved"))
        assert saved == {"dir": str(tmp_path / "saved"), "files": ["a.txt"]}
        (workspace / "a.txt").write_text("second")
        loaded = await wire.command("pygent.snapshot.load", (tmp_path / "saved").as_uri())
        assert (loaded["files"], (workspace / "a.txt").read_text()) == (["a.txt"], "first")
        assert (Path(loaded["before"]) / "workspace/a.txt").read_text() == "second"
        assert loaded["sessionId"] != first["sessionId"]
        assert (await wire.command("pygent.chat", text="on", sessionId=loaded["sessionId"]))[
            "reply"
        ] == "Two."
        assert (await wire.refusal("pygent.snapshot.save", dir="relative"))["data"]["field"] == "dir"
        assert (await wire.refusal("pygent.snapshot.save", dir=str(workspace)))["data"]["code"] == "denied"
        assert (await wire.refusal("pygent.snapshot.load", dir="/nowhere"))["data"]["code"] == "notFound"
