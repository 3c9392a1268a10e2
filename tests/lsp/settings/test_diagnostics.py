from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lsp.settings.form import Form
from tests.lsp.wire import editor

from pygent.config import TABLE, VARIABLES


def published(form: Form, name: str = "pygent.toml") -> list[Any]:
    uri = (form.folder / name).as_uri()
    return [
        one["params"]
        for one in form.heard
        if one.get("method") == "textDocument/publishDiagnostics" and one["params"]["uri"] == uri
    ]


async def until(form: Form, wanted: str) -> dict[str, Any]:
    """The first publication that has a diagnostic of this code, or none for an empty one."""
    while True:
        for one in published(form):
            codes = [problem["code"] for problem in one["diagnostics"]]
            if wanted in codes or (not wanted and not codes):
                return dict(one)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("encoding", "start", "end"), [("utf-8", 30, 34), ("utf-16", 27, 31), ("utf-32", 26, 30)]
)
async def test_the_buffer_is_what_counts_in_the_clients_units(
    encoding: str, start: int, end: int, workspace: Path, home: Path, state: Path
) -> None:
    (workspace / "pygent.toml").write_text("model = 'on disk'\n")
    form = Form(workspace, home, encoding=encoding)
    form.open("banned_apps = ['ä😀', 'b', 12.5]\r\n")
    (found,) = (await until(form, "badValue"))["diagnostics"]
    assert found["range"] == {"start": {"line": 0, "character": start}, "end": {"line": 0, "character": end}}
    await form.close()


async def test_typing_is_followed_after_a_pause_and_closing_goes_back_to_the_disk(
    form: Form, workspace: Path
) -> None:
    (workspace / "pygent.toml").write_text("modle = 1\n")
    form.open("model = 'm'\n")
    assert (await until(form, ""))["version"] == 1
    for text in ("model =", "model = 1", "model = 1.5"):
        form.open(text)
    found = await until(form, "badValue")
    assert found["version"] == 4
    assert not [one for one in published(form) if one.get("version") in (2, 3)]
    form.tell("textDocument/didClose", {"textDocument": {"uri": (workspace / "pygent.toml").as_uri()}})
    await until(form, "unknownKey")


async def test_tags_severities_and_related_places(form: Form, workspace: Path) -> None:
    form.open("PYGENT_MODEL=dot\n", ".env")
    form.open("model = 'm'\n")
    (found,) = (await until(form, "shadowed"))["diagnostics"]
    assert (found["severity"], found["tags"], found["source"]) == (4, [1], "pygent")
    (related,) = found["relatedInformation"]
    assert related["location"]["uri"] == (workspace / ".env").as_uri()
    assert related["location"]["range"]["end"] == {"line": 0, "character": len("PYGENT_MODEL")}
    assert str(workspace) not in found["message"]


async def test_a_file_in_a_subfolder_stands_for_itself(form: Form, workspace: Path) -> None:
    (workspace / "deep").mkdir()
    form.open("model = 'm'\n")
    form.open("modle = 'x'\nmax_tasks = 2\n", "deep/pygent.toml")
    while not published(form, "deep/pygent.toml"):
        await asyncio.sleep(0.001)
    (found,) = published(form, "deep/pygent.toml")[-1]["diagnostics"]
    assert found["code"] == "unknownKey"
    assert "from pygent.toml:2" in str(await form.hover("modle = 'x'\nmax_ta|sks = 2\n", "deep/pygent.toml"))
    assert "Change `modle` to `model`" in await form.actions("modle = 'x'\n", "deep/pygent.toml")
    form.open("PYGENT_MODLE=x", "deep/.env")
    assert "Change `PYGENT_MODLE` to `PYGENT_MODEL`" in await form.actions("PYGENT_MODLE=x", "deep/.env")


async def test_the_file_of_the_command_line_is_a_settings_file(
    workspace: Path, home: Path, state: Path
) -> None:
    mine = workspace / "mine.toml"
    mine.write_text("max_tasks = 1\n")
    form = Form(workspace, home, config=mine)
    assert "from mine.toml:1" in str(await form.hover("max_ta|sks = 2\n", "mine.toml"))
    await form.close()


@pytest.mark.e2e
async def test_over_the_wire_with_unsaved_text(workspace: Path) -> None:
    async with editor(workspace) as wire:
        uri = (workspace / "pygent.toml").as_uri()
        wire.tell(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "toml", "version": 1, "text": "modle = 1"}},
        )

        def told() -> Any:
            return [
                one["params"]
                for one in wire.notifications
                if one["method"] == "textDocument/publishDiagnostics" and one["params"]["uri"] == uri
            ]

        (found,) = (await wire.until(told))[-1]["diagnostics"]
        assert found["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}
        answer = await wire.request(
            "textDocument/hover", {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 1}}
        )
        assert answer["result"] is None
        assert not (workspace / "pygent.toml").exists()


PIECES = st.one_of(
    st.sampled_from(
        [
            *TABLE,
            *VARIABLES,
            "[sandbox]\n",
            "[[task_personas]]\n",
            " = ",
            "=",
            "\n",
            "\r\n",
            "\r",
            '"',
            "'",
            "[",
            "]",
            "{",
            "}",
            ",",
            "true",
            "3",
            "#",
            ".",
            '"""',
            "😀",
            "\0",
            "\ufeff",
            "export ",
        ]
    ),
    st.text(max_size=4),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(PIECES, max_size=12),
    at=st.integers(0, 200),
    name=st.sampled_from(["pygent.toml", ".env", "deep/pygent.toml"]),
)
def test_every_feature_answers_whatever_stands_there(
    pieces: list[str], at: int, name: str, tmp_path_factory: pytest.TempPathFactory, state: Path, home: Path
) -> None:
    async def ask() -> None:
        form = Form(tmp_path_factory.getbasetemp(), home, trusted=bool(at % 2))
        text = "".join(pieces).replace("|", "")
        form.open(text, name)
        cursor = min(at, len(text))
        await form.ask("textDocument/completion", name, cursor)
        await form.ask("textDocument/hover", name, cursor)
        for method in ("documentSymbol", "foldingRange"):
            await form.ask(f"textDocument/{method}", name)
        await form.ask("textDocument/formatting", name, options={})
        whole = {"start": {"line": 0, "character": 0}, "end": {"line": 999, "character": 0}}
        for action in await form.ask(
            "textDocument/codeAction", name, range=whole, context={"diagnostics": []}
        ):
            for one in action.get("edit", {}).get("documentChanges", []):
                if one.get("textDocument", {}).get("uri", "").endswith(f"/{name}"):
                    form.changed(one["edits"], name)
        await form.close()

    asyncio.run(ask())
