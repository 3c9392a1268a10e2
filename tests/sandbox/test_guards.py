"""What others act on is guarded at any depth, however it comes and goes, in every sandbox that mounts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sandbox.world import SECRET, make

from pygent.protected import TABLE, is_protected, is_secret, kind_of
from pygent.sandbox import Sandbox
from pygent.sandbox.inotify import Inotify
from pygent.sandbox.survey import Survey

CONFINED = pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)


def names(kind: str) -> list[str]:
    """The names of a kind; of a pattern one that it means."""
    return [
        name.replace("*", "a" if name.startswith("*") else ".a")
        for group in TABLE[kind].values()
        for name in group
    ]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SWAP = """
import ctypes, os, sys
names = [os.fsencode(name) for name in sys.argv[1:]]
exchange = ctypes.CDLL(None).renameat2
while True:
    for name in names:
        assert exchange(-100, name, -100, name + b".link", 2) == 0  # RENAME_EXCHANGE
"""


def save(path: Path, text: str) -> None:
    """As an editor saves: a new file takes the old one's place."""
    fresh = put(path.with_name("new~"), text)
    fresh.replace(path)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "sub/", "a/b/c/"])
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_a_name_is_what_it_is_at_any_depth_and_in_any_case(place: str, change: object) -> None:
    for kind in TABLE:
        for name in names(kind):
            written = change(name)  # type: ignore[operator]
            assert kind_of(written) == kind, written
            assert is_protected(place + written) == (kind != "told"), written
            assert is_secret(place + written) == (kind == "secret"), written
            assert is_protected(f"{place}{written}/deeper/file") == (kind == "code"), written


@pytest.mark.parametrize(
    "name",
    [
        *(".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults", "example.env"),
        *("environment", ".environment", "env", "git", ".gitignore", ".github.md", "vscode", "Makefile"),
    ],
)
def test_what_is_made_to_be_shown_or_merely_alike_is_free(name: str) -> None:
    assert kind_of(name) is None


# -- what is there ---------------------------------------------------------------------------------


def attempts(name: str) -> str:
    """Ways to change an entry; each says BREACH where it works."""
    entry = shlex.quote(name)
    ways = [
        f"echo x >> {entry}",
        f"echo x > {entry}/planted",
        f"mv {entry} {entry}.away",
        f"echo x > t && mv -fT t {entry}",
        f"ln -sfn /etc {entry}",
        f"rm -rf {entry}; [ ! -e {entry} ]",
        f"chmod 777 {entry}",
        f"touch -d 2001-01-01 {entry}",
    ]
    return "\n".join(f"({way}) 2>/dev/null && echo BREACH {entry}" for way in ways)


@CONFINED
async def test_what_runs_code_is_kept_at_any_depth(kind: str, workspace: Path, state: Path) -> None:
    places = [*names("code"), *(f"sub/deep er/{name}" for name in names("code"))]
    for number, name in enumerate(places):
        put(workspace / name, "as it was") if number % 2 else put(workspace / name / "file", "as it was")
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("\n".join(map(attempts, places)), timeout=60)
    await sandbox.close()
    assert "BREACH" not in done.output
    for number, name in enumerate(places):
        file = workspace / name if number % 2 else workspace / name / "file"
        assert file.read_text() == "as it was"
        assert number % 2 or os.listdir(workspace / name) == ["file"]


@CONFINED
async def test_secrets_are_hidden_at_any_depth(kind: str, workspace: Path, state: Path) -> None:
    for place in ("", "sub/", "a/b/c/"):
        for name in names("secret"):
            put(workspace / place / name, SECRET)
    put(workspace / ".env.example", "shown")
    (workspace / "alias").mkdir()
    put(workspace / "config/values", SECRET)
    (workspace / "alias/.env").symlink_to("../config/values")
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("find . -type f -o -type l | xargs -d '\\n' cat; mv a/b a/c2; cat a/c2/c/.env")
    again = await sandbox.run("cat a/c2/c/.env; cat .env.example")
    await sandbox.close()
    assert SECRET not in done.output + again.output
    assert "shown" in again.output


@CONFINED
async def test_the_settings_open_what_they_name(kind: str, workspace: Path, state: Path) -> None:
    put(workspace / "sub/.env", SECRET)
    put(workspace / "test/.env", "writable")
    put(workspace / "sub/.git/config", "")
    put(workspace / "sub/.git/objects/x", "")
    sandbox = await make(
        kind,
        workspace,
        state,
        read_only_paths=(workspace / "sub/.env", workspace / "test"),  # a stranger's folder may name such
        writable_paths=(workspace / "test/.env", workspace / "sub/.git/objects"),
    )
    done = await sandbox.run(
        "cat sub/.env test/.env; echo x > sub/.env; echo x > test/.env; echo x > sub/.git/objects/x; "
        "echo x > sub/.git/config; echo x > test/x"
    )
    await sandbox.close()
    assert SECRET not in done.output
    assert "writable" in done.output
    assert (workspace / "sub/.env").read_text() == SECRET
    assert (workspace / "sub/.git/config").read_text() == ""
    assert (workspace / "test/.env").read_text() == (workspace / "sub/.git/objects/x").read_text() == "x\n"
    assert not (workspace / "test/x").exists()


@CONFINED
async def test_nothing_is_left_in_the_folder_by_a_guard(kind: str, workspace: Path, state: Path) -> None:
    put(workspace / "sub/.env", SECRET)
    sandbox = await make(kind, workspace, state)
    await sandbox.run("true")
    await sandbox.close()
    assert sorted(str(path.relative_to(workspace)) for path in workspace.rglob("*")) == ["sub", "sub/.env"]


# -- what comes and goes ---------------------------------------------------------------------------


async def run(sandbox: Sandbox, command: str) -> str:
    """Run a command; what was told of protected files."""
    told: list[str] = []
    await sandbox.run(command, timeout=60, on_notice=told.append)
    return "\n".join(told)


async def test_what_a_command_makes_is_told_and_then_kept(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    for name in (".git/hooks/pre-commit", "a/.git/config", "a/.vscode/tasks.json", "b/.ENVRC", "b/x.env"):
        top = name.split("/", 1)[0] if name.startswith(".") else "/".join(name.split("/")[:2])
        said = await run(sandbox, f"mkdir -p $(dirname {name}); echo made > {name}")
        assert f"created {top} (" in said
        await run(sandbox, f"echo evil >> {name}")
        kept = kind in ("bubblewrap", "docker")
        assert (workspace / name).read_text() == "made\n" or not kept
    await sandbox.close()


async def test_what_becomes_of_instructions_is_told(kind: str, workspace: Path, state: Path) -> None:
    put(workspace / "AGENTS.md", "old")
    put(workspace / "sub/.github/workflows/ci.yml", "old")
    sandbox = await make(kind, workspace, state)
    assert await run(sandbox, "cat AGENTS.md; touch AGENTS.md; echo x > other") == ""
    assert "changed AGENTS.md (agents: instructions)" in await run(sandbox, "echo x >> AGENTS.md")
    same_size = "echo new > t; truncate -s 3 t; touch -r sub/.github/workflows/ci.yml t; "
    said = await run(sandbox, same_size + "mv t sub/.github/workflows/ci.yml")
    assert "changed sub/.github (continuous integration)" in said
    assert "replaced by a link AGENTS.md" in await run(sandbox, "ln -sf other AGENTS.md")
    assert "removed AGENTS.md" in await run(sandbox, "rm AGENTS.md")
    assert "created as a link CLAUDE.md" in await run(sandbox, "ln -s other CLAUDE.md")
    assert "created 2/AGENTS.md" in await run(sandbox, "mkdir 1; echo > 1/AGENTS.md; mv 1 2")
    await sandbox.close()


@pytest.mark.parametrize("kind", ["local", "landlock"], indirect=True)
async def test_what_is_changed_where_nothing_can_be_mounted_is_told(
    kind: str, workspace: Path, state: Path
) -> None:
    for name in (".git/config", ".git/HEAD", "sub/.git/hooks/x.sample", "a/.idea/deep/er/x.xml", ".env"):
        put(workspace / name, "old")
    sandbox = await make(kind, workspace, state)
    assert await run(sandbox, "echo x > .git/HEAD") == ""  # git itself changes that with every commit
    said = await run(
        sandbox, "echo x > .git/config; echo x > sub/.git/hooks/pre-commit; echo x > a/.idea/deep/er/x.xml"
    )
    assert "changed .git (" in said
    assert "sub/.git (" in said
    assert "a/.idea (" in said
    assert "replaced by a link .git" in await run(sandbox, "mv .git old; ln -s old .git")
    await sandbox.close()


async def test_names_in_what_is_told_are_visible(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    said = await run(sandbox, "mkdir -p $'a\\e[2J\\u202e\\nb' && mkdir $'a\\e[2J\\u202e\\nb/.git'")
    await sandbox.close()
    assert "created a\\u{1b}[2J\\u{202e}\\u{a}b/.git" in said


@CONFINED
async def test_a_call_that_is_cancelled_tells_too(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    begun, told = asyncio.Event(), list[str]()
    job = asyncio.create_task(
        sandbox.run(
            "mkdir .vscode; echo go; sleep 60", on_output=lambda _: begun.set(), on_notice=told.append
        )
    )
    await begun.wait()
    job.cancel()
    await asyncio.wait({job})
    await sandbox.close()
    assert "created .vscode" in told[0]


# -- while a command runs --------------------------------------------------------------------------


async def beside(sandbox: Sandbox, script: str, act: object, *, background: bool) -> tuple[str, str, str]:
    """Run a script, act once it has begun; its output and hint, and what was told."""
    begun, told = asyncio.Event(), list[str]()
    job = asyncio.create_task(
        sandbox.run(
            f"echo begun; {script}",
            timeout=20,
            on_output=lambda _: begun.set(),
            on_notice=told.append,
            background=background,
        )
    )
    await begun.wait()
    act()  # type: ignore[operator]
    done = await job
    return done.output, done.hint or "", "\n".join(told)


@CONFINED
@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("name", [".env", "sub/prod.env", "sub/deep/.npmrc"])
async def test_a_secret_that_is_saved_beside_a_command_is_not_read(
    kind: str, background: bool, name: str, workspace: Path, state: Path
) -> None:
    put(workspace / name, "old")
    sandbox = await make(kind, workspace, state)
    reading = f"while sleep 0.05; do cat {name} 2>/dev/null; done"
    output, hint, told = await beside(
        sandbox, reading, lambda: save(workspace / name, SECRET), background=background
    )
    again = await sandbox.run(f"cat {name}; echo again")
    await sandbox.close()
    assert SECRET not in output + again.output
    assert f"ended because {name} was replaced" in hint
    assert f"replaced {name}" in told
    assert again.output.endswith("again\n")


@CONFINED
@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("name", ["pygent.toml", "sub/.envrc", "sub/.git"])
async def test_what_is_saved_beside_a_command_is_not_written(
    kind: str, background: bool, name: str, workspace: Path, state: Path
) -> None:
    put(workspace / name, "old")
    sandbox = await make(kind, workspace, state)
    writing = f"while sleep 0.05; do echo evil >> {name}; done 2>/dev/null"
    _, hint, _ = await beside(sandbox, writing, lambda: save(workspace / name, "new"), background=background)
    await sandbox.run(f"echo evil >> {name}")
    await sandbox.close()
    assert f"ended because {name} was replaced" in hint
    assert (workspace / name).read_text() == "new"


@CONFINED
@pytest.mark.parametrize("name", [".env", "sub/deep/.env.local"])
async def test_a_secret_that_comes_up_beside_the_background_is_not_read(
    kind: str, name: str, workspace: Path, state: Path
) -> None:
    (workspace / "sub/deep").mkdir(parents=True)
    sandbox = await make(kind, workspace, state)
    reading = f"while sleep 0.05; do cat {name} 2>/dev/null; done"
    output, hint, told = await beside(
        sandbox, reading, lambda: save(workspace / name, SECRET), background=True
    )
    await sandbox.close()
    assert SECRET not in output
    assert f"ended because {name}, which may hold secrets, came up" in hint
    assert f"created {name}" in told


@CONFINED
async def test_a_file_that_is_saved_in_place_ends_nothing(kind: str, workspace: Path, state: Path) -> None:
    put(workspace / ".env", "old")
    sandbox = await make(kind, workspace, state)
    script = "while [ ! -e stop ]; do sleep 0.02; done; cat .env; echo fine"

    def act() -> None:
        (workspace / ".env").write_text(SECRET)
        save(workspace / "other", "x")
        (workspace / "stop").touch()

    output, hint, _ = await beside(sandbox, script, act, background=True)
    await sandbox.close()
    assert SECRET not in output
    assert output.endswith("fine\n")
    assert hint == ""


@CONFINED
async def test_what_the_background_makes_is_told_at_once(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    told, heard = list[str](), asyncio.Event()

    def tell(text: str) -> None:
        told.append(text)
        heard.set()

    job = asyncio.create_task(sandbox.run("mkdir .husky; sleep 60", background=True, on_notice=tell))
    await asyncio.wait_for(heard.wait(), 20)
    job.cancel()
    await asyncio.wait({job})
    await sandbox.close()
    assert len(told) == 1
    assert "created .husky" in told[0]


@CONFINED
async def test_what_a_command_makes_displaces_no_guard(kind: str, workspace: Path, state: Path) -> None:
    put(workspace / "a/b/.env", SECRET)
    put(workspace / "a/b/.git/config", "old")
    sandbox = await make(kind, workspace, state)
    await sandbox.run("for i in $(seq 250); do mkdir -p $i/.git; done; mv a c")
    done = await sandbox.run("cat c/b/.env; echo evil >> c/b/.git/config")
    await sandbox.close()
    assert SECRET not in done.output
    assert (workspace / "c/b/.git/config").read_text() == "old"


@CONFINED
async def test_guards_hold_where_the_kernel_tells_of_no_changes(
    kind: str, workspace: Path, state: Path
) -> None:
    put(workspace / ".env", "old")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # until the person's limit is used up
            while True:
                stack.callback(Inotify().close)
        sandbox = await make(kind, workspace, state)
        script = "while sleep 5; do cat .env; done 2>/dev/null"
        output, hint, told = await beside(
            sandbox, script, lambda: save(workspace / ".env", SECRET), background=True
        )
        assert "created sub/.vscode" in await run(sandbox, "mkdir -p sub/.vscode")
        await sandbox.close()
    assert SECRET not in output
    assert "ended because .env was replaced" in hint
    assert "replaced .env" in told


# -- mounts ----------------------------------------------------------------------------------------


@CONFINED
async def test_what_is_mounted_is_what_was_looked_at(
    kind: str, workspace: Path, state: Path, home: Path
) -> None:
    """A process beside swaps the folders for links to the person's keys, again and again."""
    put(home / ".ssh/id_rsa", SECRET)
    put(home / ".ssh/config", SECRET)
    put(workspace / "fixed/data", "data")
    put(workspace / "sub/.vscode/config", "{}")
    outside = put(workspace.parent / "shared/folder/config", "data").parent
    swapped = [workspace / "fixed", workspace / "sub/.vscode", outside]
    for place in swapped:
        Path(f"{place}.link").symlink_to(home / ".ssh")
    sandbox = await make(
        kind,
        workspace,
        state,
        read_only_paths=(workspace / "fixed",),
        writable_paths=(workspace.parent / "shared", outside),
    )
    racing = subprocess.Popen([sys.executable, "-c", SWAP, *map(str, swapped)])
    try:
        for _ in range(30 if kind == "bubblewrap" else 4):
            try:
                done = await sandbox.run(f"cat fixed/* sub/.vscode/* {outside}/*; echo x > {outside}/config")
            except Exception as error:  # refused is as good
                assert "not what was there" in str(error) or "Docker" in str(error), error
                continue
            assert SECRET not in done.output
    finally:
        racing.kill()
        racing.wait()
        await sandbox.close()
    assert (home / ".ssh/config").read_text() == SECRET


@CONFINED
async def test_a_path_through_a_link_that_commands_can_make_is_left_out(
    kind: str, workspace: Path, state: Path, home: Path
) -> None:
    put(home / ".ssh/id_rsa", SECRET)
    put(home / "real/file", "real")
    (home / "by").symlink_to(home / "real")
    (workspace / "link").symlink_to(home / ".ssh")
    sandbox = await make(
        kind, workspace, state, read_only_paths=(workspace / "link", workspace / "link/sub", home / "by")
    )
    done = await sandbox.run(f"cat link/id_rsa {home}/.ssh/id_rsa; cat {home}/by/file")
    await sandbox.close()
    assert SECRET not in done.output
    assert done.output.endswith("real")


async def test_no_handle_of_a_mount_is_open_in_the_command(bwrap: str, workspace: Path, state: Path) -> None:
    put(workspace / "sub/.vscode/tasks.json", "{}")
    sandbox = await make("bubblewrap", workspace, state)
    done = await sandbox.run("ls /proc/self/fd | tr '\\n' ' '")
    await sandbox.close()
    assert done.output == "0 1 2 3 "  # 3 is that of ls itself


# -- the survey ------------------------------------------------------------------------------------

PLACES = ["a", "b", "a/b", "a/b/c", "b/c", "node_modules", "a/node_modules"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["make", "file", "rename", "remove", "link", "look"]),
        st.sampled_from(PLACES),
        st.sampled_from([*PLACES, ".git", "a/.env", "a/b/AGENTS.md", "b/.vscode"]),
    ),
    max_size=25,
)


def change(root: Path, step: str, one: str, other: str) -> None:
    first, second = root / one, root / other
    if step == "make":
        second.mkdir(parents=True)
    elif step == "file":
        put(second, "x")
    elif step == "rename":
        first.rename(second)
    elif step == "link":
        second.symlink_to(first)
    elif second.is_dir() and not second.is_symlink():
        second.rmdir()
    else:
        second.unlink()


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "asked"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(steps=STEPS)
def test_a_survey_that_is_kept_current_is_a_new_one(
    heard: bool, steps: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("survey")
    survey, fresh = Survey(root), Survey(root)
    if not heard:
        survey.close()
    survey.look()
    for step, one, other in steps:
        if step == "look":
            survey.look()
            continue
        try:
            change(root, step, one, other)
        except OSError:
            continue
    found = survey.look()
    assert found == fresh.look()
    assert all(stat.S_IFMT(os.lstat(root / name).st_mode) == entry.type for name, entry in found.items())
    survey.close()
    fresh.close()
