"""What the server starts and imports never lies in the folder that it works on."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.conftest import TEST_IMAGE
from tests.sandbox.world import make
from tests.story import call, story

import pygent
from pygent import programs
from pygent.replay import Reply
from pygent.sandbox.watchdog import watched

MODULES = ("msgspec", "docker", "docker/errors", "regex", "openai", "json", "sitecustomize", "usercustomize")


def hostile(folder: Path, *, package: bool = False) -> Path:
    """Fill a folder with modules that leave a mark when they are imported; where the mark would be."""
    mark = folder.parent / "ran"
    for name in (*MODULES, *(["pygent/__init__", "pygent/sandbox/__init__"] if package else [])):
        place = folder / f"{name}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"open({str(mark)!r}, 'a').write({name!r})\nraise ImportError\n")
    return mark


def program(path: Path, mark: Path) -> None:
    """A program that leaves a mark when it runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {path.name} >> {mark}\nexit 1\n")
    path.chmod(0o755)


def pygent_cli(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def installed() -> str:
    """A program that runs as the console script does: found by its own place, not by the working directory."""
    return "import sys; sys.argv[0] = 'pygent'; from pygent.cli import main; sys.exit(main())"


@pytest.mark.parametrize("sub", [".", "deeper"])
def test_a_module_of_the_folder_is_not_imported(sub: str, workspace: Path, bwrap: str) -> None:
    mark = hostile(workspace)
    (workspace / sub).mkdir(exist_ok=True)
    if sub == "deeper":
        hostile(workspace / sub)
    for words in (["-m", "pygent.cli"], ["-I", "-c", installed()], ["-m", "pygent"]):
        done = pygent_cli(
            *words, "sandbox", "run", "--", "echo", "fine", cwd=workspace / sub, PYGENT_USE_DOCKER="0"
        )
        assert words == ["-m", "pygent"] or done.stdout == "fine\n", done.stderr
        assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("path", ["", ".", "{workspace}", "{workspace}/lib:", "lib"])
def test_a_module_path_that_leads_into_the_folder_is_dropped(path: str, workspace: Path, bwrap: str) -> None:
    """Before the command line runs the path is Python's; what is imported from then on is not."""
    mark = hostile(workspace)
    shutil.copytree(workspace, workspace / "lib")
    for name in ("msgspec.py", "json.py", "sitecustomize.py", "usercustomize.py"):
        (workspace / name).unlink()
        (workspace / "lib" / name).unlink()
    done = pygent_cli(
        *("-m", "pygent.cli", "doctor"),
        cwd=workspace,
        PYTHONPATH=path.format(workspace=workspace),
        PYGENT_USE_DOCKER="1",
    )
    assert "git" in done.stdout, done.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.docker
def test_the_watchdog_imports_nothing_of_the_folder(
    workspace: Path, docker_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = hostile(workspace, package=True)
    name = f"pygent-test-{os.getpid()}"
    maker = f"""if True:
        import os, subprocess, sys
        from pygent.sandbox.watchdog import watched
        os.chdir({str(workspace)!r})
        with watched({name!r}, dict(os.environ, PYTHONPATH={str(workspace)!r})):
            subprocess.run(["docker", "create", "--name", {name!r}, {TEST_IMAGE!r}, "sleep", "600"], check=True)
            os.kill(os.getpid(), 9)
        """
    pygent_cli("-c", maker, cwd=workspace.parent, PYTHONPATH=str(Path(pygent.__file__).parent.parent))
    seen = ["docker", "events", "--filter", f"container={name}", "--filter", "event=destroy", "--since", "1m"]
    with subprocess.Popen(seen, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        assert "destroy" in events.stdout.readline()  # the watchdog has removed it
        events.kill()
    assert not mark.exists(), mark.read_text()


def test_a_watchdog_runs_at_the_root_with_a_clean_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    environ = {
        **os.environ,
        "PATH": f"{workspace}/bin:.:/usr/bin",
        "PYTHONPATH": str(workspace),
        "X_KEY": "k",
    }
    programs.avoid(workspace)
    with watched("none", environ):
        threads = Path("/proc/self/task").glob("*/children")  # which thread started it is no matter
        children = [pid for thread in threads for pid in thread.read_text().split()]
        found = [pid for pid in children if b"watchdog" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(found) == 1
        seen = Path(f"/proc/{found[0]}/environ").read_bytes().split(b"\0")
        assert os.readlink(f"/proc/{found[0]}/cwd") == "/"
        assert b"PATH=/usr/bin" in seen
        assert not [line for line in seen if line.startswith((b"PYTHON", b"X_KEY"))]


@pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)
async def test_programs_of_the_folder_are_not_started(kind: str, workspace: Path, home: Path) -> None:
    mark = workspace.parent / "ran"
    for name in ("git", "bwrap", "docker", "python3", "sh", "ssh", "docker-credential-desktop", "newuidmap"):
        program(workspace / ".venv/bin" / name, mark)
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text('{"credsStore": "desktop"}')
    (workspace / "by-link").symlink_to(".venv/bin")
    for path in (workspace / ".venv/bin", workspace / "by-link", "."):
        for words in (["doctor"],) * (path == ".") + (["sandbox", "run", "--", "echo fine"],):
            done = await asyncio.to_thread(
                pygent_cli,
                *("-m", "pygent.cli", *words),
                cwd=workspace,
                PATH=f"{path}:{os.environ['PATH']}",
                PYGENT_USE_DOCKER="1" if kind == "docker" else "0",
                PYGENT_IMAGE=TEST_IMAGE,
                OPENAI_API_KEY="k",
                OPENAI_BASE_URL="http://127.0.0.1:9/v1",
            )
            assert words == ["doctor"] or done.stdout == "fine\n", done.stderr
    assert not mark.exists(), mark.read_text()


async def test_a_snapshot_starts_no_git_of_the_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = workspace.parent / "ran"
    program(workspace / ".venv/bin/git", mark)
    monkeypatch.setenv("PATH", f"{workspace}/.venv/bin:{os.environ['PATH']}")
    async with story(workspace, call("write_file", path="made", content="x"), Reply(text="Done.")) as tale:
        await tale.app.sessions.new(tale.folder).chat("go")
    assert (workspace / "made").read_text() == "x"
    assert not mark.exists()


@pytest.mark.parametrize(
    "entry", ["{folder}/bin", "{folder}/link", "bin", "", ".", "{folder}/../other/../{name}/bin"]
)
def test_a_program_is_found_where_commands_cannot_write(
    entry: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, good = workspace.parent / "ran", workspace.parent / "good"
    for folder in (workspace, workspace / "bin"):
        program(folder / "tool", mark)
    program(good / "tool", mark)
    (workspace / "link").symlink_to("bin")
    monkeypatch.chdir(workspace)
    programs.avoid(workspace)
    path = entry.format(folder=workspace, name=workspace.name)
    assert programs.find("tool", f"{path}:{good}") == str(good / "tool")
    assert programs.find("tool", path) is None
    (good / "tool").unlink()
    (good / "tool").symlink_to(workspace / "bin/tool")
    assert programs.find("tool", f"{path}:{good}") is None


@pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)
async def test_commands_keep_the_persons_path(
    kind: str, workspace: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{workspace}/.venv/bin:{os.environ['PATH']}")
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("echo $PATH")
    await sandbox.close()
    assert done.output.startswith(f"{workspace}/.venv/bin:") == (kind == "bubblewrap")


@pytest.mark.parametrize("kind", ["bubblewrap", "docker", "landlock"], indirect=True)
async def test_a_server_that_is_installed_in_the_workspace_stays_as_it_is(kind: str, workspace: Path) -> None:
    venv.create(workspace / ".venv", symlinks=True)
    library = next((workspace / ".venv/lib").glob("python*/site-packages"))
    paths = [entry for entry in sys.path if entry.endswith("site-packages")]
    (library / "all.pth").write_text("\n".join([*paths, str(Path(pygent.__file__).parent.parent)]))
    script = f"echo evil > {library.relative_to(workspace)}/docker.py; echo x >> .venv/pyvenv.cfg; echo ran"
    env = {"PYGENT_USE_DOCKER": "1" if kind == "docker" else "0", "PYGENT_IMAGE": TEST_IMAGE}
    if kind == "landlock":
        code = installed().replace(
            "sys.exit", "import pygent.sandbox.bubblewrap as b; b.programs.find = lambda *_: None; sys.exit"
        )
    else:
        code = installed()
    done = await asyncio.to_thread(
        subprocess.run,
        [workspace / ".venv/bin/python", "-c", code, "sandbox", "run", "--", script],
        cwd=workspace,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ran" in done.stdout, done.stderr
    assert "Pygent itself is installed in this workspace" in done.stderr
    assert (library / "docker.py").exists() == (kind == "landlock")
    assert ("read-only" in done.stderr) == (kind != "landlock")
