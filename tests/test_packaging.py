"""What is published: complete, the same every time, and at work where it is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY, python

pytestmark = pytest.mark.e2e


def build(folder: Path) -> dict[str, Path]:
    """The wheel and the sdist, by their ending."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1764000000"}
    command = python("-m", "build", "--outdir", str(folder), str(REPOSITORY))
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built[".whl"]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pygent", "pygent_server"}
    package = REPOSITORY / "server/pygent"
    sources = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"pygent/{path.relative_to(package).as_posix()}" for path in sources}
    assert wanted == {name for name in names if name.startswith("pygent/")}
    assert {"pygent/py.typed", "pygent/prompts/system.md", "pygent/cli/demo/script.json"} <= wanted


def test_the_sdist_holds_what_a_packager_needs(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "server/pygent/py.typed",
        "tests/conftest.py",
    )
    assert set(needed) <= names
    assert not [name for name in names if "node_modules" in name or ".venv" in name]


def test_a_second_build_is_the_same(built: dict[str, Path], tmp_path: Path) -> None:
    again = build(tmp_path)
    for kind, path in built.items():
        assert (
            hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(again[kind].read_bytes()).digest()
        ), kind


def test_it_works_where_it_is_installed(built: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "venv"
    subprocess.run(python("-m", "venv", str(place)), check=True)
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(built[".whl"])], check=True)
    for program in ("pygent", "pygent-server"):
        said = subprocess.run(
            [place / "bin" / program, "--version"], capture_output=True, text=True, check=True
        )
        assert said.stdout.startswith(f"{program} ")
    demo = subprocess.run(
        [place / "bin/pygent", "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYGENT_USE_DOCKER": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    typed = "from pygent import AsyncPygent, Agent\nreveal_type(Agent().step('x').content)\n"
    (tmp_path / "typed.py").write_text(typed)
    interpreter = f"--python-executable={place / 'bin/python'}"
    checked = subprocess.run(
        python("-m", "mypy", interpreter, str(tmp_path / "typed.py")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Revealed type is "str | None"' in checked.stdout.replace("builtins.", ""), checked.stdout


@pytest.mark.docker
def test_the_image_serves(docker_image: str, tmp_path: Path) -> None:
    tag = f"pygent-test/server:{os.getpid()}"
    environ = {**os.environ, "BASE": docker_image, "PACKAGES": "", "DOCKER_BUILDKIT": "0"}
    version = [
        "docker",
        "run",
        "--rm",
        docker_image,
        "python3",
        "-c",
        "import sys; print('%d.%d' % sys.version_info[:2])",
    ]
    environ["PYTHON_VERSION"] = subprocess.run(
        version, capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [REPOSITORY / "scripts/image", tag], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {"processId": None, "capabilities": {}},
        }
        body = json.dumps(request)
        server = subprocess.run(
            ["docker", "run", "-i", "--rm", "--network=none", "-u", "12345:12345", tag],
            input=f"Content-Length: {len(body)}\r\n\r\n{body}",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert '"name":"pygent-server"' in server.stdout.replace(" ", ""), server.stderr
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], capture_output=True, check=False)
