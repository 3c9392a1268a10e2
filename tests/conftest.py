"""What every test gets: an environment of its own, and the real components or a clear word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.registry"]
REPOSITORY = Path(__file__).parent.parent
TEST_IMAGE = "pygent-test/python:slim"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own; no setting of the person who runs the tests gets in."""
    folder = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("PYGENT_", "OPENAI_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    return folder


@pytest.fixture
def state(home: Path) -> Path:
    """The state folder that Pygent uses in this test."""
    folder = home / "state" / "pygent"
    folder.mkdir(parents=True, mode=0o700)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def removed_at_the_end(tmp_path: Path) -> Iterator[None]:
    """For tests that fill the disk, or make trees that are too deep for pytest's own way to remove them."""
    yield
    subprocess.run(["chmod", "-R", "u+rwx", str(tmp_path)], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", str(tmp_path)], check=True)


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; in CI it must be there", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def docker_image() -> str:
    """The test image in a running Docker engine."""
    found = (
        subprocess.run(["docker", "image", "inspect", TEST_IMAGE], capture_output=True, check=False)
        if shutil.which("docker")
        else None
    )
    if found is None or found.returncode != 0:
        missing(f"no Docker engine with the image {TEST_IMAGE} (scripts/docker-engine up)")
    return TEST_IMAGE


@pytest.fixture(scope="session")
def bwrap() -> str:
    """A bubblewrap that works here."""
    program = shutil.which("bwrap")
    works = (
        program
        and subprocess.run(
            [program, "--ro-bind", "/", "/", "--unshare-all", "true"], capture_output=True, check=False
        ).returncode
        == 0
    )
    if not program or not works:
        missing("no working bubblewrap")
    return str(program)


@pytest.fixture(scope="session")
def landlock() -> str:
    """A kernel and a library that confine by Landlock."""
    probe = "import sandlock; raise SystemExit(sandlock.landlock_abi_version() < sandlock.min_landlock_abi())"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode != 0:
        missing("no Landlock of ABI 6 (Linux 6.12), or no sandlock")
    return "sandlock"


@pytest.fixture(
    params=[
        "local",
        pytest.param("landlock", marks=pytest.mark.landlock),
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
        pytest.param("docker", marks=pytest.mark.docker),
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Each isolation in turn."""
    name = str(request.param)
    if name != "local":
        request.getfixturevalue({"docker": "docker_image", "bubblewrap": "bwrap"}.get(name, name))
    return name


def python(*arguments: str) -> list[str]:
    """A command that runs this interpreter."""
    return [sys.executable, *arguments]


def installed(name: str) -> str:
    """A program of the package, as a person starts it: the folder that it is started in is on no search path."""
    return str(Path(sys.executable).parent / name)
