"""Documents that the server makes, for clients that ask for them and for those that take files."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import tomli
from tests.lsp.wire import KEY, Wire, editor, server
from tests.story import call

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
FREE: dict[str, Any] = {"trusted": True, "config": {"confirm_bash": False}}
VIRTUAL: dict[str, Any] = {
    "workspace": {"textDocumentContent": {"dynamicRegistration": True}},
    "window": {"showDocument": {"support": True}},
}
DONE = Reply(text="Done.", times=0)


async def content(wire: Wire, uri: str) -> Any:
    return await wire.request("workspace/textDocumentContent", {"uri": uri})


async def refreshed(wire: Wire, uri: str) -> None:
    await wire.until(
        lambda: [
            one
            for one in wire.asked
            if one["method"] == "workspace/textDocumentContent/refresh" and one["params"] == {"uri": uri}
        ]
    )


async def test_a_client_that_knows_virtual_documents(workspace: Path) -> None:
    async with editor(workspace, call("bash", cmd="echo hi"), DONE, capabilities=VIRTUAL, **FREE) as wire:
        session = (await wire.command("pygent.chat", "Say hi"))["sessionId"]
        uri = f"pygent:/session/{session}.md"
        text = (await content(wire, uri))["result"]["text"]
        assert text.startswith(f"<!-- pygent: {session} -->\n\n## You\n\nSay hi\n\n## Pygent\n\n<details>")
        assert text.endswith("</details>\n\nDone.\n")
        await wire.command("pygent.chat", text="More", sessionId=session)
        await refreshed(wire, uri)
        assert (await content(wire, uri))["result"]["text"].endswith("## You\n\nMore\n\n## Pygent\n\nDone.\n")
        wire.answers["window/showDocument"] = lambda params: {"success": params["uri"] == uri}
        assert await wire.command("pygent.show", uri) == {"uri": uri, "shown": True}


async def test_what_is_announced(workspace: Path) -> None:
    async with server(workspace) as wire:
        told = await wire.initialize(workspace, VIRTUAL)
        assert told["capabilities"]["workspace"]["textDocumentContent"] == {"schemes": ["pygent"]}
    async with server(workspace) as wire:
        told = await wire.initialize(workspace)
        assert "textDocumentContent" not in told["capabilities"]["workspace"]


async def test_a_task_and_the_settings(workspace: Path) -> None:
    write = call("write_file", path="new.py", content="x = 1\n")
    async with editor(workspace, write, DONE, capabilities=VIRTUAL, **FREE) as wire:
        (workspace / "pygent.toml").write_text('persona_name = "Ada"\ntask_personas = ["tester: tests"]\n')
        task = (await wire.command("pygent.delegate", "write it"))["task"]["id"]
        await wire.command("pygent.task.wait", taskIds=[task])
        log = (await content(wire, f"pygent:/task/{task}/log"))["result"]["text"]
        assert log.startswith("# write it\n\n") and "Done." in log
        diff = (await content(wire, f"pygent:/task/{task}.diff"))["result"]["text"]
        assert "+x = 1" in diff
        shown = (await content(wire, "pygent:/config.toml"))["result"]["text"]
        values = tomli.loads(shown)
        assert (values["persona_name"], values["confirm_bash"]) == ("Ada", False)
        assert f"# {workspace / 'pygent.toml'}:1" in shown
        assert KEY not in shown
        assert '"set"' in shown
        (workspace / "pygent.toml").write_text('persona_name = "Bob"\n')
        await wire.command("pygent.config.reload")
        await refreshed(wire, "pygent:/config.toml")
        assert 'persona_name = "Bob"' in (await content(wire, "pygent:/config.toml"))["result"]["text"]


@pytest.mark.parametrize(
    "uri",
    [
        "pygent:/session/../../etc/passwd.md",
        "pygent:/session/ses_00/../x.md",
        "pygent:/session/ses_%2e%2e.md",
        "pygent:/task/tsk_0000000000/log/../../x",
        "pygent:/config.toml/",
        "pygent:/config.toml\n",
        "pygent://host/config.toml",
        "file:///etc/passwd",
        "",
    ],
)
async def test_a_hostile_name_is_that_of_nothing(workspace: Path, state: Path, uri: str) -> None:
    async with editor(workspace, DONE, capabilities=VIRTUAL, **FREE) as wire:
        answer = await content(wire, uri)
        assert answer["error"]["data"]["code"] == "notFound"
        assert (await wire.refusal("pygent.show", uri=uri))["data"]["code"] == "notFound"
        unknown = await content(wire, "pygent:/session/ses_0123456789abcdef.md")
        assert unknown["error"]["data"]["code"] == "notFound"
    assert not (state / "views").exists()


async def test_other_clients_get_files_that_follow_and_go(workspace: Path, state: Path) -> None:
    old = state / "views" / "client-old"
    old.mkdir(parents=True)
    (old / "x.md").write_text("left behind")
    os.utime(old, (0, 0))
    async with editor(workspace, DONE, **FREE) as wire:
        session = (await wire.command("pygent.chat", "Say hi"))["sessionId"]
        told = await wire.command("pygent.show", uri=f"pygent:/session/{session}.md")
        assert told["shown"] is False
        path = Path(told["uri"].removeprefix("file://"))
        assert state in path.parents
        assert path.name == f"session-{session}.md"
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert not old.exists()
        await wire.command("pygent.chat", text="More", sessionId=session)
        while "## You\n\nMore\n\n## Pygent\n\nDone." not in path.read_text():
            await asyncio.sleep(0.05)
        assert await wire.leave() == 0
        assert not path.parent.exists()
