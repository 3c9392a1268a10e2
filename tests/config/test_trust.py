"""Trust is in bytes, of the settings and of every file that they name: for each setting, file and way to change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pygent.config import TABLE, Config, Layers, Standing, Trust
from pygent.config.values import EXPECTED

DEFAULT_KEY = "key-of-the-folder"
LOOSE: dict[str, Any] = {
    "base_url": "https://evil.example/v1",
    "model": "other-model",
    "api": "responses",
    "ca_bundle": "ca.pem",
    "image": "evil/image",
    "use_docker": False,
    "max_tasks": 900,
    "history_file": "history.json",
    "workspace": "sub",
    "step_timeout": 1e6,
    "task_timeout": 1e6,
    "persona_name": "Mallory",
    "persona": "somebody else",
    "task_personas": ["Trudy"],
    "initial_files": ["seed"],
    "snapshot": "snapshot",
    "banned_commands": ["rm"],
    "banned_apps": ["curl"],
    "log_file": "x.log",
    "confirm_bash": False,
    "confirm_edits": False,
    "tools": [{"module": "my_tools.py"}],
    "mcp_servers": {"evil": {"command": "python3", "args": ["server.py"]}},
    "limits.steps": 10_000,
    "limits.tokens": 10**9,
    "limits.cost": 1e6,
    "limits.seconds": 1e6,
    "limits.session_tokens": 10**9,
    "limits.session_cost": 1e6,
    "limits.stall_timeout": 1e6,
    "context_window": 10**9,
    "prices": {"m": {"input": 0, "output": 0}},
    "answers.max_tokens": 10**9,
    "answers.reasoning_effort": "high",
    "approvals.timeout": 1e6,
    "sandbox.network": True,
    "sandbox.networks": ["10.0.0.0/8"],
    "sandbox.memory": "64g",
    "sandbox.cpus": 64,
    "sandbox.pids": 10**6,
    "sandbox.file_size": "64g",
    "sandbox.disk": "900g",
    "sandbox.read_only_paths": ["sub"],
    "sandbox.writable_paths": [".git"],
    "sandbox.env": ["*"],
    "sandbox.setup": ["touch x"],
}
"""A value of each setting that loosens, redirects or runs something, as far as there is one."""
OWN = """
max_tasks = 3
step_timeout = 10
task_timeout = 10
confirm_edits = true
context_window = 9
[limits]
steps = 9
tokens = 9
cost = 9
seconds = 9
session_tokens = 9
session_cost = 9
stall_timeout = 9
[answers]
max_tokens = 9
"""
"""What the person has set, so that there is something to loosen."""
FREE = {
    *("model", "persona_name", "persona", "task_personas", "banned_commands", "banned_apps"),
}
"""The settings of `LOOSE` that any folder may have."""
VARIABLES = {setting.key: setting.variable for setting in TABLE.values() if setting.variable}


def in_toml(key: str, value: Any) -> str:
    table, _, name = key.rpartition(".")
    if isinstance(value, dict):
        inner = ", ".join(f"{one} = {_inline(said)}" for one, said in value.items())
        return f"{key} = {{ {inner} }}\n"
    return (f"[{table}]\n" if table else "") + f"{name} = {_inline(value)}\n"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(said)}" for key, said in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def in_dotenv(key: str, value: Any) -> str:
    if isinstance(value, bool):
        value = int(value)
    text = os.pathsep.join(value) if isinstance(value, list) else str(value)
    return f"{VARIABLES[key]}={text}\n"


FILES: dict[str, Callable[[str, Any], str]] = {"pygent.toml": in_toml, ".env": in_dotenv}
CASES = [
    (key, name)
    for key in LOOSE
    for name in FILES
    if name == "pygent.toml" or (key in VARIABLES and not isinstance(LOOSE[key], dict))
]


def standing(workspace: Path, home: Path, state: Path, **more: Any) -> Standing:
    return Standing(workspace, Layers({}, home, {}), Trust(state), **more)


def value_of(config: Config, key: str) -> Any:
    found: Any = config.settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def furnish(workspace: Path) -> None:
    """The files that the settings of `LOOSE` name."""
    for folder in ("seed", "snapshot/workspace", "sub"):
        (workspace / folder).mkdir(parents=True)
    for name in ("my_tools.py", "server.py", "ca.pem", "seed/a", "snapshot/workspace/a", "history.json"):
        (workspace / name).write_text("")


def test_every_setting_has_a_case() -> None:
    assert LOOSE.keys() == TABLE.keys() - {"api_key"}
    assert all(EXPECTED[setting.kind] for setting in TABLE.values())


@pytest.mark.parametrize("was", ["untrusted", "word", "recorded", "word, no file", "recorded, no file"])
@pytest.mark.parametrize(("key", "name"), CASES)
def test_what_nobody_accepted_has_no_effect(
    key: str, name: str, was: str, workspace: Path, home: Path, state: Path
) -> None:
    furnish(workspace)
    (home / "pygent.toml").write_text(OWN)
    path = workspace / name
    one = standing(workspace, home, state, word=was.startswith("word"))
    if was in ("word", "recorded"):
        path.write_text("# nothing\n")
    before = one.load(None)
    if was.startswith("recorded"):
        one.accept(one.look, keep=True)
        before = one.load(before)
    assert before.trusted == (was != "untrusted")
    path.write_text(FILES[name](key, LOOSE[key]))
    after = one.load(before)
    again = standing(workspace, home, state).load(None)
    for config in (after, again):
        assert not [one for one in config.diagnostics if one.severity == "error"]
        assert not config.trusted
        if key in FREE:
            assert value_of(config, key) != value_of(before, key)
        else:
            assert value_of(config, key) == value_of(before, key)
            assert [one["key"] for one in config.would_change()] == [key]
    one.accept(one.look, keep=True)
    accepted = one.load(after)
    assert accepted.trusted and not accepted.would_change()
    assert standing(workspace, home, state).load(None).settings == accepted.settings
    assert value_of(accepted, key) != value_of(before, key)


def test_what_was_trusted_stays_in_force_when_its_lines_go(workspace: Path, home: Path, state: Path) -> None:
    toml = workspace / "pygent.toml"
    toml.write_text('base_url = "http://localhost:1/v1"\nimage = "mine"\nconfirm_bash = false\n')
    (workspace / ".env").write_text("OPENAI_API_KEY=trusted-key\n")
    one = standing(workspace, home, state, word=True)
    before = one.load(None)
    assert before.trusted and before.settings.api_key == "trusted-key"
    toml.write_text("")
    (workspace / ".env").write_text("OPENAI_API_KEY=another-key\n")
    after = one.load(before)
    assert not after.trusted
    assert after.settings == before.settings
    assert {"base_url", "image", "confirm_bash", "api_key"} <= {*after.kept}


# -- files that settings name ----------------------------------------------------------------------

NAMED: dict[str, tuple[str, dict[str, str], str]] = {
    # what it is: the settings, the files there are, and the one that is changed or made
    "module": ('[[tools]]\nmodule = "my_tools.py"\n', {"my_tools.py": ""}, "my_tools.py"),
    "dotted module": ('[[tools]]\nmodule = "inner.tool"\n', {"inner/tool.py": ""}, "inner/tool.py"),
    "second module": (
        '[[tools]]\nmodule = "a.py"\n[[tools]]\nmodule = "b.py"\n',
        {"a.py": "", "b.py": ""},
        "b.py",
    ),
    "import": ('[[tools]]\nmodule = "a.py"\n', {"a.py": "import b", "b.py": ""}, "b.py"),
    "import of an import": (
        '[[tools]]\nmodule = "a.py"\n',
        {"a.py": "def f():\n    from b.c import d", "b/__init__.py": "", "b/c.py": "import e", "e.py": ""},
        "e.py",
    ),
    "import that was not there": ('[[tools]]\nmodule = "a.py"\n', {"a.py": "import json"}, "json.py"),
    "script": ('[mcp_servers.x]\ncommand = "python3"\nargs = ["s.py"]\n', {"s.py": ""}, "s.py"),
    "program": ('[mcp_servers.x]\ncommand = "./bin/run"\n', {"bin/run": ""}, "bin/run"),
    "beside a program": ('[mcp_servers.x]\ncommand = "bin/run"\n', {"bin/run": "", "bin/lib": ""}, "bin/lib"),
    "made beside a program": ('[mcp_servers.x]\ncommand = "bin/run"\n', {"bin/run": ""}, "bin/new"),
    "beside a script": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["s.py"]\n',
        {"s.py": ""},
        "argparse.py",
    ),
    "package beside a script": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["s.py"]\n',
        {"s.py": ""},
        "mcp/__init__.py",
    ),
    "import of a script": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["s.py"]\n',
        {"s.py": "import pack.inner", "pack/__init__.py": "", "pack/inner.py": ""},
        "pack/inner.py",
    ),
    "module of -m": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["-m", "pack.serve"]\n',
        {"pack/serve.py": ""},
        "pack/serve.py",
    ),
    "module of -m that was not there": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["-m", "serve"]\n',
        {},
        "serve/__main__.py",
    ),
    "in a shell line": (
        '[mcp_servers.x]\ncommand = "bash"\nargs = ["-c", "exec ./go.sh --x"]\n',
        {"go.sh": ""},
        "go.sh",
    ),
    "in an option": (
        '[mcp_servers.x]\ncommand = "node"\nargs = ["--require=./hook.js", "/x.js"]\n',
        {"hook.js": ""},
        "hook.js",
    ),
    "below a folder of an option": (
        '[mcp_servers.x]\ncommand = "uv"\nargs = ["--directory", "srv", "run", "main.py"]\n',
        {"srv/main.py": ""},
        "srv/main.py",
    ),
    "a folder that is run": (
        '[mcp_servers.x]\ncommand = "python3"\nargs = ["app"]\n',
        {"app/__main__.py": ""},
        "app/__main__.py",
    ),
    "snapshot": ('snapshot = "snap"\n', {"snap/history.json": "[]"}, "snap/history.json"),
    "made in a snapshot": ('snapshot = "snap"\n', {"snap/history.json": "[]"}, "snap/workspace/x"),
    "initial file": ('initial_files = ["boot.py"]\n', {"boot.py": ""}, "boot.py"),
    "in an initial folder": ('initial_files = ["seed"]\n', {"seed/.git/hooks/x": ""}, "seed/.git/hooks/x"),
    "certificates": ('ca_bundle = "ca.pem"\n', {"ca.pem": ""}, "ca.pem"),
}


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("way", ["written", "replaced", "linked", "removed"])
def test_a_file_that_settings_name_ends_trust(
    what: str, way: str, workspace: Path, home: Path, state: Path, tmp_path: Path
) -> None:
    toml, files, changed = NAMED[what]
    (workspace / "pygent.toml").write_text(toml)
    for name, text in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    one = standing(workspace, home, state)
    one.load(None)
    one.accept(one.look, keep=True)
    before = one.load(None)
    assert before.trusted and one.is_current, before.diagnostics
    path = workspace / changed
    _change(path, way, tmp_path)
    if changed not in files and way == "removed":
        assert standing(workspace, home, state).load(None).trusted
        return
    assert not one.is_current
    key = next(
        key for key in ("tools", "mcp_servers", "snapshot", "initial_files", "ca_bundle") if key in toml
    )
    for config in (one.load(before), standing(workspace, home, state).load(None)):
        assert not config.trusted
        if way != "removed":
            assert key in [one["key"] for one in config.would_change()]
    assert value_of(standing(workspace, home, state).load(None), key) in ((), {}, None)
    assert one.differs(key, before)


def _change(path: Path, way: str, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.exists()
    if way == "written":
        path.write_text("changed = 1\n")
    elif way == "replaced":
        (tmp_path / "new").write_text("changed = 1\n")
        (tmp_path / "new").replace(path)
    elif way == "linked":
        path.unlink(missing_ok=True)
        (tmp_path / "elsewhere").write_text("changed = 1\n")
        path.symlink_to(tmp_path / "elsewhere")
    elif there:
        path.unlink()


@pytest.mark.parametrize("layer", ["home", "editor"])
def test_a_file_of_the_folder_counts_whoever_names_it(
    layer: str, workspace: Path, home: Path, state: Path
) -> None:
    server = {"x": {"command": "python3", "args": ["server.py"]}}
    (workspace / "server.py").write_text("")
    editor = {"mcp_servers": server} if layer == "editor" else {}
    if layer == "home":
        (home / "pygent.toml").write_text('[mcp_servers.x]\ncommand = "python3"\nargs = ["server.py"]\n')
    one = standing(workspace, home, state)
    config = one.load(None, editor=editor)
    assert config.settings.mcp_servers == {}
    assert [(found["key"], found["files"]) for found in config.would_change()] == [
        ("mcp_servers", ["server.py"])
    ]
    one.accept(one.look, keep=False)
    config = one.load(config, editor=editor)
    assert config.settings.mcp_servers and not config.would_change()
    (workspace / "server.py").write_text("changed")
    assert one.load(config, editor=editor).settings.mcp_servers == {}


@pytest.mark.parametrize("place", ["node_modules/.bin/serve", ".venv/bin/serve"])
def test_installed_packages_of_the_folder_cant_be_trusted(
    place: str, workspace: Path, home: Path, state: Path
) -> None:
    path = workspace / place
    path.parent.mkdir(parents=True)
    path.write_text("")
    (path.parent.parent / "pyvenv.cfg").write_text("")
    (workspace / "pygent.toml").write_text(f'[mcp_servers.x]\ncommand = "{place}"\n')
    config = standing(workspace, home, state, sure=True).load(None)
    assert config.settings.mcp_servers == {}
    assert any("name a program outside of the folder" in one.message for one in config.diagnostics)


def test_too_much_to_compare_is_said(workspace: Path, home: Path, state: Path) -> None:
    (workspace / "snap").mkdir()
    for number in range(2100):
        (workspace / "snap" / str(number)).write_text("")
    (workspace / "pygent.toml").write_text('snapshot = "snap"\n')
    config = standing(workspace, home, state, sure=True).load(None)
    assert config.settings.snapshot is None
    assert any("more than 2000 files" in one.message for one in config.diagnostics)


# -- whose word ------------------------------------------------------------------------------------


def test_an_editors_word_does_not_cover_what_a_command_left(workspace: Path, home: Path, state: Path) -> None:
    one = standing(workspace, home, state, word=True)
    assert one.load(None).trusted
    (workspace / ".env").write_text("PYGENT_CONFIRM_BASH=0\n")
    assert not one.load(None).trusted
    one.suspect([".env"])
    later = standing(workspace, home, state, word=True).load(None)
    assert not later.trusted and later.settings.confirm_bash
    assert standing(workspace, home, state, sure=True).load(None).trusted
    (workspace / ".env").write_text("PYGENT_CONFIRM_BASH=0\n# the person's\n")
    assert standing(workspace, home, state, word=True).load(None).trusted


def test_a_settings_file_that_the_person_names_is_read_once(workspace: Path, home: Path, state: Path) -> None:
    mine = workspace / "mine.toml"
    mine.write_text('image = "mine"\n')
    one = Standing(workspace, Layers({}, home, {}, mine), Trust(state))
    assert one.load(None).settings.image == "mine"
    mine.write_text('image = "evil"\nconfirm_bash = false\n')
    settings = one.load(None).settings
    assert (settings.image, settings.confirm_bash) == ("mine", True)


def test_the_record_is_for_its_owner_only(workspace: Path, state: Path) -> None:
    Trust(state).set(workspace, {".env": "x"})
    assert (state / "trust.json").stat().st_mode & 0o777 == 0o600


# -- the key ---------------------------------------------------------------------------------------

DEFAULT = "https://api.openai.com/v1"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("own_url", [None, "https://mine.example/v1", DEFAULT])
@pytest.mark.parametrize("own_key", [None, "mine"])
@pytest.mark.parametrize("url", [None, "https://theirs.example/v1", DEFAULT])
def test_a_folders_key_goes_to_the_default_address_or_nowhere(
    name: str,
    own_url: str | None,
    own_key: str | None,
    url: str | None,
    workspace: Path,
    home: Path,
    state: Path,
) -> None:
    (workspace / ".env").write_text(f"OPENAI_API_KEY={DEFAULT_KEY}\n")
    if url is not None:
        with (workspace / name).open("a") as stream:
            stream.write(FILES[name]("base_url", url))
    environ = {key: said for key, said in (("OPENAI_API_KEY", own_key), ("OPENAI_BASE_URL", own_url)) if said}
    config = Standing(workspace, Layers(environ, home, {}), Trust(state)).load(None)
    settings = config.settings
    assert settings.base_url == (own_url or DEFAULT)
    if own_key is not None:
        assert settings.api_key == own_key
    elif settings.base_url == DEFAULT and url in (None, DEFAULT):
        assert settings.api_key == DEFAULT_KEY
    else:
        assert settings.api_key is None
        assert "api_key" in [one["key"] for one in config.would_change()]


# -- files that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "endless", "outside", "dangling", "folder", "large", "device"])
@pytest.mark.parametrize("sure", [False, True])
def test_what_is_no_plain_file_is_not_read_and_said(
    name: str, kind: str, sure: bool, workspace: Path, home: Path, state: Path, tmp_path: Path
) -> None:
    path = workspace / name
    (tmp_path / "outside").write_text(
        'image = "outside"\n' if name == "pygent.toml" else "PYGENT_IMAGE=outside"
    )
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "endless":
            path.symlink_to("/dev/zero")
        case "outside":
            path.symlink_to(tmp_path / "outside")
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"#" * (1 << 20) + b"\n")
        case "device":
            path.symlink_to("/dev/tty")
    config = standing(workspace, home, state, sure=sure).load(None)
    assert [one.code for one in config.diagnostics] == ["unreadable"]
    assert str(path) in config.diagnostics[0].message
    assert config.settings.image == "python:3.12-slim"
    assert not (tmp_path / "nowhere").exists()
