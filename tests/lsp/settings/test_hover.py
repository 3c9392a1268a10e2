from __future__ import annotations

from pathlib import Path

import pytest
from tests.lsp.settings.form import CAPABILITIES, Form


async def test_a_key_tells_what_it_means_and_who_says_what(workspace: Path, home: Path, state: Path) -> None:
    (home / ".pygent.toml").write_text('\nmodel = "home"\n')
    (workspace / ".env").write_text("PYGENT_MODEL=dot\n")
    form = Form(workspace, home)
    text = await form.hover('# first\nmo|del = "file"\n')
    assert text is not None
    assert "**model**: model name" in text
    assert "default `gpt-4.1-mini` · variable `PYGENT_MODEL`" in text
    assert "In force: `dot` from .env:1" in text
    assert "`file` from pygent.toml:2; `home` from .pygent.toml:2" in text
    await form.close()


async def test_what_is_typed_counts_before_it_is_saved(form: Form, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text('model = "saved"')
    assert "In force: `typed` from pygent.toml:1" in str(await form.hover('mod|el = "typed"'))
    shown = await form.request("workspace/executeCommand", {"command": "pygent.config.show", "arguments": []})
    assert shown["values"]["model"]["value"] == "saved"


async def test_the_environment_is_named(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, environ={"PYGENT_MAX_TASKS": "7"})
    assert "In force: `7` from `PYGENT_MAX_TASKS` in the environment" in str(
        await form.hover("max_tasks| = 2")
    )
    await form.close()


PLACES = [
    ("[limits]\nst|eps = 1", "**limits.steps**"),
    ("[lim|its]", "`steps`: model answers"),
    ('[[task_personas]]\nna|me = "a"', "**name**: what the persona is called"),
    ('[[task_personas]]\nname = "a"\nmod|el = "m"', "**model**"),
    ("[sandbox]\nmemory| = 1", "In force: `2 GiB` from the default"),
    ("limits.steps| = 1", "**limits.steps**"),
    ("prices|.x.input = 3", "**input**: price of a million"),
    ('[mcp_servers.clock]\ncommand| = "x"', "**command**: the program that is the server"),
    ('model = "m|"', None),
    ("unknown| = 1", None),
    ("mo|del", "**model**"),
]


@pytest.mark.parametrize(("text", "part"), PLACES)
async def test_each_place_has_its_own_hover(text: str, part: str | None, form: Form) -> None:
    found = await form.hover(text)
    assert found is None if part is None else part in str(found)


async def test_a_variable_tells_the_same_and_no_secret(form: Form) -> None:
    env = "OPENAI_API|_KEY=sk-hunter2hunter2\nPYGENT_MODEL=m"
    assert "In force: `set` from .env:1" in str(await form.hover(env, ".env"))
    assert "In force: `m` from .env:1" in str(await form.hover("PYGENT_M|ODEL=m", ".env"))
    assert "hunter2" not in str(form.heard)


async def test_without_markdown_it_is_plain(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, capabilities={**CAPABILITIES, "textDocument": {}})
    answer = await form.ask("textDocument/hover", cursor=form.open("mo|del = 'x'"))
    assert answer["contents"]["kind"] == "plaintext"
    assert answer["contents"]["value"].startswith("model: model name\n")
    await form.close()


async def test_what_an_untrusted_folder_does_not_get_is_said(
    workspace: Path, home: Path, state: Path
) -> None:
    form = Form(workspace, home, trusted=False)
    text = str(await form.hover('ima|ge = "evil/image"'))
    assert "In force: `python:3.12-slim` from the default" in text
    assert "Not taken, because the folder is not trusted: `evil/image`" in text
    await form.close()
