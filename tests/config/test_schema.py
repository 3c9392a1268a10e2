from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import REPOSITORY

from pygent.config import TABLE, VARIABLES, Config, check, load, reference
from pygent.config.json_schema import json_schema
from pygent.config.sample import sample
from pygent.config.write import literal

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def read(text: str, folder: Path) -> Config:
    return load(folder, environ={}, home=folder / "none", texts={folder / "pygent.toml": text}, trusted=True)


def test_the_committed_schema_is_fresh_and_a_schema() -> None:
    committed = json.loads((REPOSITORY / "docs/pygent.schema.json").read_text())
    assert committed == json.loads(json.dumps(SCHEMA)), "pygent config schema > docs/pygent.schema.json"
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_every_setting_is_in_it_with_its_meaning_and_default() -> None:
    for setting in TABLE.values():
        table, dot, name = setting.key.partition(".")
        if setting.secret:
            assert table not in SCHEMA["properties"]
            continue
        found = SCHEMA["properties"][table]["properties"][name] if dot else SCHEMA["properties"][table]
        assert setting.meaning in found["description"]
        if setting.default not in (None, (), {}):
            assert found["default"] == setting.default
            jsonschema.validate(setting.default, found)


def test_the_sample_files_are_valid() -> None:
    for path in [REPOSITORY / "examples/sample_config.toml", *REPOSITORY.glob("examples/**/pygent.toml")]:
        VALIDATOR.validate(tomli.loads(path.read_text()))
    blocks = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "docs/configuration.md").read_text(), re.S)
    assert len(blocks) > 1
    for block in blocks[1:]:  # the first is the one whose last line slips into a persona's table
        VALIDATOR.validate(tomli.loads(block))
    assert not VALIDATOR.is_valid(tomli.loads(blocks[0]))


WRONG = [
    "modle = 'x'",
    "max_tasks = 0",
    "[limits]\nstep = 3",
    "api_key = 'k'",
    "[[task_personas]]\nnaem = 'x'",
    "api = 'x'",
]


@pytest.mark.parametrize("text", WRONG)
def test_it_refuses_what_we_report(text: str, tmp_path: Path) -> None:
    assert not VALIDATOR.is_valid(tomli.loads(text))
    assert read(text, tmp_path).diagnostics


TEXTS = st.one_of(
    st.text(alphabet="abc :/.-2gG", max_size=8),
    st.sampled_from(["http://a", "https://b/v1", "2g", "512 MiB", "0", "auto", "chat", "a - b", " - b"]),
)
RAW = st.recursive(
    st.one_of(
        TEXTS, st.integers(-3, 1 << 31), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "description", "module", "confirm", "m", "input", "output", "cached"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=500, deadline=None)
@given(key=st.sampled_from([one.key for one in TABLE.values() if not one.secret]), raw=RAW)
def test_what_it_takes_is_taken(key: str, raw: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = f"{key} = {literal(raw)}"
    if not VALIDATOR.is_valid(tomli.loads(text)):
        return
    config = read(text, tmp_path_factory.getbasetemp())
    assert [problem.message for problem in config.diagnostics if problem.code != "secretInFile"] == []


def test_a_new_file_is_in_order_and_so_is_each_of_its_settings(tmp_path: Path) -> None:
    assert check(read(sample(), tmp_path)) == ()
    bare = re.sub(r"^# (?=[a-z_]+ = )", "", sample(), flags=re.M)
    document = tomli.loads(bare)
    VALIDATOR.validate(document)
    config = read(bare, tmp_path)
    assert [problem for problem in check(config) if problem.code != "missingFile"] == []
    assert {key for key, value in config.values.items() if value.origin.layer == "workspace"} == set(
        TABLE
    ) - {"api_key"}
    for key, value in config.values.items():
        if TABLE[key].default not in (None, (), {}):
            assert value.value == TABLE[key].default, key


ROWS = [
    ("OPENAI_API_KEY", None, "none"),
    ("OPENAI_BASE_URL", "base_url", "`https://api.openai.com/v1`"),
    ("PYGENT_MODEL", "model", "`gpt-4.1-mini`"),
    ("PYGENT_IMAGE", "image", "`python:3.12-slim`"),
    ("PYGENT_USE_DOCKER", "use_docker", "`auto`"),
    ("PYGENT_MAX_TASKS", "max_tasks", "`3`"),
    ("PYGENT_HISTORY_FILE", "history_file", "none"),
    ("PYGENT_WORKSPACE", "workspace", "none"),
    ("PYGENT_STEP_TIMEOUT", "step_timeout", "none"),
    ("PYGENT_TASK_TIMEOUT", "task_timeout", "none"),
    ("PYGENT_PERSONA_NAME", "persona_name", "`Pygent`"),
    ("PYGENT_PERSONA", "persona", "`a sandboxed coding assistant.`"),
    ("PYGENT_TASK_PERSONAS", "task_personas", "none"),
    ("PYGENT_TASK_PERSONAS_JSON", "task_personas", "none"),
    ("PYGENT_INIT_FILES", "initial_files", "none"),
    ("PYGENT_SNAPSHOT", "snapshot", "none"),
    ("PYGENT_BANNED_COMMANDS", "banned_commands", "none"),
    ("PYGENT_BANNED_APPS", "banned_apps", "none"),
    ("PYGENT_LOG_FILE", "log_file", "none"),
    ("PYGENT_CONFIRM_BASH", "confirm_bash", "`true`"),
    ("PYGENT_CONFIRM_EDITS", "confirm_edits", "`false`"),
]


@pytest.mark.parametrize(("variable", "key", "default"), ROWS)
def test_the_page_has_every_promised_row(variable: str, key: str | None, default: str) -> None:
    (row,) = [line for line in reference.table().splitlines() if line.startswith(f"| `{variable}` |")]
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[1] == (f"`{key}`" if key else "none: an error there")
    assert cells[3] == default
    assert len(cells[2]) > 5
    assert VARIABLES[variable].key == (key or "api_key")
