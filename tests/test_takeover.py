"""What a task changed: told byte for byte, and taken over without losing what a person did since."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.story import Story, call, story

from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.records import Task
from pygent.replay import Match, Reply, ScriptedCall
from pygent.shadow import Shadow
from pygent.takeover import Applied

DONE = Reply(text="Done.")


async def delegated(tale: Story, **more: Any) -> Task:
    """A task of the story, at its end."""
    task = await tale.app.tasks.delegate(DelegateRequest("work", tale.folder, **more))
    (ended,) = await tale.app.tasks.wait([task.id], 30)
    assert ended.status == "completed", ended.error
    return ended


GIVEN = {
    "text": b"one\ntwo\nthree\nfour\nfive\n",
    "dos": b"a\r\nb\r\n",
    "bare": b"no end",
    "binary": bytes(range(256)),
    "gone": b"old\n",
    "empty": b"",
    "run.sh": b"#!/bin/sh\n",
    "sub/with space": b"x\n",
}
WORK = """
sed -i s/five/FIVE/ text; printf 'c\\r\\n' >> dos; printf ' now' >> bare; printf '\\000x' >> binary; rm gone
: > made-empty; chmod +x run.sh; ln -s text link; mkdir -p new; echo y > "new/ä ö"; mv "sub/with space" moved
ln -s /etc/passwd out; ln -s ../../x up; echo ignored > skip.log
"""


def fill(workspace: Path, **extra: bytes) -> None:
    (workspace / "sub").mkdir()
    (workspace / ".gitignore").write_text("*.log\n")
    for name, data in {**GIVEN, **extra}.items():
        (workspace / name).write_bytes(data)


async def test_every_kind_of_change_is_told_and_taken_over(workspace: Path) -> None:
    fill(workspace)
    async with story(workspace, call("bash", cmd=WORK), DONE) as tale:
        task = await delegated(tale)
        diff, entries = await tale.app.tasks.results.diff(task.id)
        kinds = {entry.path: entry.kind for entry in entries}
        assert kinds == {
            **dict.fromkeys(("text", "dos", "bare", "binary", "run.sh"), "edited"),
            **dict.fromkeys(("gone", "sub/with space"), "deleted"),
            **dict.fromkeys(("made-empty", "link", "new/ä ö", "moved", "out", "up"), "created"),
        }
        assert {entry.path: (entry.added, entry.removed) for entry in entries}["text"] == (1, 1)
        assert {entry.path: entry.added for entry in entries}["binary"] is None
        assert "-five\n+FIVE\n" in diff
        assert "\\ No newline at end of file" in diff
        assert (workspace / "text").read_bytes() == GIVEN["text"]  # a task never works in its parent's folder
        preview = await tale.app.tasks.results.apply(task.id, preview=True)
        assert (workspace / "text").read_bytes() == GIVEN["text"]
        done = await tale.app.tasks.results.apply(task.id)
        assert done == await again(tale, task)
        assert set(preview.applied) >= set(done.applied)
    assert sorted(done.applied) == sorted(path for path in kinds if path not in ("out", "up"))
    assert {conflict.path for conflict in done.conflicts} == {"out", "up"}
    assert (workspace / "text").read_bytes() == GIVEN["text"].replace(b"five", b"FIVE")
    assert (workspace / "dos").read_bytes() == b"a\r\nb\r\nc\r\n"
    assert (workspace / "bare").read_bytes() == b"no end now"
    assert (workspace / "binary").read_bytes() == GIVEN["binary"] + b"\0x"
    assert (workspace / "made-empty").read_bytes() == b""
    assert (workspace / "run.sh").stat().st_mode & 0o111
    assert os.readlink(workspace / "link") == "text"
    assert not (workspace / "gone").exists()
    assert not (workspace / "skip.log").exists()
    assert not (workspace / "out").is_symlink()


async def again(tale: Story, task: Task) -> Applied:
    """Taking over twice changes nothing more."""
    return await tale.app.tasks.results.apply(task.id)


async def test_what_a_person_did_since_is_merged_or_left_alone(workspace: Path) -> None:
    fill(workspace, both=b"a\nb\nc\n", theirs=b"x\n")
    work = "sed -i s/five/FIVE/ text; echo task > both; rm gone; echo task > fresh; echo z >> theirs"
    async with story(workspace, call("bash", cmd=work), DONE) as tale:
        task = await delegated(tale)
        (workspace / "text").write_bytes(GIVEN["text"].replace(b"one", b"ONE"))
        (workspace / "both").write_text("person\n")
        (workspace / "gone").write_text("still needed\n")
        (workspace / "fresh").write_text("mine\n")
        (workspace / "theirs").unlink()
        done = await tale.app.tasks.results.apply(task.id)
    assert done.applied == ["text"]
    reasons = {conflict.path: conflict.reason for conflict in done.conflicts}
    assert reasons == {
        "both": "was changed here in the same place, or is no text",
        "gone": "was changed here, and the task deleted it",
        "fresh": "was made here, too, and is different",
        "theirs": "was deleted here, and the task changed it",
    }
    assert (workspace / "text").read_text() == "ONE\ntwo\nthree\nfour\nFIVE\n"
    assert (workspace / "both").read_text() == "person\n"
    assert (workspace / "gone").read_text() == "still needed\n"
    assert (workspace / "fresh").read_text() == "mine\n"


async def test_a_choice_of_files_is_taken_over_and_what_is_protected_only_by_name(workspace: Path) -> None:
    work = (
        "echo a > a; echo b > b; echo 'use_docker = 0' > pygent.toml; mkdir -p .vscode; echo {} > .vscode/x"
    )
    async with story(workspace, call("bash", cmd=work), DONE) as tale:
        task = await delegated(tale)
        assert (await tale.app.tasks.results.apply(task.id, paths=["b"])).applied == ["b"]
        rest = await tale.app.tasks.results.apply(task.id)
        assert {conflict.path for conflict in rest.conflicts} == {"pygent.toml", ".vscode/x"}
        assert (await tale.app.tasks.results.apply(task.id, paths=[".vscode/x"])).applied == [".vscode/x"]
        with pytest.raises(PygentError, match="did not change nothing"):
            await tale.app.tasks.results.apply(task.id, paths=["nothing"])
    assert sorted(path.name for path in workspace.iterdir()) == [".vscode", "a", "b"]


async def test_a_file_behind_a_link_is_not_written(workspace: Path) -> None:
    (workspace / "folder").mkdir()
    (workspace / "folder/file").write_text("x")
    async with story(workspace, call("bash", cmd="echo evil > folder/file"), DONE) as tale:
        task = await delegated(tale)
        outside = workspace.parent / "outside"
        (workspace / "folder").rename(outside)
        (workspace / "folder").symlink_to(outside)
        done = await tale.app.tasks.results.apply(task.id)
    assert done.applied == []
    assert (outside / "file").read_text() == "x"


HOSTILE = """
[filter "evil"]
    clean = touch {mark}
    smudge = touch {mark}
[diff "evil"]
    textconv = touch {mark}
    command = touch {mark}
[core]
    fsmonitor = touch {mark}
    hooksPath = {hooks}
"""


async def test_a_hostile_repository_runs_nothing_and_changes_no_byte(workspace: Path, home: Path) -> None:
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)
    mark, hooks = workspace.parent / "ran", workspace.parent / "hooks"
    config = HOSTILE.format(mark=mark, hooks=hooks)
    (workspace / ".git/config").write_text(config)
    (home / ".gitconfig").write_text(config)
    (workspace / ".gitattributes").write_text(
        "* filter=evil diff=evil text eol=crlf ident working-tree-encoding=UTF-16\n"
    )
    (workspace / "file").write_bytes(b"$Id$\na\n")
    shadow = Shadow(home / "shadow.git")
    before = await shadow.take(workspace)
    (workspace / "file").write_bytes(b"$Id$\r\nb\n")
    after = await shadow.take(workspace)
    (entry,) = await shadow.entries(before, after)
    assert entry.after is not None
    assert await shadow.content(entry.after) == b"$Id$\r\nb\n"
    assert "+b" in await shadow.diff(before, after)
    await shadow.check_out(before, workspace.parent / "out")
    assert (workspace.parent / "out/file").read_bytes() == b"$Id$\na\n"
    assert not mark.exists()
    assert not (workspace / ".git/index").exists()


async def test_repositories_inside_are_passed_over(workspace: Path, home: Path) -> None:
    for name in ("one", "two"):
        subprocess.run(["git", "init", "-q", str(workspace / name)], check=True)
        (workspace / name / "file").write_text("x")
    (workspace / "own").write_text("y")
    shadow = Shadow(home / "shadow.git")
    empty = workspace.parent / "empty"
    empty.mkdir()
    entries = await shadow.entries(await shadow.take(empty), await shadow.take(workspace))
    assert [entry.path for entry in entries] == ["own"]


async def test_a_task_is_tried_again_with_what_it_was_given(workspace: Path) -> None:
    (workspace / "file").write_text("given")
    work = Match(first="work")
    replies = [
        Reply(
            match=work,
            tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "cat file; echo spoilt > file"})],
        ),
        Reply(match=work, text="Done."),
        Reply(match=work, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "cat file"})]),
        Reply(match=work, text="Done again."),
    ]
    async with story(workspace, *replies) as tale:
        first = await delegated(tale)
        (workspace / "file").write_text("changed since")
        second = await tale.app.tasks.retry(first.id)
        assert (second.id != first.id, second.prompt, second.persona) == (True, first.prompt, first.persona)
        (ended,) = await tale.app.tasks.wait([second.id], 30)
        assert ended.status == "completed"
        assert tale.last_result() == "given"
        assert len(tale.app.tasks.recorded()) == 2


async def test_a_deleted_task_leaves_nothing(workspace: Path) -> None:
    async with story(workspace, call("bash", cmd="sleep 60")) as tale:
        task = await tale.app.tasks.delegate(DelegateRequest("work", tale.folder))
        await tale.person.until(type(tale.person.envelopes[0].event))
        assert await tale.app.tasks.delete(task.id)
        assert not await tale.app.tasks.delete(task.id)
        assert not Path(task.workspace).parent.exists()
        assert tale.app.tasks.recorded() == []
        assert tale.app.store.events(task.session_id) == []


async def test_an_ended_task_goes_on_when_it_is_spoken_to(workspace: Path) -> None:
    async with story(
        workspace, call("bash", cmd="echo 1 > made"), DONE, call("bash", cmd="cat made"), DONE
    ) as tale:
        task = await delegated(tale)
        assert tale.app.tasks.send(task.id, "and now read it")
        (ended,) = await tale.app.tasks.wait([task.id], 30)
        assert ended.status == "completed"
        assert tale.last_result() == "1"
        users = [m["content"] for m in tale.server.requests[-1]["messages"] if m["role"] == "user"]
        assert users == ["work", "and now read it"]


async def test_a_running_turn_hears_what_is_said_meanwhile(workspace: Path) -> None:
    replies = [call("bash", cmd="until [ -e go ]; do sleep 0.05; done"), Reply(text="I heard you.")]
    async with story(workspace, *replies) as tale:
        session = tale.app.sessions.new(tale.folder)
        assert session.post("too early", steers=True) is None
        session.start("work")
        while not tale.server.requests:
            await tale.person.until(type(tale.person.envelopes[0].event))
            await asyncio.sleep(0.05)
        assert session.post("use tabs, please", steers=True)
        mail = session.post("and be quick", steers=True)
        assert mail is not None
        (workspace / "go").touch()
        result = await session.outcome(mail)
        assert result is not None
        assert result.reply == "I heard you."
        last = str(tale.server.requests[-1]["messages"])
        assert "use tabs, please" in last
        assert "and be quick" in last
