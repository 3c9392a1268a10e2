"""With `sandbox.network` commands reach the outside, and nothing of this machine or beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox.world import make

from pygent.config import Settings
from pygent.config.settings import SandboxSettings
from pygent.sandbox import Sandbox, net
from pygent.sandbox.choose import open_sandbox

pytestmark = pytest.mark.bubblewrap

CONNECT = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
for place in sys.argv[2:]:
    host, _, port = place.rpartition(":")
    way = socket.socket(socket.AF_INET, kind)
    way.settimeout(20)
    try:
        way.connect((host, int(port)))
        print(place, "open")
    except OSError as error:
        print(place, error.errno)
"""
CLOSED = "13"
"""EACCES: a rule forbids it, and nothing was sent."""


@pytest.fixture(scope="module")
def joined(bwrap: str) -> str:
    """A machine where a network of its own can be made for commands."""
    if (packages := net.missing()) or not os.access("/dev/net/tun", os.W_OK):
        if os.environ.get("CI") == "true":
            pytest.fail(f"no /dev/net/tun, or not installed: {packages}", pytrace=False)
        pytest.skip(f"no /dev/net/tun, or not installed: {packages}")
    return bwrap


def addresses() -> list[str]:
    found = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True)
    return [one["local"] for link in json.loads(found.stdout) for one in link["addr_info"]]


@contextlib.contextmanager
def services() -> Iterator[int]:
    """A service at every address of this machine; its port."""
    with socket.create_server(("0.0.0.0", 0)) as service:
        yield service.getsockname()[1]


async def reached(sandbox: Sandbox, workspace: Path, *places: str, by: str = "tcp") -> dict[str, str]:
    """What became of each place; by UDP a way is only asked for, and nothing is sent."""
    (workspace / "connect.py").write_text(CONNECT)
    done = await sandbox.run(f"python3 connect.py {by} {' '.join(places)}", timeout=60)
    return dict(line.split() for line in done.output.splitlines())


async def test_no_service_of_this_machine_is_reached(joined: str, workspace: Path, state: Path) -> None:
    with services() as port:
        own = [f"{address}:{port}" for address in addresses()]
        local = await make("local", workspace, state)
        assert set((await reached(local, workspace, *own)).values()) == {"open"}
        ways = [*own, f"10.0.2.2:{port}", f"10.0.2.3:{port}", f"10.0.2.100:{port}"]
        sandbox = await make("bubblewrap", workspace, state, network=True)
        found = await reached(sandbox, workspace, *ways)
        await sandbox.close()
    assert set(found) == set(ways)
    assert "open" not in found.values()


async def test_nothing_private_is_reached_and_the_outside_has_a_way(
    joined: str, workspace: Path, state: Path
) -> None:
    private = ["10.1.2.3", "172.16.0.1", "172.17.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"]
    private += ["100.100.100.200", "168.63.129.16", "198.18.0.1", "224.0.0.1", "255.255.255.255"]
    sandbox = await make("bubblewrap", workspace, state, network=True)
    found = await reached(sandbox, workspace, *(f"{address}:80" for address in private), by="udp")
    route = await sandbox.run("tail -n +2 /proc/net/route | head -1; cat /etc/resolv.conf; env")
    await sandbox.close()
    assert set(found) == {f"{address}:80" for address in private}
    assert set(found.values()) <= {CLOSED, "101"}
    assert route.output.startswith("tap0\t00000000\t0202000A")
    assert "nameserver 10.0.2.3\n" in route.output
    assert "PIP_RETRIES" not in route.output
    assert sandbox.status().network


async def test_a_network_that_is_opened_is_opened(joined: str, workspace: Path, state: Path) -> None:
    sandbox = await make(
        "bubblewrap", workspace, state, network=True, networks=("172.16.0.0/12", "10.0.0.0/8")
    )
    ways = ["172.17.0.9:9", "10.1.1.1:9", "10.0.2.2:9", "192.168.1.1:9"]
    found = await reached(sandbox, workspace, *ways, by="udp")
    await sandbox.close()
    assert found == dict(zip(ways, ["open", "open", CLOSED, CLOSED], strict=True))


async def test_a_socket_without_a_file_is_not_reached(joined: str, workspace: Path, state: Path) -> None:
    name = f"pygent-test-{os.getpid()}"
    script = f"import socket\ns = socket.socket(socket.AF_UNIX)\nprint(s.connect_ex('\\0{name}'))"
    (workspace / "connect.py").write_text(script)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(f"\0{name}")
        service.listen()
        results = []
        for kind in ("local", "bubblewrap"):
            sandbox = await make(kind, workspace, state, network=True)
            results.append(
                (await sandbox.run("python3 connect.py; grep -c pygent-test /proc/net/unix")).output
            )
            await sandbox.close()
    assert results[0].startswith("0\n")
    assert results[1] == "111\n0\n"


async def test_commands_of_one_sandbox_share_its_network(joined: str, workspace: Path, state: Path) -> None:
    sandbox = await make("bubblewrap", workspace, state, network=True)
    done = await sandbox.run(
        "python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 &\n"
        "until (exec 3<>/dev/tcp/127.0.0.1/8123) 2>/dev/null; do sleep 0.05; done; echo there",
        timeout=20,
    )
    await sandbox.close()
    assert done.output == "there\n"


async def test_the_network_ends_with_the_sandbox(joined: str, workspace: Path, state: Path) -> None:
    def helpers() -> set[str]:
        found = subprocess.run(["pgrep", "slirp4netns"], capture_output=True, text=True, check=False)
        return set(found.stdout.split())

    before = helpers()
    sandbox = await make("bubblewrap", workspace, state, network=True)
    await sandbox.run("true")
    assert len(helpers() - before) == 1
    await sandbox.close()
    assert not helpers() - before


async def test_without_its_helpers_there_is_no_network_and_that_is_said(
    bwrap: str, workspace: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`PATH` is where the product looks for its own programs."""
    for name in ("nsenter", "ip"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setattr(net, "PATH", str(tmp_path))
    said: list[str] = []
    settings = Settings(use_docker="0", sandbox=SandboxSettings(network=True))
    sandbox = await open_sandbox(
        settings, workspace, environ=dict(os.environ), report=said.append, state=state
    )
    done = await sandbox.run("tail -n +3 /proc/net/dev | cut -d: -f1; env")
    status = sandbox.status()
    await sandbox.close()
    assert any("NO NETWORK" in line and "slirp4netns" in line for line in said)
    assert done.output.split("\n")[0].strip() == "lo"
    assert "PIP_RETRIES=0" in done.output
    assert not status.network


async def test_a_network_that_is_none_is_named(joined: str, workspace: Path, state: Path) -> None:
    said: list[str] = []
    settings = Settings(use_docker="0", sandbox=SandboxSettings(network=True, networks=("10.0.0.0/40",)))
    sandbox = await open_sandbox(
        settings, workspace, environ=dict(os.environ), report=said.append, state=state
    )
    done = await sandbox.run("tail -n +3 /proc/net/dev | cut -d: -f1")
    await sandbox.close()
    assert any("sandbox.networks: 10.0.0.0/40 is no IPv4 network." in line for line in said)
    assert done.output.strip() == "lo"
