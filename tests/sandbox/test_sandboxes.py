"""The promises of every sandbox, over the real thing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.sandbox.world import SECRET, make

from pygent.config import Settings
from pygent.errors import SandboxUnavailable
from pygent.sandbox import Sandbox, bubblewrap
from pygent.sandbox.choose import open_sandbox


@pytest.fixture
async def sandbox(kind: str, workspace: Path, state: Path) -> AsyncIterator[Sandbox]:
    made = await make(kind, workspace, state)
    yield made
    await made.close()


def alive(mark: str) -> bool:
    """Whether a process with this in its command line is left on the machine."""
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).returncode == 0


async def gone(mark: str) -> bool:
    for _ in range(100):
        if not alive(mark):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_output_exit_code_and_order(sandbox: Sandbox, kind: str) -> None:
    done = await sandbox.run("echo one; echo two >&2; echo three; exit 7")
    assert (done.output, done.exit_code, done.timed_out) == ("one\ntwo\nthree\n", 7, False)
    assert sandbox.kind == sandbox.status().effective == kind


async def test_commands_work_in_the_workspace(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "given").write_text("hello")
    done = await sandbox.run("pwd; cat given; echo made > made; touch -- '-odd näme'")
    assert done.output == f"{sandbox.workdir}\nhello"
    assert (workspace / "made").read_text() == "made\n"
    assert (workspace / "made").stat().st_uid == workspace.stat().st_uid
    assert (workspace / "-odd näme").exists()


async def test_output_arrives_before_the_end(sandbox: Sandbox, workspace: Path) -> None:
    heard: list[str] = []

    def hear(text: str) -> None:
        heard.append(text)
        (workspace / "go").touch()

    done = await sandbox.run(
        "echo first; until [ -e go ]; do sleep 0.01; done; echo last", on_output=hear, timeout=30
    )
    assert done.exit_code == 0
    assert "".join(heard) == done.output == "first\nlast\n"
    assert heard[0] == "first\n"


async def test_there_is_no_input(sandbox: Sandbox) -> None:
    done = await sandbox.run("cat; read x; echo end", timeout=20)
    assert (done.output, done.exit_code) == ("end\n", 0)


async def test_the_time_limit_ends_the_whole_tree(sandbox: Sandbox) -> None:
    mark = f"9{time.time_ns() % 10**8:08d}"
    done = await sandbox.run(
        f"trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep {mark}' &); sleep {mark}", timeout=0.5
    )
    assert done.timed_out
    assert done.exit_code is None
    assert await gone(f"sleep {mark}")
    assert (await sandbox.run("echo still here")).output == "still here\n"


async def test_cancelling_ends_the_whole_tree(sandbox: Sandbox) -> None:
    mark = f"8{time.time_ns() % 10**8:08d}"
    started = asyncio.Event()
    job = asyncio.create_task(
        sandbox.run(f"setsid sleep {mark} & echo go; sleep {mark}", on_output=lambda _: started.set())
    )
    await started.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await gone(f"sleep {mark}")


async def test_what_is_left_in_the_background_ends_and_keeps_nothing_open(sandbox: Sandbox) -> None:
    mark = f"7{time.time_ns() % 10**8:08d}"
    done = await sandbox.run(
        f"sleep {mark} & setsid sleep {mark} & setsid -f sleep {mark} >/dev/null 2>&1; echo go", timeout=60
    )
    assert (done.output, done.exit_code) == ("go\n", 0)
    assert "ended with the command" in (done.hint or "")
    assert await gone(f"sleep {mark}")


async def test_no_secret_reaches_a_command(sandbox: Sandbox, kind: str) -> None:
    own = "" if kind == "local" else "; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"
    done = await sandbox.run(f"env{own}")
    assert "PATH=" in done.output
    assert SECRET not in done.output
    assert "OPENAI" not in done.output


async def test_long_output_is_capped_with_all_of_it_in_a_file(sandbox: Sandbox) -> None:
    done = await sandbox.run("seq 1 100000")
    assert done.truncated
    assert len(done.output) < 33_000
    assert done.output.startswith("1\n2\n")
    assert done.output.endswith("99999\n100000\n")
    assert done.full_output is not None
    assert Path(done.full_output).read_text() == "".join(f"{n}\n" for n in range(1, 100001))


async def test_a_flood_stays_small_in_memory(sandbox: Sandbox) -> None:
    done = await sandbox.run("yes 0123456789 | head -c 100000000; echo; echo the end")
    assert done.output.endswith("the end\n")
    assert done.full_output is not None
    assert Path(done.full_output).stat().st_size < 65 * 1024 * 1024


async def test_bytes_that_are_no_text(sandbox: Sandbox) -> None:
    done = await sandbox.run("printf 'a\\xff\\xfeb \\033[31mred\\033[0m\\n10%%\\r20%%\\r30%%\\n\\000c'")
    assert done.output == "a\ufffd\ufffdb red\n30%\n\\u{0}c"


async def test_a_signal_shows_as_the_shell_shows_it(sandbox: Sandbox) -> None:
    assert (await sandbox.run("kill -9 $$")).exit_code == 137


async def test_many_at_once(sandbox: Sandbox) -> None:
    done = await asyncio.gather(*(sandbox.run(f"sleep 0.1; echo {n}") for n in range(20)))
    assert [one.output for one in done] == [f"{n}\n" for n in range(20)]


CONFINED = pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)


@CONFINED
async def test_git_and_secrets_of_the_workspace_are_out_of_reach(
    kind: str, workspace: Path, state: Path
) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".git/config").write_text("[core]\n")
    (workspace / ".env").write_text(SECRET)
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("echo x >> .git/config; mv .git g; cat .env; ls /root /home 2>&1; echo > /etc/x")
    await sandbox.close()
    assert SECRET not in done.output
    assert (workspace / ".git/config").read_text() == "[core]\n"


@CONFINED
async def test_there_is_no_network(sandbox: Sandbox) -> None:
    done = await sandbox.run("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '")
    assert not [name for name in done.output.split() if name.startswith(("eth", "en", "wl", "docker"))]


@pytest.mark.parametrize("kind", ["docker"], indirect=True)
async def test_closing_ends_what_runs(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    started = asyncio.Event()
    job = asyncio.create_task(sandbox.run("echo go; sleep 600", on_output=lambda _: started.set()))
    await started.wait()
    container = sandbox.status().container_id
    await sandbox.close()
    with pytest.raises(SandboxUnavailable):
        await job
    listed = subprocess.run(["docker", "ps", "-aq", "--no-trunc"], capture_output=True, text=True, check=True)
    assert container not in listed.stdout


OWNER = """
import asyncio, os, sys
from pathlib import Path
from pygent.config import Settings
from pygent.sandbox.choose import open_sandbox

async def main():
    settings = Settings(use_docker=sys.argv[3], image=sys.argv[4])
    sandbox = await open_sandbox(settings, Path(sys.argv[1]), environ=dict(os.environ),
                                 report=lambda _: None, state=Path(sys.argv[2]))
    print(sandbox.status().container_id, flush=True)
    await sandbox.run(sys.argv[5])

asyncio.run(main())
"""


async def killed_owner(workspace: Path, state: Path, command: str, *before: str) -> None:
    """Kill -9 a process whose sandbox without Docker runs a command that is left then."""
    owner = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-c", OWNER, str(workspace), str(state), "0", "", command),
        stdout=asyncio.subprocess.DEVNULL,
    )
    while not alive(f"^{command.rpartition('& ')[2]}"):
        await asyncio.sleep(0.05)
    owner.kill()
    await owner.wait()


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("bwrap")
async def test_no_process_outlives_a_killed_owner(workspace: Path, state: Path) -> None:
    mark = f"6{time.time_ns() % 10**8:08d}"
    await killed_owner(workspace, state, f"setsid sleep {mark} & sleep {mark}")
    assert await gone(f"^sleep {mark}")


WITHOUT_BWRAP = (
    *("unshare", "--mount", "sh", "-c"),
    'for path in $(which -a bwrap); do mount --bind /dev/null $path; done; exec "$@"',
    "-",
)
HIDING = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can hide an installed bubblewrap"
)


@HIDING
async def test_plain_local_ends_at_its_start_what_the_dead_left_and_nothing_else(
    workspace: Path, state: Path
) -> None:
    mark, other = (f"{digit}{time.time_ns() % 10**8:08d}" for digit in "54")
    bare = await make("local", workspace, state)
    living = asyncio.create_task(bare.run(f"sleep {other}"))
    await killed_owner(workspace, state, f"setsid sleep {mark} & sleep {mark}", *WITHOUT_BWRAP)
    assert alive(f"^sleep {mark}")
    await bare.start()
    assert await gone(f"^sleep {mark}")
    assert alive(f"^sleep {other}")
    living.cancel()
    await asyncio.wait([living])


AS_SOMEBODY = (
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    # Python may be in root's home; what reads files may still not read other processes.
    *("--bounding-set=-all,+dac_override", "--inh-caps=-all,+dac_override", "--ambient-caps=+dac_override"),
)


@HIDING
async def test_a_command_in_plain_local_cannot_read_our_environment(workspace: Path, state: Path) -> None:
    os.chown(workspace, 12345, 12345)
    spy = "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep ^THE_KEY; echo looked as $(id -u)"
    shown = OWNER.replace("await sandbox.run(sys.argv[5])", "print((await sandbox.run(sys.argv[5])).output)")
    owner = await asyncio.create_subprocess_exec(
        *(*WITHOUT_BWRAP, *AS_SOMEBODY, sys.executable, "-c", shown),
        *(str(workspace), str(state), "0", "", spy),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "THE_KEY": SECRET},
    )
    said, _ = await owner.communicate()
    assert "looked as 12345" in said.decode()
    assert "THE_KEY" not in said.decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work for somebody else")
async def test_files_belong_to_the_owner_of_the_workspace(kind: str, state: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder, "project")
        workspace.mkdir()
        for path in (Path(folder), workspace):
            path.chmod(0o755)
            os.chown(path, 12345, 12345)
        sandbox = await make(kind, workspace, state)
        done = await sandbox.run("mkdir made && touch made/file && id -u")
        await sandbox.close()
        assert done.exit_code == 0, done.output
        assert {path.stat().st_uid for path in workspace.rglob("*")} == {12345}


@pytest.mark.docker
async def test_a_container_does_not_outlive_a_killed_owner(
    docker_image: str, workspace: Path, state: Path
) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(workspace), str(state), "1", docker_image, "sleep 600"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    container = (await owner.stdout.readline()).decode().strip()
    assert container
    owner.kill()
    await owner.wait()
    for _ in range(100):
        found = subprocess.run(["docker", "inspect", container], capture_output=True, check=False)
        if found.returncode != 0:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the container is still there after 10 s")


async def test_docker_that_is_asked_for_is_never_replaced(workspace: Path, state: Path) -> None:
    settings = Settings(use_docker="1")
    environ = {**os.environ, "DOCKER_HOST": f"unix://{state}/nothing.sock"}
    with pytest.raises(SandboxUnavailable, match="no socket") as error:
        await open_sandbox(settings, workspace, environ=environ, report=lambda _: None, state=state)
    assert "PYGENT_USE_DOCKER=1" in error.value.message


async def test_auto_says_what_it_took_and_why(workspace: Path, state: Path) -> None:
    said: list[str] = []
    environ = {**os.environ, "DOCKER_HOST": f"unix://{state}/nothing.sock"}
    sandbox = await open_sandbox(Settings(), workspace, environ=environ, report=said.append, state=state)
    await sandbox.close()
    assert len(said) == 1
    assert "Docker is not installed or not running" in said[0]
    assert sandbox.status().effective in ("bubblewrap", "landlock", "local")
    assert sandbox.status().reason


@pytest.mark.bubblewrap
@pytest.mark.landlock
async def test_each_step_down_is_said_with_its_reason(
    bwrap: str, landlock: str, workspace: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "ISOLATION", ("--no-such-option",))
    for missing, kind, words in (
        (False, "landlock", "Commands run under Landlock and seccomp."),
        (True, "local", "NO SANDBOX: commands run directly on this machine."),
    ):
        if missing:
            monkeypatch.setitem(sys.modules, "sandlock", None)
        said: list[str] = []
        settings = Settings(use_docker="0")
        sandbox = await open_sandbox(
            settings, workspace, environ=dict(os.environ), report=said.append, state=state
        )
        status, done = sandbox.status(), await sandbox.run("echo hi")
        await sandbox.close()
        assert (status.effective, done.output) == (kind, "hi\n")
        assert len(said) == 1
        assert said[0].startswith(words)
        assert "bubblewrap does not work here" in (status.reason or "")
        assert ("sandlock" in (status.reason or "")) == missing


@pytest.mark.landlock
async def test_work_as_usual_under_landlock(landlock: str, workspace: Path, state: Path) -> None:
    """What another mode of its library broke: git, pipes with names, compilers, children."""
    sandbox = await make("landlock", workspace, state)
    script = """
    git init -q . && git -c user.name=n -c user.email=e commit -q --allow-empty -m m && git log --format=%s
    mkfifo pipe; (echo through > pipe) & cat pipe; wait
    python3 -c 'import subprocess, tempfile; tempfile.mkdtemp(); print(subprocess.run(["echo"]).returncode)'
    """
    done = await sandbox.run(script, timeout=30)
    await sandbox.close()
    assert done.output.split() == ["m", "through", "0"]


@pytest.mark.docker
async def test_an_image_that_is_missing_is_named(docker_image: str, workspace: Path, state: Path) -> None:
    settings = Settings(use_docker="1", image="pygent-test/there-is-none:1")
    with pytest.raises(SandboxUnavailable, match="there-is-none"):
        await open_sandbox(settings, workspace, environ=dict(os.environ), report=lambda _: None, state=state)
