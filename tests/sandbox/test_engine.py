"""The Docker engine when something is missing, slow, elsewhere or gone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import TEST_IMAGE
from tests.registry import SILENT, docker, relay

from pygent.config import Settings
from pygent.config.settings import SandboxSettings
from pygent.errors import SandboxUnavailable
from pygent.sandbox import Sandbox, container, engine
from pygent.sandbox.choose import open_sandbox
from pygent.sandbox.docker import DockerSandbox
from pygent.sandbox.owner import process_identity

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_image")]


async def start(
    workspace: Path, state: Path, said: list[str] | None = None, image: str = TEST_IMAGE, **environ: str
) -> Sandbox:
    settings = Settings(use_docker="1", image=image)
    report = (said if said is not None else list[str]()).append
    return await open_sandbox(
        settings, workspace, environ={**os.environ, **environ}, report=report, state=state
    )


async def test_a_missing_image_is_pulled_with_visible_progress(
    pushed: str, workspace: Path, state: Path
) -> None:
    said: list[str] = []
    async with relay(5000, 0.01) as way:
        image = f"127.0.0.1:{way.port}/{pushed}"
        sandbox = await start(workspace, state, said, image)
        assert (await sandbox.run("ls -s /blob | cut -d' ' -f1")).exit_code == 0
        await sandbox.close()
        docker("rmi", image)
    assert said[0] == f"Pulling the image {image} …"
    assert any(" MB" in line for line in said[1:-1])
    assert said[-1].startswith("Pulled the image")


async def test_a_pull_can_be_cancelled(pushed: str, workspace: Path, state: Path) -> None:
    async with relay(5000, 0.5, first=400_000) as way:
        image = f"127.0.0.1:{way.port}/{pushed}"
        job = asyncio.create_task(start(workspace, state, image=image))
        await way.busy()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await asyncio.wait_for(way.idle(), 30)
    assert docker("images", "-q", image) == ""


async def test_a_cancelled_pull_is_left_also_while_the_registry_says_nothing(
    pushed: str, workspace: Path, state: Path
) -> None:
    async with relay(5000, SILENT, first=400_000) as way, relay("/var/run/docker.sock") as to_engine:
        environ = {"DOCKER_HOST": f"tcp://127.0.0.1:{to_engine.port}"}
        image = f"127.0.0.1:{way.port}/{pushed}"
        job = asyncio.create_task(start(workspace, state, image=image, **environ))
        await way.busy()
        await to_engine.silent()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await asyncio.wait_for(to_engine.idle(), 30)
        way.hurry.set()
        await asyncio.wait_for(way.idle(), 30)
    assert docker("images", "-q", image) == ""


async def test_an_image_that_the_registry_does_not_have(registry: str, workspace: Path, state: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="there is no image") as error:
        await start(workspace, state, image=f"{registry}/there/is-none:1")
    assert "PYGENT_IMAGE" in (error.value.fix or "")


async def test_a_registry_that_does_not_answer(workspace: Path, state: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="can't be pulled"):
        await start(workspace, state, image="127.0.0.1:9/some/image:1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a socket that is somebody else's")
async def test_no_rights_on_the_socket(workspace: Path, state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(state / "docker.sock")
        listener.bind(path)
        listener.listen()
        os.chmod(path, 0o600)
        os.chown(path, 12345, 12345)
        # Without these two capabilities root has no more rights on it than anybody.
        done = await asyncio.create_subprocess_exec(
            *("setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-c", OWNER),
            *(str(workspace), str(state), TEST_IMAGE),
            env={**os.environ, "DOCKER_HOST": f"unix://{path}"},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await done.communicate()
    assert f"no rights on Docker's socket unix://{path}" in said.decode()


async def test_a_daemon_that_is_down(workspace: Path, state: Path) -> None:
    path = state / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(SandboxUnavailable, match="daemon is down"):
        await start(workspace, state, DOCKER_HOST=f"unix://{path}")


@pytest.fixture(scope="module")
def bare_image(docker_image: str) -> Iterator[str]:
    """The test image without Python."""
    name = f"pygent-test-bare-{os.getpid()}"
    docker("run", "--name", name, docker_image, "sh", "-c", "rm -f /usr/bin/python3* /usr/bin/python")
    docker("commit", name, f"{name}:1")
    docker("rm", name)
    yield f"{name}:1"
    docker("rmi", f"{name}:1", check=False)


async def alone(sandbox: Sandbox) -> bool:
    """Whether no process of an earlier command is left, ended ones that nobody waited for included."""
    for _ in range(50):
        if "sleep" not in (await sandbox.run("cat /proc/*/comm")).output:
            return True
    return False


async def test_an_image_without_python_works_one_command_at_a_time(
    bare_image: str, workspace: Path, state: Path
) -> None:
    said: list[str] = []
    sandbox = await start(workspace, state, said, bare_image)
    try:
        assert not sandbox.overlapping
        assert any("no python3" in line for line in said)
        done = await sandbox.run("echo out; echo err >&2; pwd; id -u; exit 3")
        assert sorted(done.output.split()) == sorted(["out", "err", "/workspace", str(os.getuid())])
        assert done.exit_code == 3
        late = await sandbox.run("trap '' TERM; echo begun; sleep 60", timeout=1)
        assert (late.timed_out, late.output) == (True, "begun\n")
        left = await sandbox.run("setsid sleep 61 >/dev/null 2>&1 & echo go")
        assert left.output == "go\n"
        assert await alone(sandbox)
        both = await asyncio.gather(*(sandbox.run(f"echo {n}") for n in range(3)))
        assert [one.output for one in both] == ["0\n", "1\n", "2\n"]
        job = asyncio.create_task(sandbox.run("sleep 62"))
        await asyncio.sleep(0.5)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert await alone(sandbox)
    finally:
        await sandbox.close()


async def test_an_image_without_a_shell_is_refused(workspace: Path, state: Path) -> None:
    name = f"pygent-test-empty-{os.getpid()}:1"
    subprocess.run(
        f"tar c -C /etc hostname | docker import - {name}", shell=True, check=True, capture_output=True
    )
    with pytest.raises(SandboxUnavailable, match="no shell"):
        await start(workspace, state, image=name)
    docker("rmi", name)
    assert docker("ps", "-aq", "--filter", f"label={container.LABEL}=1", "--filter", f"ancestor={name}") == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a mount namespace")
async def test_an_engine_that_sees_another_folder_is_refused(workspace: Path, state: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        from pathlib import Path
        from pygent.config import Settings
        from pygent.errors import SandboxUnavailable
        from pygent.sandbox.choose import open_sandbox

        async def main():
            settings = Settings(use_docker="1", image=sys.argv[3])
            try:
                await open_sandbox(settings, Path(sys.argv[1]), environ=dict(os.environ),
                                   report=print, state=Path(sys.argv[2]))
            except SandboxUnavailable as error:
                print(error.message)

        asyncio.run(main())
        """
    )
    async with relay("/var/run/docker.sock") as way:
        # To the engine this mount does not exist: it is as if it ran on another machine.
        done = await asyncio.create_subprocess_exec(
            *("unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(workspace)),
            *(sys.executable, "-c", program, str(workspace), str(state), TEST_IMAGE),
            env={**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{way.port}"},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await done.communicate()
    assert "has another folder" in said.decode()


OWNER = """
import asyncio, os, sys
from pathlib import Path
from pygent.config import Settings
from pygent.sandbox.choose import open_sandbox

async def main():
    settings = Settings(use_docker="1", image=sys.argv[3])
    sandbox = await open_sandbox(settings, Path(sys.argv[1]), environ=dict(os.environ),
                                 report=print, state=Path(sys.argv[2]))
    await sandbox.run("sleep 600")

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["created", "running"])
async def test_a_slow_engine_keeps_no_container_of_a_killed_owner(
    moment: str, workspace: Path, state: Path
) -> None:
    """Killed as soon as the engine has made it and before it has said so, and before it has said that it runs."""
    async with relay("/var/run/docker.sock", 0.5) as way:
        owner = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", OWNER, str(workspace), str(state), TEST_IMAGE),
            env={**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{way.port}"},
        )
        listed = ("ps", "-aq", "--filter", f"label={container.OWNER}={process_identity(owner.pid)}")
        while not await asyncio.to_thread(docker, *listed, "--filter", f"status={moment}"):
            await asyncio.sleep(0.05)
        owner.kill()
        await owner.wait()
        until = time.monotonic() + 10
        while await asyncio.to_thread(docker, *listed):
            assert time.monotonic() < until
            await asyncio.sleep(0.2)


def test_an_engine_that_limits_nothing_is_known_by_its_own_word() -> None:
    said = json.loads(
        '{"MemoryLimit": false, "SwapLimit": false, "CpuCfsQuota": false, "PidsLimit": false,'
        ' "CgroupDriver": "none", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}'
    )  # of rootless Docker 20.10 without delegated control groups
    assert engine.rootless(said)
    assert engine.enforced(said) == ["fileSize", "disk"]
    here = engine.connect(os.environ).info()
    assert engine.enforced(here) == ["memory", "cpus", "processes", "fileSize", "disk"]
    assert not engine.rootless(here)


@pytest.mark.parametrize(
    "place", ["run/docker.sock", "home/.docker/run/docker.sock", "run/podman/podman.sock"]
)
def test_engines_are_found_where_they_listen(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        engine, "SOCKETS", engine.SOCKETS[1:]
    )  # the engine of the tests is in the first place
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": "home", "XDG_RUNTIME_DIR": "run"}
    Path(place).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        assert engine.address(environ) == f"unix://{place}"
    assert engine.address({**environ, "DOCKER_HOST": "tcp://10.0.0.1:2376"}) == "tcp://10.0.0.1:2376"


async def test_an_engine_over_tcp_that_sees_the_folder_is_used(workspace: Path, state: Path) -> None:
    async with relay("/var/run/docker.sock") as way:
        sandbox = await start(workspace, state, DOCKER_HOST=f"tcp://127.0.0.1:{way.port}")
        assert (await sandbox.run("echo over tcp > here && cat here")).output == "over tcp\n"
        await sandbox.close()
    assert [path.name for path in workspace.iterdir()] == ["here"]


async def test_a_container_that_is_killed_is_made_again_and_that_is_said(
    workspace: Path, state: Path
) -> None:
    said: list[str] = []
    sandbox = await start(workspace, state, said)
    begun = asyncio.Event()
    job = asyncio.create_task(sandbox.run("echo go; sleep 600", on_output=lambda _: begun.set()))
    await begun.wait()
    docker("kill", str(sandbox.status().container_id))
    with pytest.raises(SandboxUnavailable, match="ended while the command ran"):
        await asyncio.wait_for(job, 10)
    assert (await sandbox.run("echo again")).output == "again\n"
    assert any("a new one was made" in line for line in said)
    await sandbox.close()


async def test_garbage_on_the_pipe_ends_nothing(workspace: Path, state: Path) -> None:
    sandbox = await start(workspace, state)
    assert isinstance(sandbox, DockerSandbox)
    line = sandbox._line
    for order in (
        {},
        {"op": "run"},
        {"op": "fly", "id": 1},
        {"op": "run", "id": 2, "argv": 7, "cwd": 0, "env": 1},
    ):
        line._send(order)  # type: ignore[union-attr]
    line._writer.write(b"\x00\x00\x00\x04\xff{]\x00")  # type: ignore[union-attr]
    assert (await sandbox.run("echo fine")).output == "fine\n"
    await sandbox.close()


async def test_only_containers_of_the_dead_are_removed(workspace: Path, state: Path) -> None:
    dead = subprocess.Popen(["sleep", "60"])
    mark = process_identity(dead.pid)
    dead.kill()
    dead.wait()
    run = ("run", "-d", "--label", f"{container.LABEL}=1", "--label")
    orphan = docker(*run, f"{container.OWNER}={mark}", TEST_IMAGE, "sleep", "300")
    alive = docker(*run, f"{container.OWNER}={process_identity(os.getpid())}", TEST_IMAGE, "sleep", "300")
    elsewhere = docker(*run, f"{container.OWNER}=other-machine:b:1:1", TEST_IMAGE, "sleep", "300")
    foreign = docker("run", "-d", TEST_IMAGE, "sleep", "300")
    try:
        sandbox = await start(workspace, state)
        await sandbox.close()
        left = docker("ps", "-aq", "--no-trunc").split()
        assert orphan not in left
        assert {alive, elsewhere, foreign} <= set(left)
    finally:
        docker("rm", "-f", orphan, alive, elsewhere, foreign, check=False)


async def test_a_set_up_that_fails_is_told_and_leaves_nothing(workspace: Path, state: Path) -> None:
    settings = Settings(
        use_docker="1", image=TEST_IMAGE, sandbox=SandboxSettings(setup=("true", "echo no luck; exit 4"))
    )
    with pytest.raises(SandboxUnavailable, match="ended with 4: no luck"):
        await open_sandbox(settings, workspace, environ=dict(os.environ), report=lambda _: None, state=state)
    own = f"label={container.OWNER}={process_identity(os.getpid())}"
    assert docker("ps", "-aq", "--filter", own) == ""
