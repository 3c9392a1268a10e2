from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.settings.form import CAPABILITIES, Form

TESTER = '[[task_personas]]\nname = "t"\n'
FIXED = [
    ('modle = "m"  # c\n', "Change `modle` to `model`", 'model = "m"  # c\n'),
    ("[limits]\nstep = 3\n", "Change `step` to `limits.steps`", "[limits]\nsteps = 3\n"),
    ("limits.step = 3\n", "Change `limits.step` to `limits.steps`", "limits.steps = 3\n"),
    ("network = true\n", "Change `network` to `sandbox.network`", "sandbox.network = true\n"),
    (
        "network = true  # c\n[sandbox]\ncpus = 1\n\n[limits]\nsteps = 1\n",
        "Move `network` into [sandbox]",
        "[sandbox]\ncpus = 1\nnetwork = true  # c\n\n[limits]\nsteps = 1\n",
    ),
    ("nonsense = [\n 1,\n] # c\nmodel = 'm'\n", "Remove `nonsense`", "model = 'm'\n"),
    ('[[task_personas]]\nnaem = "a"\n', "Change `naem` to `name`", '[[task_personas]]\nname = "a"\n'),
    (f"{TESTER}model = 'm'  # c", "Move `model` to the top level", f"model = 'm'  # c\n\n{TESTER}"),
    (
        f"max_tasks = 1\n\n# testers\n{TESTER}\ninitial_files = [\n  'a',\n]\n",
        "Move `initial_files` to the top level",
        f"max_tasks = 1\ninitial_files = [\n  'a',\n]\n\n# testers\n{TESTER}\n",
    ),
    (
        f"# testers\r\n{TESTER}model = 'm'\r\n".replace("\n", "\r\n").replace("\r\r", "\r"),
        "Move `model` to the top level",
        f"model = 'm'\n\n# testers\n{TESTER}".replace("\n", "\r\n"),
    ),
    ("[sandbox]\nmodel = 'm'\n", "Move `model` to the top level", "model = 'm'\n\n[sandbox]\n"),
    ("model = 'a'\nmodel = 'b'\n", "Remove `model`", "model = 'a'\n"),
    (
        "[limits]\nsteps = 1\n[sandbox]\ncpus = 1\n[limits]\ntokens = 2\n",
        "Join it with the first [limits]",
        "[limits]\nsteps = 1\ntokens = 2\n[sandbox]\ncpus = 1\n",
    ),
    ('max_tasks = "3"\n', "Write `3`", "max_tasks = 3\n"),
    ('confirm_bash = "no"\n', "Write `false`", "confirm_bash = false\n"),
    ('banned_apps = "a:b"  # c\n', 'Write `["a", "b"]`', 'banned_apps = ["a", "b"]  # c\n'),
    ("max_tasks = 3.0\n", "Change it to `3`", "max_tasks = 3\n"),
    ('max_tasks = "3 tasks"\n', "Change it to `3`", "max_tasks = 3\n"),
    ("model = 4\n", 'Change it to `"4"`', 'model = "4"\n'),
    ("banned_apps = ['a', 3]\n", 'Change it to `["a", "3"]`', 'banned_apps = ["a", "3"]\n'),
    (
        'base_url = "localhost:1/v1"\n',
        'Change it to `"http://localhost:1/v1"`',
        'base_url = "http://localhost:1/v1"\n',
    ),
    ('confirm_bash = "perhaps"\n', "Change it to `true`", "confirm_bash = true\n"),
    ("api = 'x'\n", 'Change it to `"responses"`', 'api = "responses"\n'),
    ("model =\n", 'Set it to `"gpt-4.1-mini"`', 'model = "gpt-4.1-mini"\n'),
    ('model = "m\nmax_tasks = 1\n', 'End it with `"`', 'model = "m"\nmax_tasks = 1\n'),
    ('banned_apps = ["a"\nmax_tasks = 1\n', "End it with `]`", 'banned_apps = ["a"]\nmax_tasks = 1\n'),
    ("[limits\nsteps = 1\n", "End it with `]`", "[limits]\nsteps = 1\n"),
    ('initial_files = ["a", "b"]\n', 'Take out "a"', 'initial_files = ["b"]\n'),
    ('initial_files = ["a", "b"]\n', 'Take out "b"', 'initial_files = ["a"]\n'),
    ('initial_files = ["a"]\nmax_tasks = 1\n', "Remove `initial_files`", "max_tasks = 1\n"),
    ('snapshot = "gone"\n', "Remove `snapshot`", ""),
    ('persona = "sk-abcdefghijklmnop"\n', "Remove `persona`", ""),
]


@pytest.mark.parametrize(("before", "title", "after"), FIXED)
async def test_a_quick_fix_mends(before: str, title: str, after: str, form: Form) -> None:
    assert await form.fixed(before, title) == after


ENV_FIXED = [
    ("export PYGENT_MODLE=m # c\n", "Change `PYGENT_MODLE` to `PYGENT_MODEL`", "export PYGENT_MODEL=m # c\n"),
    ("PYGENT_MODEL=a\nPYGENT_MODEL=b\n", "Remove `PYGENT_MODEL`", "PYGENT_MODEL=b\n"),
    ("PYGENT_CONFIRM_BASH='perhaps'\n", "Change it to `1`", "PYGENT_CONFIRM_BASH=1\n"),
    (
        "OPENAI_BASE_URL=localhost:1\n",
        "Change it to `http://localhost:1`",
        "OPENAI_BASE_URL=http://localhost:1\n",
    ),
    ("=x\nA=1\n", "Remove the line", "A=1\n"),
]


@pytest.mark.parametrize(("before", "title", "after"), ENV_FIXED)
async def test_a_quick_fix_mends_a_dotenv_file(before: str, title: str, after: str, form: Form) -> None:
    assert await form.fixed(before, title, ".env") == after


async def test_no_name_is_offered_that_is_there_already(form: Form) -> None:
    assert set(await form.actions('modle = "a"\nmodel = "b"')) == {"Remove `modle`"}
    assert set(await form.actions(f"model = 'a'\n{TESTER}model = 'b'\n")) == {"Remove `model`"}


async def test_the_likeliest_one_is_preferred_and_tells_what_it_mends(form: Form) -> None:
    found = await form.actions("modle = 'm'")
    change = found["Change `modle` to `model`"]
    assert change["isPreferred"]
    assert change["diagnostics"] == await form.problems()
    assert "isPreferred" not in found["Remove `modle`"]
    assert await form.actions("modle = 'm'", only=["refactor"]) == {}
    assert set(await form.actions("modle = 'm'", only=["quickfix"])) == set(found)


async def test_a_secret_moves_to_the_dotenv_file_and_is_never_shown(form: Form, workspace: Path) -> None:
    action = (await form.actions("model = 'm'\napi_key = \"it's a hunter2\"\n"))[
        "Move the secret to .env as OPENAI_API_KEY"
    ]
    create, toml, env = action["edit"]["documentChanges"]
    assert create == {
        "kind": "create",
        "uri": (workspace / ".env").as_uri(),
        "options": {"ignoreIfExists": True},
    }
    assert form.changed(toml["edits"]) == "model = 'm'\n"
    assert env["edits"] == [
        {
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
            "newText": "OPENAI_API_KEY='it\\'s a hunter2'\n",
        }
    ]
    assert "hunter2" not in json.dumps({**action, "edit": None}) + json.dumps(await form.problems())
    (workspace / ".env").write_text("A=1")
    action = (await form.actions('my_token = "abc"'))["Move the secret to .env as MY_TOKEN"]
    _, env = action["edit"]["documentChanges"]
    assert env["edits"][0]["newText"] == "\nMY_TOKEN=abc\n"
    assert env["textDocument"] == {"uri": (workspace / ".env").as_uri(), "version": None}


async def test_a_key_that_is_there_is_not_put_in_the_place_of(form: Form, workspace: Path) -> None:
    (workspace / ".env").write_text("OPENAI_API_KEY=mine\n")
    assert set(await form.actions('api_key = "k"')) == {"Remove `api_key`"}


async def test_a_client_without_versions_gets_plain_changes(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, capabilities={**CAPABILITIES, "workspace": {}})
    action = (await form.actions('api_key = "k"\n'))["Move the secret to .env as OPENAI_API_KEY"]
    assert set(action["edit"]) == {"changes"}
    assert set(action["edit"]["changes"]) == {(workspace / name).as_uri() for name in ("pygent.toml", ".env")}
    await form.close()


async def test_a_client_that_takes_only_commands_gets_none(workspace: Path, home: Path, state: Path) -> None:
    form = Form(workspace, home, capabilities={})
    assert await form.actions("modle = 1") == {}
    await form.close()


async def test_trust_is_a_command(workspace: Path, home: Path, state: Path) -> None:
    text = "confirm_bash = false\n"
    (workspace / "pygent.toml").write_text(text)
    form = Form(workspace, home, trusted=False)
    action = (await form.actions(text))["Trust the settings of this folder"]
    assert "edit" not in action
    assert "isPreferred" not in action
    command: dict[str, Any] = action["command"]
    done = await form.request(
        "workspace/executeCommand", {"command": command["command"], "arguments": command["arguments"]}
    )
    assert done["trusted"]
    assert await form.actions(text) == {}
    await form.close()


async def test_only_what_stands_in_the_lines_is_mended(form: Form) -> None:
    form.open("modle = 1\n\nnetwrk = 2\n")
    place = {"start": {"line": 2, "character": 1}, "end": {"line": 2, "character": 1}}
    found = await form.ask("textDocument/codeAction", range=place, context={"diagnostics": []})
    assert "Remove `netwrk`" in {one["title"] for one in found}
    assert "Remove `modle`" not in {one["title"] for one in found}
