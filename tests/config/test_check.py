from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.config import Config, Diagnostic, check, load


def checked(workspace: Path, home: Path, toml: str = "", env: str = "", **more: object) -> list[Diagnostic]:
    return list(check(read(workspace, home, toml, env, **more)))


def read(workspace: Path, home: Path, toml: str = "", env: str = "", **more: object) -> Config:
    texts = {workspace / "pygent.toml": toml, workspace / ".env": env}
    options: dict[str, object] = {"environ": {}, "home": home, "trusted": True, "texts": texts, **more}
    return load(workspace, **options)  # type: ignore[arg-type]


def marked(text: str, problem: Diagnostic) -> str:
    """What of the text a problem points to."""
    lines = text.splitlines()
    assert problem.line == problem.end_line
    return lines[(problem.line or 0) - 1][(problem.column or 0) - 1 : (problem.end_column or 0) - 1]


SYNTAX = """\
model =
max_tasks = 3 4
[limits
steps = "x
[sandbox]
network = perhaps
word
step = [1,
[approvals]
timeout = 5
time = 1
"""


def test_every_mistake_of_a_broken_file_is_told_at_its_place(workspace: Path, home: Path) -> None:
    found = checked(workspace, home, SYNTAX)
    assert [(one.code, one.line, marked(SYNTAX, one)) for one in found] == [
        ("syntax", 1, "="),
        ("syntax", 2, "4"),
        ("syntax", 3, "limits"),
        ("syntax", 4, '"x'),
        ("syntax", 6, "perhaps"),
        ("syntax", 7, "word"),
        ("syntax", 8, ","),
        ("unknownKey", 11, "time"),
    ]
    assert "has no value" in found[0].message


def test_nothing_of_a_broken_file_is_used(workspace: Path, home: Path) -> None:
    assert read(workspace, home, 'model = "m"\nmax_tasks =').settings.model == "gpt-4.1-mini"


def test_what_stands_twice_is_an_error_that_names_both(workspace: Path, home: Path) -> None:
    text = 'model = "a"\nmodel = "b"\n[limits]\nsteps = 1\n[limits]\nsteps = 2\nstep = 1\n[sandbox]\nnetwork = 1.5'
    found = checked(workspace, home, text)
    assert [(one.code, one.line, marked(text, one)) for one in found] == [
        ("duplicateKey", 2, "model"),
        ("duplicateTable", 5, "limits"),
        ("badValue", 9, "1.5"),
    ]
    assert [one.related[0].line for one in found[:2]] == [1, 3]
    assert "in line 1" in found[0].message


MARKS = [
    ('modle = "x"', "unknownKey", "modle", "model"),
    ("[limits]\nstep = 3", "unknownKey", "step", "limits.steps"),
    ("network = true", "unknownKey", "network", "sandbox.network"),
    ('[sandbox]\nmodel = "m"', "wrongTable", "model", "model"),
    ('[[task_personas]]\nname = "a"\ndescripton = "b"', "unknownKey", "descripton", "description"),
    ('task_personas = [{name = "a", descripton = "b"}]', "unknownKey", "descripton", "description"),
    ('max_tasks = "ä 😀"', "badValue", '"ä 😀"', None),
    ('banned_apps = ["curl", 3, "wget"]', "badValue", "3", None),
    ('task_personas = ["a", {description = "b"}]', "badValue", '{description = "b"}', None),
    ('initial_files = ["pygent.toml", "gone"]', "missingFile", '"gone"', None),
    ('snapshot = "gone"', "missingFile", '"gone"', None),
    ('[[task_personas]]\nname = "a"\n[[task_personas]]\nname = "A"', "duplicatePersona", '"A"', None),
    ('task_personas = ["Pygent"]', "duplicatePersona", '"Pygent"', None),
    ('api_key = "x"', "secretInFile", '"x"', None),
    ('my_token = "abc"', "secretInFile", '"abc"', None),
    ('persona = "use sk-abcdefghijklmnop"', "secretInFile", '"use sk-abcdefghijklmnop"', None),
    (
        'banned_apps = ["curl", "ghp_abcdefghijklmnopqrstuv"]',
        "secretInFile",
        '"ghp_abcdefghijklmnopqrstuv"',
        None,
    ),
    ('base_url = "https://me:word@x.example/v1"', "secretInFile", '"https://me:word@x.example/v1"', None),
]


@pytest.mark.parametrize(("text", "code", "mark", "near"), MARKS)
def test_a_problem_marks_exactly_what_is_wrong(
    text: str, code: str, mark: str, near: str | None, workspace: Path, home: Path
) -> None:
    (workspace / "pygent.toml").touch()
    (problem,) = checked(workspace, home, text)
    assert (problem.code, marked(text, problem), problem.near) == (code, mark, near)
    assert problem.message.startswith(f"{workspace}/pygent.toml:{problem.line}:{problem.column}: ")
    assert problem.message.endswith(problem.text)


def test_a_secret_is_in_no_message_and_no_value(workspace: Path, home: Path) -> None:
    config = read(workspace, home, 'persona = "sk-abcdefghijklmnop"\napi_key = "hunter2"')
    assert "sk-abc" not in str(config.show()) + str(check(config))
    assert "hunter2" not in str(config.show()) + str(check(config))
    assert config.settings.persona == "a sandboxed coding assistant."


def test_a_secret_in_a_persona_is_not_used(workspace: Path, home: Path) -> None:
    config = read(workspace, home, '[[task_personas]]\nname = "a"\ndescription = "sk-abcdefghijklmnop"')
    assert [one.code for one in check(config)] == ["secretInFile"]
    assert "sk-abc" not in str(config.settings) + str(config.show())


ENV_MARKS = [
    ("PYGENT_MODLE=x", "unknownKey", "PYGENT_MODLE"),
    ("PYGENT_WHATEVER=x", "unknownKey", "PYGENT_WHATEVER"),
    ('export PYGENT_MAX_TASKS="many"', "badValue", '"many"'),
    ("PYGENT_CONFIRM_BASH = perhaps # so", "badValue", "perhaps"),
    ("PYGENT_MODEL=a\nPYGENT_MODEL=b", "duplicateKey", "PYGENT_MODEL"),
    ("=x", "syntax", "=x"),
]


@pytest.mark.parametrize(("text", "code", "mark"), ENV_MARKS)
def test_a_problem_of_a_dotenv_file_too(text: str, code: str, mark: str, workspace: Path, home: Path) -> None:
    (problem,) = checked(workspace, home, env=text)
    assert (problem.code, marked(text, problem)) == (code, mark)


def test_variables_of_others_are_none_of_our_business(workspace: Path, home: Path) -> None:
    assert (
        checked(workspace, home, env="DATABASE_URL=x\nOPENAI_ORG=y", environ={"PYGENT_TEST_IMAGE": "i"}) == []
    )


def test_what_a_stronger_layer_sets_is_a_hint_that_leads_there(workspace: Path, home: Path) -> None:
    (home / ".pygent.toml").write_text('model = "home"\npersona = "p"\n')
    found = checked(workspace, home, 'model = "file"', "PYGENT_MODEL=dot", environ={"PYGENT_PERSONA": "e"})
    assert [(one.severity, one.code, Path(one.file or "").name) for one in found] == [
        ("hint", "shadowed", ".pygent.toml"),
        ("hint", "shadowed", ".pygent.toml"),
        ("hint", "shadowed", "pygent.toml"),
    ]
    assert [(one.related[0].file, one.related[0].line) for one in found if one.key == "model"] == [
        (str(workspace / ".env"), 1),
        (str(workspace / ".env"), 1),
    ]
    assert "PYGENT_PERSONA in the environment" in found[1].message


def test_what_an_untrusted_folder_would_need_is_said(workspace: Path, home: Path) -> None:
    text = 'base_url = "https://a.example"\nlog_file = "/x"\n[limits]\nsteps = 999\n[sandbox]\nnetwork = true'
    found = checked(workspace, home, text, trusted=False)
    assert {one.code for one in found} == {"notTrusted"}
    said = [one.text.partition("trusted")[2] for one in found]
    assert said == [
        ".",
        ".",
        ": it may only lower it.",
        ".",
    ]


def test_the_parts_of_a_conflict_are_told(workspace: Path, home: Path) -> None:
    text = 'task_personas = ["a"]\n[[task_personas]]\nname = "b"\nmodel = 3\n'
    found = checked(workspace, home, text)
    assert [(one.code, one.line) for one in found] == [("syntax", 2)]


def test_a_file_full_of_mistakes_ends(workspace: Path, home: Path) -> None:
    assert len(checked(workspace, home, "x\n" * 5000)) == 50
    deep = checked(workspace, home, "a = " + "[" * 5000 + "]" * 5000)
    assert [one.code for one in deep] == ["syntax"]
    assert checked(workspace, home, "".join(f"[a{n}.b]\n[[a{n}]]\n" for n in range(100)))


@settings(max_examples=200, deadline=None)
@given(
    toml=st.text(alphabet="model=\"sandbox[]\n.#{},1'\\\r🙂", max_size=80),
    env=st.text(alphabet="PYGENT_MODEL='\"=\n#\r \\x", max_size=60),
)
def test_no_text_makes_it_raise(tmp_path_factory: pytest.TempPathFactory, toml: str, env: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    for problem in checked(folder, folder / "none", toml, env, trusted=False):
        assert problem.message
