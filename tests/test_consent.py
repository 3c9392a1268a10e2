"""What consent covers: exactly what was shown, under the same conditions, and nothing after they changed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.nasty import COMMANDS
from tests.story import Person, Story, call, story

from pygent.api import AsyncPygent
from pygent.events import Notice
from pygent.records import Approval, Decision
from pygent.replay import ReplayServer, Reply, Script, ScriptedCall
from pygent.sandbox import bubblewrap
from pygent.visible import visible

DONE = Reply(text="Done.", times=0)
DATE = call("bash", cmd="date")
SESSION = Decision(decision="acceptForSession")


async def restart(tale: Story, **flags: object) -> None:
    """Change settings and choose the sandbox again, as `pygent.sandbox.restart` does."""
    tale.folder.launch.flags.update(flags)
    tale.folder.reload()
    await tale.folder.restart_sandbox()


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on there is neither bubblewrap nor Landlock."""

    def take() -> None:
        monkeypatch.setattr(bubblewrap, "ISOLATION", ("--no-such-option",))
        monkeypatch.setitem(sys.modules, "sandlock", None)

    return take


@pytest.mark.bubblewrap
async def test_a_grant_ends_where_the_conditions_change(
    bwrap: str, workspace: Path, tmp_path: Path, no_sandbox: Callable[[], None]
) -> None:
    """Network, writable paths, no sandbox, and back: each is asked anew, also what was granted before."""
    (tmp_path / "out").mkdir()
    person = Person(SESSION)
    replies = [one for _ in range(6) for one in (DATE, DATE, Reply(text="Ok."))]
    async with story(workspace, *replies, person=person, confirm_bash=True) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        await restart(tale, **{"sandbox.network": True})
        await session.chat("go")
        await restart(tale, **{"sandbox.network": False})
        await session.chat("go")
        await restart(tale, **{"sandbox.writable_paths": [str(tmp_path / "out")]})
        await session.chat("go")
        no_sandbox()
        await restart(tale)
        await session.chat("go")
        asked = [(one.isolation, one.network, len(one.outside)) for one in person.approvals]
        within = "bubblewrap"
        assert asked == [
            *((within, False, 0), (within, True, 0), (within, False, 0), (within, False, 1)),
            ("local", True, 1),
        ]


@pytest.mark.docker
async def test_consent_given_in_docker_is_not_used_without(
    docker_image: str, workspace: Path, no_sandbox: Callable[[], None]
) -> None:
    person = Person(SESSION)
    replies = [DATE, DATE, Reply(text="Ok."), DATE, Reply(text="Ok.")]
    flags = {"confirm_bash": True, "use_docker": "1", "image": docker_image}
    async with story(workspace, *replies, person=person, **flags) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        no_sandbox()
        await restart(tale, use_docker="0")
        await session.chat("go")
        assert [one.isolation for one in person.approvals] == ["docker", "local"]
        (warned,) = [one.text for one in person.of(Notice) if one.level == "warning"]
        assert warned.startswith("NO SANDBOX: commands run directly on this machine.")


async def test_in_the_background_is_another_consent(workspace: Path) -> None:
    person = Person(SESSION)
    background = call("bash", cmd="date", background=True)
    async with story(workspace, DATE, background, background, DONE, person=person, confirm_bash=True) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert [one.background for one in person.approvals] == [False, True]


class Restarts(Person):
    """Somebody who changes the sandbox while they read."""

    change: Callable[[], Awaitable[None]]

    async def approve(self, approval: Approval) -> Decision | None:
        if not self.approvals:
            await self.change()
        return await super().approve(approval)


@pytest.mark.bubblewrap
async def test_a_sandbox_that_changed_while_a_person_read_is_asked_about(bwrap: str, workspace: Path) -> None:
    person = Restarts(Decision(decision="accept"))
    async with story(workspace, DATE, DONE, person=person, confirm_bash=True) as tale:
        person.change = lambda: restart(tale, **{"sandbox.network": True})
        await tale.app.sessions.new(tale.folder).chat("go")
        assert [one.network for one in person.approvals] == [False, True]


@pytest.mark.bubblewrap
async def test_a_step_down_is_told_once_a_folder_and_change(
    bwrap: str, workspace: Path, no_sandbox: Callable[[], None]
) -> None:
    replies = [one for _ in range(4) for one in (DATE, Reply(text="Ok."))]
    async with story(workspace, *replies) as tale:
        session = tale.app.sessions.new(tale.folder)
        await session.chat("go")
        no_sandbox()
        await restart(tale)
        await session.chat("go")
        await tale.app.sessions.new(tale.folder).chat("go")
        await restart(tale)
        await session.chat("go")
        warned = [one.text for one in tale.person.of(Notice) if one.level == "warning"]
        assert len(warned) == 1 and warned[0].startswith("NO SANDBOX: ")


async def test_what_every_client_gets_holds_the_whole_command(workspace: Path) -> None:
    person = Person(Decision(decision="decline"))
    calls = [ScriptedCall(name="bash", arguments={"cmd": command}) for command in COMMANDS]
    async with story(workspace, Reply(tool_calls=calls), DONE, person=person, confirm_bash=True) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
        assert [one.command for one in person.approvals] == COMMANDS
        assert [one.detail for one in person.approvals] == [visible(command) for command in COMMANDS]


@pytest.mark.parametrize("said", [1, "yes", "no", [0], object()])
async def test_a_program_says_true_or_a_decision(
    workspace: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ReplayServer(Script(replies=[call("bash", cmd="touch x"), DONE])) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-program")
        monkeypatch.setenv("PYGENT_USE_DOCKER", "0")
        async with AsyncPygent(workspace, approve=lambda _: said) as agent:
            await agent.ask("go")
    assert not (workspace / "x").exists()
