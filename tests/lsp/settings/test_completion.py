from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.lsp.settings.form import CAPABILITIES, Form

from pygent.config import TABLE, VARIABLES
from pygent.replay import ReplayServer, Script


async def test_every_key_is_offered_until_it_is_there(form: Form) -> None:
    items = await form.items("|")
    top = {key for key in TABLE if "." not in key and key != "api_key"}
    assert {label for label in items if not label.startswith("[")} == top
    assert items["model"]["detail"] == "model name"
    assert "model" not in await form.items('model = "m"\n|\n')
    assert "api_key" not in await form.items("ap|")


TABLES = [
    ("[limits]\n|", {"steps", "tokens"}, {"model", "limits.steps"}),
    ("[limits]\nsteps = 1\nst|\n", {"tokens", "stall_timeout"}, {"steps"}),
    ('[[task_personas]]\nname = "a"\n|', {"description", "[[task_personas]]"}, {"name", "model"}),
    ('[[task_personas]]\nname = "a"\n[[task_personas]]\n|', {"name", "description"}, set()),
    ('task_personas = [{name = "a", d|}]', {"description"}, {"name", "[limits]"}),
    ("[[tools]]\n|", {"module", "confirm"}, {"name"}),
    ("[prices.m]\n|", {"input", "output", "cached"}, {"model"}),
    ("[mcp_servers.clock]\n|", {"command", "args", "url", "token_variable"}, {"model", "input"}),
    ('mcp_servers.clock = {command = "x", |}', {"args", "timeout"}, {"command", "model"}),
    ("[|", {"[limits]", "[sandbox]", "[[task_personas]]"}, {"model"}),
    ("[sandbox]\nnetwork = true\n[lim|\nsteps = 3", {"[limits]"}, {"[sandbox]"}),
    ("[sandbox|]", {"[sandbox]"}, {"model"}),
]


@pytest.mark.parametrize(("text", "there", "missing"), TABLES)
async def test_each_table_has_its_own_keys(text: str, there: set[str], missing: set[str], form: Form) -> None:
    labels = set(await form.items(text))
    assert there <= labels
    assert not missing & labels


VALUES = [
    ("confirm_bash = |", {"true", "false"}),
    ("confirm_bash = t|\nmodel = 1", {"true", "false"}),
    ("use_docker = |", {"auto", "0", "1"}),
    ('use_docker = "|"', {"auto", "0", "1"}),
    ('use_docker = "|\nmax_tasks = 3', {"auto", "0", "1"}),
    ("max_tasks = |", {"3"}),
    ("[sandbox]\nmemory = |", {"512m", "2g"}),
    ("api = |", {"responses"}),
    ("[[tools]]\nconfirm = |", set()),
]


@pytest.mark.parametrize(("text", "labels"), VALUES)
async def test_values_are_offered_also_in_a_broken_file(text: str, labels: set[str], form: Form) -> None:
    assert labels <= set(await form.items(text))


@pytest.mark.parametrize(
    "text", ["# |", 'model = "m" # |', 'persona = """\nmo|\n"""', "nothing = |", "[x] |"]
)
async def test_nothing_is_offered_where_nothing_can_stand(text: str, form: Form) -> None:
    assert not {"model", "[limits]"} & set(await form.items(text))


INSERTED = [
    ("mod|", "model", 'model = "${1:gpt-4.1-mini}"'),
    ("mod| = 3", "model", "model = 3"),
    ("confirm_b|", "confirm_bash", "confirm_bash = ${1:true}"),
    ("banned_a|", "banned_apps", 'banned_apps = ["${1:}"]'),
    ("[san|", "[sandbox]", "[sandbox]"),
    ("[san|]", "[sandbox]", "[sandbox]"),
    ("use_docker = a|", "auto", 'use_docker = "auto"'),
    ('use_docker = "a|"', "auto", 'use_docker = "auto"'),
    ('use_docker = "a|', "auto", 'use_docker = "auto'),
    ('ä = "😀"\nmo|', "model", 'ä = "😀"\nmodel = "${1:gpt-4.1-mini}"'),
    (
        'task_personas = [{name = "😀", d|}]',
        "description",
        'task_personas = [{name = "😀", description = "${1:}"}]',
    ),
]


@pytest.mark.parametrize(("text", "label", "after"), INSERTED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_what_is_chosen_takes_the_place_of_what_was_typed(
    text: str, label: str, after: str, encoding: str, workspace: Path, home: Path, state: Path
) -> None:
    form = Form(workspace, home, encoding=encoding)
    assert await form.completed(text, label) == after
    await form.close()


async def test_without_snippets_there_are_none(workspace: Path, home: Path, state: Path) -> None:
    plain = {**CAPABILITIES, "textDocument": {}}
    form = Form(workspace, home, capabilities=plain)
    items = await form.items("|")
    assert all(
        "insertTextFormat" not in item and "$" not in item["textEdit"]["newText"] for item in items.values()
    )
    assert items["model"]["textEdit"]["newText"] == "model = "
    await form.close()


async def test_paths_are_those_beside_the_file(form: Form, workspace: Path) -> None:
    (workspace / "src").mkdir()
    (workspace / "src" / 'a "b".py').touch()
    (workspace / "boot.py").touch()
    assert {"src", "boot.py"} <= set(await form.items('initial_files = ["|"]'))
    assert {"src", "boot.py"} <= set(await form.items('initial_files = ["boot.py", |'))
    assert (
        await form.completed('initial_files = ["src/|"]', 'a "b".py')
        == 'initial_files = ["src/a \\"b\\".py"]'
    )
    assert await form.completed("snapshot = |", "src") == 'snapshot = "src"'
    assert set(await form.items('snapshot = "nowhere/|"')) == set()


async def test_variables_and_their_values_in_a_dotenv_file(form: Form) -> None:
    assert set(await form.items("|", ".env")) == set(VARIABLES)
    items = await form.items("PYGENT_MODEL=m\nexport PYG|", ".env")
    assert "PYGENT_MODEL" not in items
    assert await form.completed("export PYG|", "PYGENT_IMAGE", ".env") == "export PYGENT_IMAGE="
    assert await form.completed("PYG|=1", "PYGENT_IMAGE", ".env") == "PYGENT_IMAGE=1"
    assert set(await form.items("PYGENT_CONFIRM_BASH=|", ".env")) == {"0", "1"}
    assert set(await form.items("PYGENT_USE_DOCKER=a|", ".env")) == {"auto", "0", "1"}
    assert set(await form.items("OPENAI_API_KEY=|", ".env")) == set()
    assert set(await form.items("# PYG|", ".env")) == set()


async def test_models_are_offered_once_the_endpoint_has_told_them(
    workspace: Path, home: Path, state: Path
) -> None:
    async with ReplayServer(Script(replies=[])) as model:
        environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": model.base_url}
        form = Form(workspace, home, environ=environ)
        cursor = form.open('model = "|"')
        first = await form.ask("textDocument/completion", cursor=cursor)
        assert first["isIncomplete"]
        assert [item["label"] for item in first["items"]] == ["gpt-4.1-mini"]
        while (again := await form.ask("textDocument/completion", cursor=cursor))["isIncomplete"]:
            await asyncio.sleep(0.01)
        assert "replay" in str([item["label"] for item in again["items"]])
        await form.close()


async def test_an_endpoint_that_is_not_there_costs_nothing(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k"})
    for _ in range(3):
        assert "gpt-4.1-mini" in await form.items('model = "|"')
    await form.close()


@pytest.mark.docker
async def test_images_of_the_engine_are_offered(
    docker_image: str, workspace: Path, home: Path, state: Path
) -> None:
    form = Form(workspace, home)
    cursor = form.open("image = |")
    while (found := await form.ask("textDocument/completion", cursor=cursor))["isIncomplete"]:
        await asyncio.sleep(0.01)
    assert docker_image in [item["label"] for item in found["items"]]
    await form.close()
