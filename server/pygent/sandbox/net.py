"""A network for commands in which only the outside is reachable, and neither this machine nor its neighbours.

A network namespace of its own is joined to the outside by slirp4netns, which needs no privileges; commands
hold no capability over it.  What slirp4netns would let through is closed by rules of the kernel's routing:
this machine's own addresses, private networks, the metadata services of clouds, and all but DNS at slirp's
resolver, behind which each port of this machine's own resolver lies.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import select
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pygent.errors import SandboxUnavailable

PATH = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"
HELPERS = {"slirp4netns": "slirp4netns", "ip": "iproute2", "nsenter": "util-linux"}
"""Programs that are needed, and the Debian packages that they are in."""
RESOLVER, OWN = "10.0.2.3", "10.0.2.0/24"
"""The resolver and the network that slirp4netns makes."""
CLOSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
    "168.63.129.16/32",  # Azure's, at a public address
)
"""What is not the outside (IANA's special-purpose addresses, RFC 6890)."""
START = 10
"""Seconds for slirp4netns to be ready."""
LASTING = ("/bin/sh", "-c", 'trap "" INT HUP PIPE; exec "$0" "$@"')
"""A program that neither a terminal's signals end nor that nobody hears its warnings."""


def missing() -> list[str]:
    """The packages of helpers that are not there."""
    return [package for name, package in HELPERS.items() if shutil.which(name, path=PATH) is None]


class Outside:
    """A network namespace that is joined to the outside, for as long as this lives.

    Raises SandboxUnavailable where it can't be made, and for an address in `networks`, which are private
    networks that are reachable too, that is none.
    """

    def __init__(self, bwrap: str, owner: tuple[int, int] | None, networks: Sequence[str]) -> None:
        who: dict[str, Any] = {"cwd": "/", "env": {"PATH": PATH}}
        if owner is not None:
            who |= {"user": owner[0], "group": owner[1], "extra_groups": []}
        self._slirp: subprocess.Popen[bytes] | None = None
        self.handles: tuple[int, ...] = ()
        self._open, self._shut = os.pipe()  # slirp4netns ends with us, when the writing end closes
        try:
            rules = _rules(networks)
            self.handles = _namespaces(bwrap, who)
            self._slirp = self._start(who)
            self._close_ways(rules, who)
        except SandboxUnavailable:
            self.close()
            raise
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            self.close()
            raise SandboxUnavailable(f"The network of commands can't be made: {_said(error)}.") from error

    def join(self, argv: Sequence[str]) -> list[str]:
        """The command that joins the network and then becomes `argv`; it needs our `handles`."""
        user, net = self.handles
        joining = [f"--user=/proc/self/fd/{user}", f"--net=/proc/self/fd/{net}", "--preserve-credentials"]
        return [str(shutil.which("nsenter", path=PATH)), *joining, "--", *argv]

    def close(self) -> None:
        """End it; may be called twice."""
        for descriptor in (*self.handles, self._open, self._shut):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.handles, self._open, self._shut = (), -1, -1
        if self._slirp is not None:
            self._slirp.kill()
            self._slirp.wait()

    def _close_ways(self, rules: bytes, who: dict[str, Any]) -> None:
        told: dict[str, Any] = {"input": rules, "capture_output": True, "pass_fds": self.handles}
        subprocess.run(self.join(["ip", "-batch", "-"]), check=True, timeout=START, **told, **who)

    def _start(self, who: dict[str, Any]) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        user, net = self.handles
        argv = [*LASTING, "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback"]
        argv += ["--enable-sandbox", f"--exit-fd={self._open}", f"--ready-fd={writing}"]
        argv += [f"--userns-path=/proc/self/fd/{user}", "--netns-type=path", f"/proc/self/fd/{net}", "tap0"]
        try:
            slirp = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(self._open, writing, user, net),
                **who,
            )
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            if select.select([ready], [], [], START)[0] and ready.read(1):
                if slirp.stderr is not None:
                    slirp.stderr.close()
                return slirp
        slirp.kill()
        _, said = slirp.communicate()
        raise OSError(said.decode("utf-8", "replace").partition("\n")[0] or "slirp4netns does not answer")


def _namespaces(bwrap: str, who: dict[str, Any]) -> tuple[int, ...]:
    """Handles of a new user namespace and of a network namespace that belongs to it.

    They live by their handles: the process that they were made with ends.
    """
    reading, writing = os.pipe()
    argv = [bwrap, "--unshare-user", "--unshare-net", "--uid", "0", "--gid", "0", "--ro-bind", "/", "/"]
    argv += ["--info-fd", str(writing), "--", "/bin/sh", "-c", "echo; read line"]
    try:
        holder = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            **who,
        )
    finally:
        os.close(writing)
    with holder, os.fdopen(reading, "rb") as info:
        if holder.stdout is None or not holder.stdout.read(1):
            raise OSError("bubblewrap makes no network namespace")
        pid = json.loads(info.read1())["child-pid"]
        return tuple(
            os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "net")
        )


def _rules(networks: Sequence[str]) -> bytes:
    """Routing rules for `ip -batch`, the first that fits decides.  Raises SandboxUnavailable."""
    rules = [(100, f"{RESOLVER} ipproto {protocol} dport 53", "lookup main") for protocol in ("udp", "tcp")]
    rules += [(110, place, "prohibit") for place in (OWN, *_addresses())]
    for place in networks:
        try:
            rules.append((120, str(ipaddress.IPv4Network(place, strict=False)), "lookup main"))
        except ValueError as error:
            fix = "Write it like 10.1.0.0/16 or 10.1.2.3."
            raise SandboxUnavailable(f"sandbox.networks: {place} is no IPv4 network.", fix) from error
    rules += [(130, place, "prohibit") for place in CLOSED]
    return "".join(f"rule add pref {order} to {place} {way}\n" for order, place, way in rules).encode()


def _addresses() -> list[str]:
    """This machine's own addresses, which lead to its services even if they are public."""
    argv = [str(shutil.which("ip", path=PATH)), "-json", "-4", "address"]
    found = subprocess.run(argv, capture_output=True, check=True, cwd="/", env={"PATH": PATH}, timeout=START)
    return [one["local"] for link in json.loads(found.stdout) for one in link.get("addr_info", [])]


def resolver(folder: Path) -> None:
    """Have programs ask slirp4netns for names, in an `/etc` of their own."""
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")


def _said(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr or b"").decode("utf-8", "replace").partition("\n")[0] or str(error)
    return str(error)
