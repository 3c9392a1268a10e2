"""The exact container: how it is hardened, labelled and found again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from importlib import resources
from pathlib import Path
from typing import Any

from pygent.files import write_chosen
from pygent.sandbox import seccomp
from pygent.sandbox.owner import process_identity
from pygent.sandbox.profile import Profile
from pygent.sandbox.survey import Taken
from pygent.sandbox.tree import descendants

LABEL = "dev.pygent.sandbox"
OWNER = "dev.pygent.owner"
HOME = "/home/agent"
NULL = "1:3"
"""The numbers of /dev/null (devices.txt)."""
WORKDIR = "/workspace"
WAIT = ["/bin/sh", "-c", "while read -r line; do (:); done"]
"""The first process of a container without Python: it ends with its input, and at each line of it waits for
a child, which takes the ended orphans with it."""


def supervisor_source() -> str:
    """The program of the container's first process."""
    files = resources.files("pygent.sandbox")
    tree, supervisor = (files.joinpath(name).read_text("utf-8") for name in ("tree.py", "supervisor.py"))
    return tree + supervisor.replace("from pygent.sandbox.tree import MARK, end\n", "")


def owner_ids(root: Path, rootless: bool) -> tuple[int, int]:
    """User and group of commands: the workspace's owner, whom rootless engines map to 0."""
    status = root.stat()
    return (0, 0) if rootless else (status.st_uid, status.st_gid)


def processes(made: Any) -> list[int]:
    """The container's processes by their numbers on this machine; none if the engine runs on another."""
    pid = made.attrs["State"]["Pid"]
    try:
        ours = made.id in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return []
    return [pid, *descendants(pid)] if ours else []


def _filters() -> str:
    """The seccomp filters for the supervisor, which alone knows the machine that the engine runs on."""
    return json.dumps({machine: seccomp.program(machine).hex() for machine in seccomp.ARCHITECTURES})


def arguments(profile: Profile, taken: Taken, *, rootless: bool, env: dict[str, str]) -> dict[str, Any]:
    """The arguments of `containers.create`.

    No capabilities, no new privileges, read-only root, no network; `Mount` objects because a `:` in a path
    breaks the short form; no log, because the engine would write every byte of output to disk twice.
    """
    from docker.types import LogConfig, Mount, Ulimit  # noqa: PLC0415 - heavy

    limits = profile.limits
    uid, gid = owner_ids(profile.root, rootless)
    passwd = str(_passwd(profile.state, uid, gid))
    return {
        "image": profile.image,
        "command": ["python3", "-I", "-S", "-c", supervisor_source(), _filters()],
        "entrypoint": [],
        "stdin_open": True,
        "tty": False,
        "auto_remove": True,
        "init": False,
        "stop_signal": "SIGKILL",
        "working_dir": WORKDIR,
        "user": f"{uid}:{gid}",
        "hostname": "pygent",
        "mounts": [
            Mount(target, source, type="bind", read_only=fixed)
            for source, target, fixed in (*mounts(profile, taken), (passwd, "/etc/passwd", True))
        ],
        **({} if limits.network else {"network_mode": "none"}),
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {
            "/tmp": "rw,nosuid,nodev,exec,size=1g,mode=1777",
            "/var/tmp": "rw,nosuid,nodev,exec,size=256m,mode=1777",
            "/run": "rw,nosuid,nodev,noexec,size=16m,mode=755",
            HOME: "rw,nosuid,nodev,exec,size=1g,mode=1777",
        },
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "pids_limit": limits.pids,
        "nano_cpus": int(min(limits.cpus, os.cpu_count() or 1) * 1_000_000_000),
        "shm_size": "256m",
        "ulimits": [
            Ulimit(name="nofile", soft=4096, hard=4096),
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=limits.file_size, hard=limits.file_size),
        ],
        "log_config": LogConfig(type="none"),
        "environment": env,
        "labels": {
            LABEL: "1",
            OWNER: process_identity(os.getpid()) or "",
            "dev.pygent.workspace": hashlib.sha256(os.fsencode(profile.root)).hexdigest(),
        },
    }


def mounts(profile: Profile, taken: Taken) -> list[tuple[str, str, bool]]:
    """What is mounted of the person's: source, target, and whether it is read-only."""
    root, (read, write) = profile.root, profile.outside()
    kept = [(name, True) for name in taken.kept] + [(name, False) for name in taken.opened]
    return [
        (str(root), WORKDIR, False),
        *((str(place), str(path), True) for path, place in read.items()),
        *((str(place), str(path), False) for path, place in write.items()),
        *((f"{root}/{name}", f"{WORKDIR}/{name}", fixed) for name, fixed in kept),
        *(("/dev/null", f"{WORKDIR}/{name}", True) for name in taken.hidden),
    ]


def identities(profile: Profile, taken: Taken) -> dict[str, str]:
    """What must be found at the places inside: device and inode, of what hides a secret the device's numbers.

    No place may show a link's: the engine would mount what it names.
    """
    looked = {f"{WORKDIR}/{name}": identity for name, identity in taken.kept.items()}
    wanted = {}
    for source, target, _ in mounts(profile, taken):
        with contextlib.suppress(FileNotFoundError):
            there = os.lstat(source)
            device, inode = looked.get(target, (there.st_dev, there.st_ino))
            wanted[target] = "a link" if stat.S_ISLNK(there.st_mode) else f"{device}:{inode}"
    return wanted | {f"{WORKDIR}/{name}": NULL for name in taken.hidden}


def _passwd(state: Path, uid: int, gid: int) -> Path:
    """A file for `/etc/passwd`, so that the workspace's owner has a name and a home inside."""
    path = state / f"passwd-{uid}-{gid}"
    if not path.exists():
        agent = "" if uid == 0 else f"agent:x:{uid}:{gid}::{HOME}:/bin/sh\n"
        root = HOME if uid == 0 else "/root"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_chosen(path, f"root:x:0:0:root:{root}:/bin/sh\n{agent}".encode(), mode=0o644)
    return path
