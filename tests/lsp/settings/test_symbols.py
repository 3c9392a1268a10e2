from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lsp.settings.form import CAPABILITIES, Form

TEXT = """\
# one
# two
model = "m"
banned_apps = [
  "curl",
]
[limits]
steps = 3
[[task_personas]]
name = "tester"
description = "runs tests"
api_key = "sk-hunter2hunter2"
"""


def tree(symbols: list[dict[str, Any]]) -> list[Any]:
    return [
        (one["name"], one.get("detail"), tree(one["children"]))
        if "children" in one
        else (one["name"], one.get("detail"))
        for one in symbols
    ]


async def test_tables_and_keys_are_the_outline(form: Form) -> None:
    form.open(TEXT)
    symbols = await form.ask("textDocument/documentSymbol")
    assert tree(symbols) == [
        ("model", '"m"'),
        ("banned_apps", '[ "curl", ]'),
        ("[limits]", None, [("steps", "3")]),
        (
            "[[task_personas]]",
            "tester",
            [("name", '"tester"'), ("description", '"runs tests"'), ("api_key", None)],
        ),
    ]
    assert symbols[2]["range"]["end"] == {"line": 7, "character": 9}
    assert "hunter2" not in str(form.heard)


async def test_a_client_without_nesting_gets_a_list(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, capabilities={**CAPABILITIES, "textDocument": {}})
    form.open(TEXT)
    symbols = await form.ask("textDocument/documentSymbol")
    assert [(one["name"], one.get("containerName")) for one in symbols][2:4] == [
        ("[limits]", None),
        ("steps", "[limits]"),
    ]
    await form.close()


async def test_variables_are_the_outline_of_a_dotenv_file(form: Form) -> None:
    form.open("OPENAI_API_KEY=sk-hunter2hunter2\nPYGENT_MODEL=m\nOTHER=hunter2", ".env")
    assert tree(await form.ask("textDocument/documentSymbol", ".env")) == [
        ("OPENAI_API_KEY", None),
        ("PYGENT_MODEL", "m"),
        ("OTHER", None),
    ]
    assert await form.ask("textDocument/foldingRange", ".env") == []


async def test_tables_lists_and_comments_fold(form: Form) -> None:
    form.open(TEXT)
    folds = await form.ask("textDocument/foldingRange")
    assert sorted((one["startLine"], one["endLine"]) for one in folds) == [(0, 1), (3, 5), (6, 7), (8, 11)]


async def test_formatting_keeps_comments(form: Form) -> None:
    form.open('# c\nmodel="😀"   # why\n')
    edits = await form.ask("textDocument/formatting", options={"tabSize": 4, "insertSpaces": True})
    assert form.changed(edits) == '# c\nmodel = "😀"  # why\n'
    form.open("model =")
    assert await form.ask("textDocument/formatting", options={}) == []
