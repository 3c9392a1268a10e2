"""Rules of the house that a machine can keep."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY, python

from pygent.config import TABLE, load, reference
from pygent.config.json_schema import json_schema
from pygent.lsp import reference as protocol
from pygent.lsp import typescript
from pygent.lsp.commands import COMMANDS
from pygent.tools import builtin_tools, serialise

PACKAGE = REPOSITORY / "server/pygent"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
SCRIPTS = [path for path in (REPOSITORY / "scripts").iterdir() if path.is_file()]


def tracked() -> list[Path]:
    """The files of the repository, as git has them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_functions_and_modules_are_short() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}:{node.lineno} {node.name}"
        assert len(path.read_text().splitlines()) <= 500, path


def test_names_say_what_things_are() -> None:
    for path in MODULES:
        named = re.findall(r"class (\w*(?:Manager|Helper|Utils?))\b", path.read_text())
        assert [name for name in named if name != "TaskManager"] == [], (
            path
        )  # Pygent 1.0's name, kept for scripts
        assert path.stem not in ("utils", "helpers", "common", "misc"), path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_of_the_docs_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_begins_with_two_commands() -> None:
    block = re.search(r"```sh\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    assert block is not None
    commands = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert commands == ["scripts/demo", "scripts/test"]
    assert "scripts/test" in (REPOSITORY / ".ci/run").read_text()


def test_generated_pages_are_fresh() -> None:
    assert (REPOSITORY / "docs/protocol.md").read_text() == protocol.protocol(), (
        "python -m pygent.lsp.reference > docs/protocol.md"
    )
    assert (REPOSITORY / "editor-client/src/protocol.ts").read_text() == typescript.protocol(), (
        "python -m pygent.lsp.typescript > editor-client/src/protocol.ts"
    )
    manifest = json.loads((REPOSITORY / "editor-client/package.json").read_text())
    config = manifest["contributes"]["configuration"]["properties"]["pygent.config"]
    assert config["properties"] == json.loads(json.dumps(json_schema()))["properties"], (
        "npm run generate, in editor-client"
    )
    page = (REPOSITORY / "docs/configuration.md").read_text()
    assert reference.table() in page, "python -m pygent.config.reference"


def test_the_architecture_names_every_module() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text()
    modules = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()]
    names = [f"{path.name}/" if path.is_dir() else path.name for path in modules]
    wanted = [name for name in names if not name.startswith("__")]
    assert [name for name in wanted if f"`{name}`" not in page] == []


def test_the_docs_name_every_command_and_setting() -> None:
    text = (REPOSITORY / "docs/protocol.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []
    page = (REPOSITORY / "docs/configuration.md").read_text()
    assert [one.variable for one in TABLE.values() if one.variable and f"`{one.variable}`" not in page] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_run(script: Path) -> None:
    first = script.read_text().splitlines()[0]
    assert os.access(script, os.X_OK)
    if first.endswith("sh"):
        shell = first.rsplit("/", 1)[1].split()[-1]
        subprocess.run([shell, "-n", str(script)], check=True)


def test_the_docs_shell_blocks_parse() -> None:
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.S | re.M):
            subprocess.run(["sh", "-n"], input=block, text=True, check=True)


def test_the_docs_settings_are_settings(tmp_path: Path) -> None:
    for page in PAGES:
        for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.S)):
            (tmp_path / "pygent.toml").write_text(block)
            found = load(tmp_path, environ={}, home=tmp_path / "home", trusted=True).diagnostics
            problems = [problem.message for problem in found if problem.code != "wrongTable"]
            assert not problems, f"{page.name}, block {number}"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_machine_gets_into_the_repository() -> None:
    words = re.compile(r"/root/|/home/(?!agent)[a-z]|/work/|artifactory|nexus\.", re.I)
    for path in tracked():
        if path.suffix in (".png", ".json") or path.name == "test_repository.py":
            continue
        found = [line for line in path.read_text().splitlines() if words.search(line)]
        assert not found, f"{path}: {found[:3]}"


def test_importing_starts_nothing() -> None:
    """No module reads a file of its own, the environment's secrets or the network when it is imported."""
    names = [
        path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
        for path in MODULES
        if path.name not in ("__main__.py", "__init__.py") and "demo/project" not in path.as_posix()
    ]
    program = f"""
import importlib, sys
def hook(event, arguments):
    if event in ("socket.connect", "subprocess.Popen", "os.fork", "os.exec"):
        raise SystemExit(f"{{event}} {{arguments}}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"{{event}} {{arguments}}")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(python("-c", program), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_prompt_with_all_tools_is_short() -> None:
    """System prompt and tool schemas stay below 3,000 tokens, at four characters each."""
    prompt = sum(len(path.read_text()) for path in (PACKAGE / "prompts").glob("*.md"))
    assert (prompt + len(serialise(list(builtin_tools().values())))) / 4 < 3000
