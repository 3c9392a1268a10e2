"""Workspace folders: settings, sandbox and trust of each, kept current however a change is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.wire import Wire, editor, server

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)


async def value(wire: Wire, key: str, folder: Path | None = None) -> Any:
    fields = {} if folder is None else {"folderUri": folder.as_uri()}
    return (await wire.command("pygent.config.show", **fields))["values"][key]["value"]


def published(wire: Wire, path: Path) -> list[list[str]]:
    """The messages of each publication for a file."""
    found = [
        one["params"] for one in wire.notifications if one["method"] == "textDocument/publishDiagnostics"
    ]
    return [
        [one["message"] for one in params["diagnostics"]]
        for params in found
        if params["uri"] == path.as_uri()
    ]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
        (folder / "pygent.toml").write_text(f'persona_name = "{folder.name}"\nconfirm_bash = false\n')
    return folders


async def test_each_folder_has_settings_and_trust_of_its_own(two: tuple[Path, Path]) -> None:
    one, other = two
    async with server(one) as wire:
        folders = [{"uri": folder.as_uri(), "name": folder.name} for folder in two]
        options = {"pygent": {"trusted": [other.as_uri()]}}
        params = {"capabilities": {}, "workspaceFolders": folders, "initializationOptions": options}
        await wire.request("initialize", params)
        wire.tell("initialized")
        assert [await value(wire, "persona_name", folder) for folder in two] == ["one", "two"]
        assert [await value(wire, "confirm_bash", folder) for folder in two] == [True, False]
        assert await value(wire, "persona_name") == "one"
        for folder in two:
            status = await wire.command("pygent.sandbox.status", folderUri=folder.as_uri())
            assert status["workspace"] == str(folder)


async def test_folders_come_and_go(two: tuple[Path, Path]) -> None:
    one, other = two
    (other / "pygent.toml").write_text("nonsense = 1\n")
    async with editor(one, DONE) as wire:
        event = {"added": [{"uri": other.as_uri(), "name": "two"}], "removed": []}
        wire.tell("workspace/didChangeWorkspaceFolders", {"event": event})
        messages = (await wire.until(lambda: published(wire, other / "pygent.toml")))[-1]
        assert "nonsense" in messages[0]
        event = {"added": [], "removed": [{"uri": folder.as_uri(), "name": ""} for folder in two[:1]]}
        wire.tell("workspace/didChangeWorkspaceFolders", {"event": event})
        assert await value(wire, "persona_name") == "Pygent"
        made = await wire.command("pygent.session.new")
        assert made["session"]["workspace"] == str(other)


@pytest.mark.parametrize("way", ["watched", "saved", "noticed"])
async def test_a_change_is_taken_in_and_a_broken_file_keeps_the_last_good(workspace: Path, way: str) -> None:
    path = workspace / "pygent.toml"
    path.write_text('persona_name = "Max"\n')
    async with editor(workspace, DONE) as wire:
        assert await value(wire, "persona_name") == "Max"
        for text, expected in (('persona_name = "Moritz"\n', "Moritz"), ('persona_name = "Bro', "Moritz")):
            path.write_text(text)
            if way == "watched":
                wire.tell("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 2}]})
            elif way == "saved":
                wire.tell("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
            assert await value(wire, "persona_name") == expected
        if way != "noticed":
            assert published(wire, path)[-1]
        path.write_text('persona_name = "Max"\n')
        assert await value(wire, "persona_name") == "Max"


@pytest.mark.parametrize("section", [{"model": "m-1"}, {"config": {"model": "m-1"}, "server": {"x": 1}}])
async def test_settings_pushed_by_the_editor(workspace: Path, section: Any) -> None:
    async with editor(workspace, DONE) as wire:
        wire.tell("workspace/didChangeConfiguration", {"settings": {"pygent": section}})
        assert await value(wire, "model") == "m-1"
        for nothing in (None, [], {"pygent": None}, {"other": 1}):
            wire.tell("workspace/didChangeConfiguration", {"settings": nothing})
        assert await value(wire, "model") == "m-1"


async def test_settings_pulled_for_each_folder(two: tuple[Path, Path]) -> None:
    async with server(two[0]) as wire:
        models = {two[0].as_uri(): "m-1", two[1].as_uri(): "m-2"}

        def configuration(params: Any) -> Any:
            assert {one["section"] for one in params["items"]} == {"pygent"}
            return [{"config": {"model": models[one["scopeUri"]]}} for one in params["items"]]

        wire.answers["workspace/configuration"] = configuration
        folders = [{"uri": folder.as_uri(), "name": folder.name} for folder in two]
        params = {"capabilities": {"workspace": {"configuration": True}}, "workspaceFolders": folders}
        await wire.request("initialize", params)
        wire.tell("initialized")
        while [await value(wire, "model", folder) for folder in two] != ["m-1", "m-2"]:
            pass  # until the answer is taken in; else the test's time runs out
        models[two[1].as_uri()] = "m-3"
        wire.tell("workspace/didChangeConfiguration", {"settings": None})
        while [await value(wire, "model", folder) for folder in two] != ["m-1", "m-3"]:
            pass


@pytest.mark.parametrize("answer", [None, 5, [], [5], [None], {"model": "x"}])
async def test_settings_that_make_no_sense_change_nothing(workspace: Path, answer: Any) -> None:
    capabilities = {"workspace": {"configuration": True}}
    async with server(workspace) as wire:
        wire.answers["workspace/configuration"] = lambda params: answer
        await wire.initialize(workspace, capabilities)
        await wire.until(lambda: wire.asked)
        assert await value(wire, "model") == "gpt-4.1-mini"


async def test_the_home_file_is_read_again(workspace: Path, home: Path) -> None:
    async with editor(workspace, DONE) as wire:
        assert await value(wire, "persona_name") == "Pygent"
        (home / ".pygent.toml").write_text('persona_name = "Home"\n')
        os.utime(home / ".pygent.toml", ns=(1, 1))
        assert await value(wire, "persona_name") == "Home"


async def test_files_are_watched_where_the_client_does_that(workspace: Path) -> None:
    capabilities = {"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}
    async with editor(workspace, DONE, capabilities=capabilities) as wire:
        (asked,) = await wire.until(lambda: wire.asked)
        (registration,) = asked["params"]["registrations"]
        assert registration["method"] == "workspace/didChangeWatchedFiles"
        patterns = [one["globPattern"] for one in registration["registerOptions"]["watchers"]]
        assert patterns == ["**/pygent.toml", "**/.pygent.toml", "**/.env"]


@pytest.mark.parametrize("root", ["uri", "path", "nothing"])
async def test_older_ways_to_name_the_folder(workspace: Path, root: str) -> None:
    async with server(workspace) as wire:
        params = {"uri": {"rootUri": workspace.as_uri()}, "path": {"rootPath": str(workspace)}, "nothing": {}}
        await wire.request("initialize", {"processId": None, "capabilities": {}, **params[root]})
        wire.tell("initialized")
        session = (await wire.command("pygent.session.new"))["session"]
        if root == "nothing":
            assert Path(session["workspace"]).name.startswith("pygent-workspace-")
            assert await wire.leave() == 0
            assert not Path(session["workspace"]).exists()
        else:
            assert session["workspace"] == str(workspace)
