"""No secret that stands in the wrong place is shown by hover or the outline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lsp.settings.form import Form

KEY = "sk-hunter2hunter2hunter2"
URL = "https://me:hunter2@x.example/v1"
WRONG = [
    ("pygent.toml", f'pers|ona = "use {KEY}"\n'),
    ("pygent.toml", f'pers|ona = """\nuse\n{KEY}\n"""\n'),
    ("pygent.toml", f'base|_url = "{URL}"\n'),
    ("pygent.toml", f'task_per|sonas = [\n "a",\n "{KEY}",\n]\n'),
    ("pygent.toml", f'task_per|sonas = [{{name = "a", description = "{KEY}"}}]\n'),
    ("pygent.toml", f'[[task_per|sonas]]\nname = "{KEY}"\n'),
    (".env", f'PYGENT_PERS|ONA="use {KEY}"\n'),
    (".env", f"OPENAI_BASE|_URL={URL}\nOPENAI_API_KEY=x\n"),
]


@pytest.mark.parametrize(("name", "text"), WRONG)
async def test_neither_hover_nor_outline_show_it(name: str, text: str, form: Form) -> None:
    told = [await form.hover(text, name), await form.ask("textDocument/documentSymbol", name)]
    assert told[1]
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(
    ("variable", "value", "key"), [("OPENAI_BASE_URL", URL, "base_url"), ("PYGENT_PERSONA", KEY, "persona")]
)
async def test_nor_one_of_the_environment(
    variable: str, value: str, key: str, workspace: Path, home: Path, state: Path
) -> None:
    form = Form(workspace, home, environ={variable: value, "OPENAI_API_KEY": "k"})
    text = str(await form.hover(f"{key[:2]}|{key[2:]} = 'https://y.example'\n"))
    assert "in the environment" in text
    assert "hunter2" not in text
    await form.close()
