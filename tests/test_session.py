"""Turns from a person's message to their one end, with real tools and a scripted model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.story import KEY, Person, call, story

from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.events import (
    ApprovalResolved,
    ChangeMade,
    Message,
    Notice,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from pygent.records import Decision
from pygent.replay import Fault, Match, Reply, ScriptedCall

DONE = Reply(text="All done.")


async def test_a_turn_of_text_streams_and_ends(workspace: Path) -> None:
    async with story(workspace, Reply(text="Hello there. " * 5)) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("hi")
        person = tale.person
        assert (result.status, result.reply) == ("completed", "Hello there. " * 5)
        assert "".join(event.text for event in person.of(TextDelta)) == result.reply
        assert isinstance(session.events()[0].event, TurnStarted)
        assert len(person.of(TurnFinished)) == 1
        assert [e.seq for e in session.events()] == list(range(1, session.last_seq + 1))
        assert session.info.title == "hi"


async def test_a_command_runs_and_the_model_reads_its_end(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="echo out; exit 3"), DONE) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "completed"
        assert tale.last_result() == "out\n[exit code 3]"
        (end,) = tale.person.of(ToolFinished)
        assert (end.status, end.exit_code) == ("failed", 3)
        assert "".join(event.text for event in tale.person.of(ToolOutput)) == "out\n"


async def test_files_are_changed_with_a_diff(workspace: Path) -> None:
    (workspace / "a.txt").write_text("one\ntwo\n")
    calls = [
        ScriptedCall(name="write_file", arguments={"path": "new.txt", "content": "fresh\n"}),
        ScriptedCall(name="edit_file", arguments={"path": "a.txt", "old": "two", "new": "2"}),
        ScriptedCall(name="edit_file", arguments={"path": "a.txt", "old": "three", "new": "3"}),
        ScriptedCall(name="read_file", arguments={"path": "../secret"}),
    ]
    async with story(workspace, Reply(tool_calls=calls), DONE) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert (workspace / "a.txt").read_text() == "one\n2\n"
        assert {change.kind for change in result.changes} == {"created", "edited"}
        assert "-two\n+2\n" in tale.person.of(ChangeMade)[1].diff
        assert [end.status for end in tale.person.of(ToolFinished)] == [
            "completed",
            "completed",
            "failed",
            "failed",
        ]


async def test_reads_of_one_answer_run_together_and_keep_their_order(workspace: Path) -> None:
    for name in "abc":
        (workspace / name).write_text(name)
    calls = [ScriptedCall(name="read_file", arguments={"path": name}) for name in "abc"]
    async with story(workspace, Reply(tool_calls=calls), DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        told = [m["content"] for m in tale.server.requests[-1]["messages"] if m["role"] == "tool"]
        assert [text.strip()[-1] for text in told] == ["a", "b", "c"]


async def test_consent_is_asked_and_a_no_is_told_with_its_reason(workspace: Path) -> None:
    person = Person(Decision(decision="decline", feedback="not now"))
    async with story(workspace, call("bash", cmd="touch x"), DONE, person=person, confirm_bash=True) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "completed"
        assert not (workspace / "x").exists()
        assert "not now" in tale.last_result()
        assert person.approvals[0].command == "touch x"
        assert person.of(ToolFinished)[0].status == "declined"


async def test_consent_for_the_session_is_asked_once(workspace: Path) -> None:
    person = Person(Decision(decision="acceptForSession"))
    replies = [call("bash", cmd="date +%N"), call("bash", cmd="date +%N"), DONE]
    async with story(workspace, *replies, person=person, confirm_bash=True) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert len(person.approvals) == 1


async def test_cancel_as_an_answer_ends_the_turn(workspace: Path) -> None:
    person = Person(Decision(decision="cancel"))
    async with story(workspace, call("bash", cmd="touch x"), DONE, person=person, confirm_bash=True) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert (await session.chat("go")).status == "cancelled"
        assert (await session.chat("again")).status == "completed"


async def test_an_approval_is_answered_by_hand_or_declined_in_the_end(workspace: Path) -> None:
    replies = [call("bash", cmd="touch x"), call("bash", cmd="touch y"), DONE]
    (workspace.parent / "c.toml").write_text("")
    async with story(workspace, *replies, confirm_bash=True, **{"approvals.timeout": 0.3}) as tale:
        session = tale.app.sessions.new(tale.folder)
        job = asyncio.create_task(session.chat("go"))
        while not tale.app.approvals.pending():
            await asyncio.sleep(0.005)
        (approval,) = tale.app.approvals.pending()
        assert tale.app.approvals.respond(approval.id, Decision(decision="accept"), "hand")
        assert not tale.app.approvals.respond(approval.id, Decision(decision="decline"), "late")
        await job
        assert [event.by for event in tale.person.of(ApprovalResolved)] == ["hand", "timeout"]
        assert (workspace / "x").exists()
        assert not (workspace / "y").exists()


async def test_cancelling_in_mid_command_ends_it(workspace: Path) -> None:
    mark = f"6{time.time_ns() % 10**8:08d}"
    async with story(workspace, call("bash", cmd=f"echo go; sleep {mark}"), DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        job = asyncio.create_task(session.chat("go"))
        await tale.person.until(ToolOutput)
        assert await session.cancel()
        assert (await job).status == "cancelled"
        assert (
            subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1
        )
        assert tale.person.of(ToolFinished)[0].status == "cancelled"
        assert (await session.chat("and now?")).status == "completed"


async def test_cancelling_while_the_model_streams(workspace: Path) -> None:
    slow = Reply(match=Match(last="go"), text="word " * 100, delay=0.05)
    async with story(workspace, slow, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        job = asyncio.create_task(session.chat("go"))
        await tale.person.until(TextDelta)
        await session.cancel()
        assert (await job).status == "cancelled"
        assert (await session.chat("again")).status == "completed"
        spoken = [m for m in tale.server.requests[-1]["messages"] if m["role"] == "assistant"]
        assert spoken[0]["content"].startswith("word")


async def test_a_question_that_nobody_can_answer_waits_for_the_next_message(workspace: Path) -> None:
    ask = call("ask_user", prompt="Which?", options=["a", "b"])
    async with story(workspace, ask, DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert result.status == "needsInput"
        assert result.question is not None
        assert (result.question.prompt, result.question.options) == ("Which?", ["a", "b"])
        assert (await session.chat("b")).status == "completed"
        assert "b" in json.dumps(tale.server.requests[-1]["messages"][-1])


async def test_a_question_is_answered_by_the_front_end(workspace: Path) -> None:
    ask = call("ask_user", prompt="Which?")
    async with story(workspace, ask, DONE, person=Person(answer="the second")) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).status == "completed"
        assert "the second" in tale.last_result()


async def test_stop_ends_the_turn(workspace: Path) -> None:
    async with story(workspace, call("stop"), DONE) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).status == "completed"
        assert len(tale.server.requests) == 1


async def test_the_limit_of_steps(workspace: Path) -> None:
    step = Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "echo {{step}}"})], times=0)
    async with story(workspace, step, **{"limits.steps": 4}) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "limit"
        assert result.error is not None
        assert "4 steps" in result.error.message
        assert len(tale.server.requests) == 4


async def test_going_round_in_circles_is_told_and_then_ended(workspace: Path) -> None:
    same = Reply(tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "echo same"})], times=0)
    async with story(workspace, same) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "limit"
        assert len(tale.server.requests) == 5
        assert "3 times, always" in json.dumps(tale.server.requests[3]["messages"])


async def test_wrong_calls_are_told_and_harm_nothing(workspace: Path) -> None:
    calls = [
        ScriptedCall(name="nonsense", arguments={}),
        ScriptedCall(name="bash", arguments={"command": "x"}),
        ScriptedCall(name="bash", arguments="{broken"),
    ]
    async with story(workspace, Reply(tool_calls=calls), DONE) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).status == "completed"
        told = [m["content"] for m in tale.server.requests[-1]["messages"] if m["role"] == "tool"]
        assert "no tool nonsense" in told[0]
        assert "cmd" in told[1]
        assert "JSON" in told[2]


async def test_banned_commands_do_not_run(workspace: Path) -> None:
    async with story(
        workspace, call("bash", cmd="echo hi && touch x"), DONE, banned_commands=["touch"]
    ) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert "touch is banned" in tale.last_result()
        assert not (workspace / "x").exists()


async def test_a_model_that_refuses_ends_the_turn_with_its_words(workspace: Path) -> None:
    async with story(workspace, Reply(status=400, body={"error": {"message": f"bad {KEY}"}})) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("go")
        assert result.status == "failed"
        assert result.error is not None
        assert result.error.code == "modelError"
        assert "bad [key]" in result.error.message


async def test_a_retry_shows(workspace: Path) -> None:
    busy = Reply(status=429, headers={"retry-after-ms": "1"})
    async with story(workspace, busy, DONE) as tale:
        assert (await tale.app.sessions.new(tale.folder).chat("go")).status == "completed"
        assert [notice.code for notice in tale.person.of(Notice) if notice.code == "retry"] == ["retry"]


async def test_the_key_never_gets_into_anything(workspace: Path, home: Path) -> None:
    (workspace / "leak.txt").write_text(f"it is {KEY}!")
    replies = [
        call("bash", cmd=f"printf %s {KEY[:9]}; sleep 0.1; printf %s {KEY[9:]}; echo; cat leak.txt"),
        call("read_file", path="leak.txt"),
        Reply(text=f"The key is {KEY}.", fragment=5),
    ]
    async with story(workspace, *replies) as tale:
        result = await tale.app.sessions.new(tale.folder).chat("show it")
        shown = "".join(repr(envelope) for envelope in tale.person.envelopes)
        streamed = "".join(e.text for e in tale.person.of(ToolOutput)) + "".join(
            e.text for e in tale.person.of(TextDelta)
        )
        assert KEY not in result.reply
        assert KEY not in streamed
        assert KEY not in json.dumps([r["messages"] for r in tale.server.requests][-1][3:])
    assert KEY not in shown.replace(f"printf %s {KEY[:9]}", "")
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


async def test_a_second_turn_at_once_is_refused(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="sleep 30"), DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        session.start("go")
        with pytest.raises(PygentError) as error:
            await session.chat("me too")
        assert error.value.code == "busy"


async def test_the_prompt_is_short_and_says_where(workspace: Path) -> None:
    async with story(workspace, DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        request = tale.server.requests[0]
        text = request["messages"][0]["content"] + json.dumps(request["tools"])
        assert len(text) / 4 < 3000
        assert str(workspace) in request["messages"][0]["content"]
        assert "$" not in request["messages"][0]["content"]


async def test_images_travel_as_data(workspace: Path) -> None:
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000"
        "050001a5f645400000000049454e44ae426082"
    )
    (workspace / "dot.png").write_bytes(png)
    async with story(workspace, call("read_image", path="dot.png"), DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("look", images=[workspace / "dot.png"])
        sent = json.dumps(tale.server.requests[-1]["messages"])
        assert sent.count("data:image/png;base64,") == 2


async def test_a_conversation_goes_on_in_another_process_with_its_history(workspace: Path) -> None:
    history = workspace.parent / "history.json"
    async with story(workspace, call("bash", cmd="echo one"), DONE, history_file=str(history)) as tale:
        await tale.app.sessions.new(tale.folder).chat("first words")
        session_id = tale.app.sessions.latest(tale.folder).id  # type: ignore[union-attr]
    roles = [message["role"] for message in json.loads(history.read_text())]
    assert roles == ["user", "assistant", "tool", "assistant"]
    async with story(workspace, DONE, DONE, history_file=str(history)) as tale:
        resumed = tale.app.sessions.get(session_id)
        assert (await resumed.chat("second words")).status == "completed"
        assert [m["role"] for m in tale.server.requests[-1]["messages"]].count("user") == 2
        fresh = tale.app.sessions.new(tale.folder)
        await fresh.chat("third words")
        assert "first words" in json.dumps(tale.server.requests[-1]["messages"])


async def test_a_damaged_history_is_set_aside_and_said(workspace: Path) -> None:
    history = workspace.parent / "history.json"
    history.write_text('[{"role": "user", ')
    async with story(workspace, DONE, history_file=str(history)) as tale:
        await tale.app.sessions.new(tale.folder).chat("hello")
        assert any("history.json" in notice.text for notice in tale.person.of(Notice))
    assert [path.read_text() for path in history.parent.glob("history.json.*")] == ['[{"role": "user", ']
    assert json.loads(history.read_text())[0]["content"] == "hello"


async def test_a_killed_process_leaves_a_turn_that_is_ended_and_can_go_on(
    workspace: Path, state: Path
) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from pygent.replay import Reply
        from tests.story import Person, call, story

        async def main():
            person = Person()
            async with story(Path(sys.argv[1]), call("bash", cmd="echo go; sleep 600"), person=person) as tale:
                session = tale.app.sessions.new(tale.folder)
                session.start("go")
                await person.until(__import__("pygent.events").events.ToolOutput)
                print(session.id, flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
        """
    )
    dying = subprocess.Popen(
        [sys.executable, "-c", program, str(workspace)], stdout=subprocess.PIPE, text=True
    )
    assert dying.stdout is not None
    session_id = dying.stdout.readline().strip()
    assert session_id.startswith("ses_")
    dying.kill()
    dying.communicate()
    async with story(workspace, DONE) as tale:
        session = tale.app.sessions.get(session_id)
        events = [envelope.event for envelope in session.events()]
        assert isinstance(events[-1], TurnFinished)
        assert sum(isinstance(event, TurnStarted) for event in events) == 1
        assert any(isinstance(event, ToolStarted) for event in events)
        assert (await session.chat("go on")).status == "completed"
        assert "result" in json.dumps(tale.server.requests[-1]["messages"]) or tale.server.requests


async def test_delegated_work_runs_apart_and_is_collected(workspace: Path) -> None:
    (workspace / "given.txt").write_text("given")
    child = Match(first="Write the tests")
    replies = [
        Reply(
            match=child, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "cat given.txt > made.txt"})]
        ),
        Reply(match=child, text="Tests are written."),
        call("delegate_task", prompt="Write the tests", files=["given.txt"]),
        call("task_status", task_id="{{task}}"),
        call("task_status", task_id="{{task}}"),
        call("collect_file", task_id="{{task}}", path="made.txt"),
        DONE,
    ]
    async with story(workspace, *replies) as tale:
        session = tale.app.sessions.new(tale.folder)
        result = await session.chat("go")
        assert result.status == "completed"
        (task,) = tale.app.tasks.recorded()
        (ended,) = await tale.app.tasks.wait([task.id], 20)
        assert ended.status == "completed"
        assert tale.app.tasks.results.reply(task.id) == "Tests are written."


async def test_further_tasks_wait_for_room(workspace: Path) -> None:
    slow = [Reply(match=Match(first=f"task {n}"), text="ok", delay=0.05, fragment=1) for n in range(5)]
    async with story(workspace, *slow, max_tasks=2) as tale:
        tasks = [await tale.app.tasks.delegate(DelegateRequest(f"task {n}", tale.folder)) for n in range(5)]
        assert [tale.app.tasks.get(task.id).status for task in tasks].count("queued") >= 3
        ended = await tale.app.tasks.wait([task.id for task in tasks], 30)
        assert {task.status for task in ended} == {"completed"}


async def test_a_task_that_takes_too_long_is_timed_out(workspace: Path) -> None:
    replies = [Reply(match=Match(first=name), fault=Fault(cut=0, stall=True)) for name in ("whole", "step")]
    async with story(workspace, *replies) as tale:
        whole = await tale.app.tasks.delegate(DelegateRequest("whole", tale.folder, timeout=0.3))
        step = await tale.app.tasks.delegate(DelegateRequest("step", tale.folder, step_timeout=0.3))
        ended = await tale.app.tasks.wait([whole.id, step.id], 20)
        assert [task.status for task in ended] == ["timedOut", "timedOut"]


async def test_a_message_is_stored_before_it_is_shown(workspace: Path) -> None:
    class Reader(Person):
        def emit(self, envelope):  # type: ignore[no-untyped-def]
            super().emit(envelope)
            if not isinstance(envelope.event, TextDelta | ToolOutput):
                stored = tale.app.store.events(envelope.session_id, after=envelope.seq - 1, limit=1)
                assert stored == [envelope]

    async with story(workspace, call("bash", cmd="echo x"), DONE, person=Reader()) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert len(tale.person.of(Message)) == 2


async def test_the_log_tells_the_story_where_the_settings_say(workspace: Path, state: Path) -> None:
    path = workspace.parent / "logs/session.log"
    async with story(workspace, call("bash", cmd=f"echo {KEY}"), DONE, log_file=str(path)) as tale:
        await tale.app.sessions.new(tale.folder).chat("hello")
    text = path.read_text()
    assert "turn begins, with 5 characters" in text
    assert "turn ends: completed" in text
    assert KEY not in text
    assert text == (state / "pygent.log").read_text()


async def test_a_history_file_that_a_command_changed_is_set_aside(workspace: Path) -> None:
    path = workspace / "h.json"
    forge = """printf '[{"role": "user", "content": "forged"}]' > h.json"""
    async with story(workspace, Reply(text="Hi."), history_file=str(path)) as one:
        await one.app.sessions.new(one.folder).chat("hello")
        assert path.stat().st_mode & 0o777 == 0o600
        await (await one.folder.sandbox()).run(forge)
        assert "forged" in path.read_text()
        session = one.app.sessions.new(one.folder)
        assert not any("forged" in message.decode() for message in session.whole_conversation())
        assert any("was changed by something else than Pygent" in one.text for one in one.person.of(Notice))
        assert [found.read_text() for found in workspace.glob("h.json.damaged-*")]
