"""`pygent doctor` finds the usual faults of a set-up, each of them caused for real, and says how to mend it."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Pygent
from tests.cli.program import Program, lines
from tests.conftest import python

from pygent.replay import Reply

pytestmark = pytest.mark.e2e
DONE = Reply(text="All done.", times=0)


def found(program: Program, fault: str, *flags: str, **env: str) -> tuple[str, str, str]:
    """The status, words and fix of one check; JSON and text agree, and the exit code says whether any failed."""
    done = program("doctor", "--json", *flags, **env)
    checks = lines(done.stdout)[0]["checks"]
    assert done.returncode == (1 if any(one["status"] == "fail" for one in checks) else 0)
    shown = program("doctor", *flags, **env)
    assert shown.returncode == done.returncode
    (check, *_) = [one for one in checks if one["id"] == fault and one["status"] != "ok"] or [
        one for one in checks if one["id"] == fault
    ]
    assert check["message"] in shown.stdout
    assert check.get("fix", "") in shown.stdout
    return check["status"], check["message"], check.get("fix", "")


@contextlib.contextmanager
def answering(status: int, body: str, kind: str = "application/json") -> Iterator[str]:
    """The address of a server that answers everything in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def tools_without(tmp_path: Path, *names: str) -> str:
    """A PATH that has every program of this machine but these."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for path in Path(place).glob("*") if Path(place).is_dir() else ():
            target = folder / path.name
            if path.name not in names and not target.is_symlink():
                target.symlink_to(path)
    return str(folder)


def test_all_is_well(pygent: Pygent, bwrap: str) -> None:
    assert bwrap
    done = pygent(DONE)("doctor")
    assert done.returncode == 0
    assert "✗" not in done.stdout
    assert "!" not in done.stdout


def test_no_key(pygent: Pygent) -> None:
    status, message, fix = found(pygent(DONE), "model", OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert (status, message) == ("fail", "There is no API key.")
    assert "OPENAI_API_KEY" in fix


@pytest.mark.parametrize(
    ("code", "body", "kind", "words", "mend"),
    [
        (401, '{"error": {"message": "Incorrect API key"}}', "application/json", "401", "Check OPENAI_API_KEY"),
        (403, '{"error": {"message": "no access"}}', "application/json", "403", "Check OPENAI_API_KEY"),
        (404, '{"detail": "Not Found"}', "application/json", "404", "usually ends in /v1"),
        (200, "<!doctype html><body>Welcome</body>", "text/html", "does not list models", "usually ends in /v1"),
    ],
)  # fmt: skip
def test_a_key_that_is_refused_and_an_address_that_is_no_api(
    pygent: Pygent, code: int, body: str, kind: str, words: str, mend: str
) -> None:
    with answering(code, body, kind) as url:
        status, message, fix = found(pygent(DONE), "model", OPENAI_BASE_URL=url)
    assert status == "fail"
    assert words in message
    assert url in message
    assert mend in fix


def test_a_server_that_is_not_there_and_a_proxy_in_the_way(pygent: Pygent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    status, message, fix = found(pygent(DONE), "model", OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1")
    assert status == "fail"
    assert "can't be reached" in message
    assert "Check OPENAI_BASE_URL" in fix
    proxy = {"OPENAI_BASE_URL": "https://api.example.com/v1", "HTTPS_PROXY": f"http://127.0.0.1:{port}"}
    status, message, fix = found(pygent(DONE), "model", **proxy)
    assert status == "fail"
    assert "the proxy of HTTPS_PROXY" in fix


def test_a_model_that_is_not_there(pygent: Pygent) -> None:
    status, message, fix = found(pygent(DONE), "model", PYGENT_MODEL="no-such-model")
    assert status == "warn"
    assert "does not list the model no-such-model" in message
    assert "gpt-4.1-mini" in fix


@pytest.mark.parametrize("engine", ["unix:///nothing.sock", "tcp://127.0.0.1:9"])
def test_docker_that_does_not_run(pygent: Pygent, engine: str) -> None:
    status, message, fix = found(pygent(DONE), "sandbox", "--docker", DOCKER_HOST=engine)
    assert status == "fail"
    assert engine in message
    assert "Docker" in fix


def test_docker_without_the_right_to_use_it(pygent: Pygent, tmp_path: Path) -> None:
    """A socket that exists and refuses: for root nothing is forbidden, so it is one that nobody serves."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "docker.sock"))
    status, message, fix = found(
        pygent(DONE), "sandbox", "--docker", DOCKER_HOST=f"unix://{tmp_path}/docker.sock"
    )
    assert status == "fail"
    assert "docker.sock" in message
    assert fix


@pytest.mark.docker
def test_an_image_that_is_not_there(pygent: Pygent, docker_image: str) -> None:
    assert docker_image
    image = "127.0.0.1:9/no-such/image:here"
    status, message, fix = found(pygent(DONE), "sandbox", "--docker", PYGENT_IMAGE=image)
    assert status == "fail"
    assert image in message
    assert "PYGENT_IMAGE" in fix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put another program in bwrap's place")
def test_a_bubblewrap_that_does_not_work(pygent: Pygent, bwrap: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    program = pygent(DONE)
    mounted = f'mount --bind {broken} {os.path.realpath(bwrap)} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", *python("-m", "pygent.cli", "doctor", "--json")],
        cwd=program.folder,
        env=program.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    (check,) = [one for one in json.loads(done.stdout)["checks"] if one["id"] == "sandbox"]
    assert "bubblewrap does not work here" in check["message"]
    assert "No permissions to create new namespace" in check["message"]
    assert check["status"] == (
        "warn" if "without a sandbox" in check["message"] else "ok"
    )  # Landlock may be there


def test_settings_that_are_wrong(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text('max_tasks = "many"\n')
    status, message, _ = found(pygent(DONE), "config")
    assert status == "fail"
    assert f"{workspace}/pygent.toml:1" in message
    (workspace / "pygent.toml").write_text("[sandbox\n")
    status, message, _ = found(pygent(DONE), "config")
    assert (status, "pygent.toml:1" in message) == ("fail", True)


def test_a_folder_that_is_not_trusted(pygent: Pygent, workspace: Path) -> None:
    (workspace / "pygent.toml").write_text("confirm_bash = false\n")
    status, message, fix = found(pygent(DONE), "trust")
    assert status == "warn"
    assert "confirm_bash" in message
    assert "pygent trust" in fix


def test_snapshots_need_no_git(pygent: Pygent, tmp_path: Path) -> None:
    status, message, _ = found(pygent(DONE), "snapshots", PATH=tools_without(tmp_path, "git"))
    assert (status, "libgit2" in message) == ("ok", True)


def test_a_library_for_snapshots_that_is_broken(pygent: Pygent, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/pygit2.py").write_text("raise ImportError('a library is missing')\n")
    status, message, fix = found(pygent(DONE), "snapshots", PYTHONPATH=str(tmp_path / "broken"))
    assert status == "fail"
    assert "a library is missing" in message
    assert "pygit2" in fix


def test_a_terminal_without_our_characters(pygent: Pygent) -> None:
    status, message, fix = found(pygent(DONE), "terminal", PYTHONIOENCODING="cp1252")
    assert status == "warn"
    assert "cp1252" in message
    assert "PYTHONUTF8" in fix


def test_in_the_home_folder_it_works_too(pygent: Pygent, home: Path) -> None:
    program = pygent(DONE)
    program.folder = home
    done = program("doctor")
    assert done.returncode == 0, done.stderr
    assert "answers" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_the_terminal_has_no_characters_for(pygent: Pygent, encoding: str) -> None:
    """As on Windows: nothing breaks, and what is ours has plain forms."""
    program = pygent(Reply(text="naïve 世界 ● done"))
    done = program("--cwd", "go", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert "done" in done.stdout
    assert "世" not in done.stdout
    shown = program("doctor", PYTHONIOENCODING=encoding).stdout
    assert shown.startswith("ok Python")
    assert json.loads(program("doctor", "--json", PYTHONIOENCODING=encoding).stdout)["checks"]
    assert program("--help", PYTHONIOENCODING=encoding).returncode == 0


def test_no_module_of_the_cli_needs_posix_to_be_imported() -> None:
    import ast  # noqa: PLC0415

    import pygent.cli  # noqa: PLC0415

    for path in Path(str(pygent.cli.__file__)).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {"fcntl", "termios", "pty", "tty", "resource", "pwd", "grp"} & set(names), path
