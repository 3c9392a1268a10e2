"""Commands as the model uses them: in the background, too long to show, and out of bounds."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.story import Person, call, story

from pygent.events import Notice, ToolFinished
from pygent.records import Decision
from pygent.replay import Reply, ScriptedCall

DONE = Reply(text="Done.")
SERVER = "echo up; while [ ! -e stop ]; do sleep 0.05; done; echo down"


async def test_a_background_command_lives_from_turn_to_turn(workspace: Path) -> None:
    replies = [
        call("bash", cmd=SERVER, background=True),
        DONE,
        call("command_output", command_id="cmd_1"),
        call("bash", cmd="touch stop"),
        call("command_output", command_id="cmd_1", wait=20),
        call("command_output", command_id="cmd_2"),
        DONE,
    ]
    async with story(workspace, *replies) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("start it")
        assert tale.last_result() == (
            "Started as cmd_1; command_output reads it, stop_command ends it.\nup\n[running]"
        )
        await session.chat("and now")
        assert tale.last_result(-4) == "(no new output)\n[running]"
        assert tale.last_result(-2) == "down\n[ended with exit code 0]"
        assert "known: cmd_1" in tale.last_result()


async def test_a_background_command_is_stopped_with_its_children(workspace: Path) -> None:
    loop = "(while sleep 0.05; do date >> alive; done) & wait"
    replies = [call("bash", cmd=loop, background=True), call("stop_command", command_id="cmd_1"), DONE]
    async with story(workspace, *replies) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert "[stopped]" in tale.last_result()
        await still(workspace / "alive")


async def test_what_runs_in_the_background_ends_with_the_program(workspace: Path) -> None:
    loop = "while sleep 0.05; do date >> alive; done"
    async with story(workspace, call("bash", cmd=loop, background=True), DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert (workspace / "alive").exists()
    await still(workspace / "alive")


async def test_too_many_in_the_background_are_refused(workspace: Path) -> None:
    calls = [
        ScriptedCall(name="bash", arguments={"cmd": f"sleep 9{n}", "background": True}) for n in range(9)
    ]
    async with story(workspace, Reply(tool_calls=calls), DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert "8 commands run in the background" in tale.last_result()
        assert [end.status for end in tale.person.of(ToolFinished)] == ["completed"] * 8 + ["failed"]


async def still(path: Path) -> None:
    """Wait until a file stops growing; a command that lives on never lets it."""
    for _ in range(50):
        size = path.stat().st_size
        await asyncio.sleep(0.3)
        if path.stat().st_size == size:
            return
    pytest.fail("it still runs")


async def test_an_output_too_long_to_show_can_be_paged(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="seq 1 30000"), DONE) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        (path,) = re.findall(r"the whole of it: (\S+)]", tale.last_result())
    other = str(Path(path).parent.parent / "other" / "x.txt")
    reads = [
        ("read_file", path, 20000),
        ("read_file", other, 1),
        ("read_file", str(Path(path).parent / "../../pygent.db"), 1),
    ]
    calls = [
        ScriptedCall(name=name, arguments={"path": one, "start": at, "end": at}) for name, one, at in reads
    ]
    async with story(workspace, Reply(tool_calls=calls), DONE) as tale:
        session = tale.app.sessions.get(session.id)
        await session.chat("read it")
        told = [
            message["content"]
            for message in tale.server.requests[-1]["messages"]
            if message["role"] == "tool"
        ]
        assert told[-3].startswith(" 20000\t20000")
        assert "outside the workspace" in told[-2]
        assert "outside the workspace" in told[-1]
        assert await tale.app.sessions.delete(session.id)
        assert not Path(path).exists()


GUARDED = [
    (
        "write_file",
        {"path": ".git/hooks/pre-commit", "content": "evil"},
        "Create .git/hooks/pre-commit, which is protected",
    ),
    (
        "write_file",
        {"path": "pygent.toml", "content": "use_docker = 0"},
        "Create pygent.toml, which is protected",
    ),
    ("edit_file", {"path": ".env", "old": "a", "new": "b"}, "Change .env, which is protected"),
    ("read_file", {"path": ".env"}, "Show the model .env, which may hold secrets"),
    ("download_file", {"path": ".env"}, "Show the model .env, which may hold secrets"),
]


@pytest.mark.parametrize(("name", "arguments", "title"), GUARDED, ids=lambda value: str(value)[:30])
async def test_what_is_protected_needs_a_persons_consent(
    name: str, arguments: dict[str, str], title: str, workspace: Path
) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".env").write_text("a=1\n")
    for verdict, status in (("decline", "declined"), ("accept", "completed")):
        person = Person(Decision(decision=verdict))  # type: ignore[arg-type]
        async with story(workspace, call(name, **arguments), DONE, person=person) as tale:
            await tale.app.sessions.new(tale.folder).chat("go")
            assert [(approval.kind, approval.title) for approval in person.approvals] == [("path", title)]
            assert person.of(ToolFinished)[0].status == status


async def test_a_search_passes_over_secrets(workspace: Path) -> None:
    (workspace / ".env").write_text("needle=1\n")
    (workspace / "a").write_text("needle\n")
    async with story(workspace, call("grep", pattern="needle"), DONE) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert tale.last_result() == "a:1:needle"


async def test_what_becomes_of_protected_files_is_told_to_people_and_the_model(workspace: Path) -> None:
    person = Person()
    async with story(workspace, call("bash", cmd="mkdir -p sub/.vscode"), DONE, person=person) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert "created sub/.vscode" in tale.last_result()
    told = [notice for notice in person.of(Notice) if notice.code == "protected"]
    assert [notice.level for notice in told] == ["warning"]
    assert "created sub/.vscode" in told[0].text


async def test_what_the_background_makes_is_told_to_people_and_the_model(workspace: Path) -> None:
    person = Person()
    start = call("bash", cmd="mkdir .husky; exec sleep 60", background=True)
    stop = call("stop_command", command_id="cmd_1")
    async with story(workspace, start, DONE, stop, DONE, person=person) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        await person.until(Notice, code="protected")
        await session.chat("stop it")
        assert "created .husky" in str(tale.server.requests[-1]["messages"])
    assert "created .husky" in "".join(notice.text for notice in person.of(Notice))
