"""The exact container: how it is hardened, labelled and found again."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from pygent.sandbox.bubblewrap import protected

LABEL = "dev.pygent.sandbox"
OWNER = "dev.pygent.owner"
LIMITS = {"memory": "2 GiB", "processes": "512", "cpus": str(min(2, os.cpu_count() or 1))}


def process_identity(pid: int) -> str | None:
    """What names a process on this machine for ever: its id and start time; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()}:{boot}:{pid}:{fields[19].decode()}"
    except (OSError, IndexError):
        return f"{platform.node()}:::" if sys.platform != "linux" else None


def abandoned(owner: str) -> bool:
    """Whether the process that made a container is surely dead: on this machine, and no longer there."""
    host, _, rest = owner.partition(":")
    fields = rest.split(":")
    if host != platform.node() or len(fields) != 3 or not fields[1].isdigit():
        return False
    return process_identity(int(fields[1])) != owner


def supervisor_source() -> str:
    """The program of the container's first process."""
    files = resources.files("pygent.sandbox")
    tree, supervisor = (files.joinpath(name).read_text("utf-8") for name in ("tree.py", "supervisor.py"))
    return tree + supervisor.replace("from pygent.sandbox.tree import MARK, end\n", "")


def owner_ids(root: Path, rootless: bool) -> tuple[int, int]:
    """User and group of commands: the workspace's owner, whom rootless engines map to 0."""
    status = root.stat()
    return (0, 0) if rootless else (status.st_uid, status.st_gid)


def arguments(
    image: str, root: Path, *, rootless: bool, network: bool, env: dict[str, str]
) -> dict[str, Any]:
    """The arguments of `containers.create`.

    No capabilities, no new privileges, read-only root, no network; `Mount` objects because a `:` in a path
    breaks the short form; no log, because the engine would write every byte of output to disk twice.
    """
    from docker.types import LogConfig, Mount, Ulimit  # noqa: PLC0415 - heavy

    uid, gid = owner_ids(root, rootless)
    kept, hidden = protected(root)
    mounts = [Mount("/workspace", str(root), type="bind")]
    mounts += [Mount(f"/workspace/{path.name}", str(path), type="bind", read_only=True) for path in kept]
    mounts += [Mount(f"/workspace/{path.name}", "/dev/null", type="bind", read_only=True) for path in hidden]
    return {
        "image": image,
        "command": ["python3", "-I", "-S", "-c", supervisor_source()],
        "entrypoint": [],
        "stdin_open": True,
        "tty": False,
        "auto_remove": True,
        "init": False,
        "stop_signal": "SIGKILL",
        "working_dir": "/workspace",
        "user": f"{uid}:{gid}",
        "hostname": "pygent",
        "mounts": mounts,
        **({} if network else {"network_mode": "none"}),
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {
            "/tmp": "rw,nosuid,nodev,exec,size=1g,mode=1777",
            "/var/tmp": "rw,nosuid,nodev,exec,size=256m,mode=1777",
            "/run": "rw,nosuid,nodev,noexec,size=16m,mode=755",
        },
        "mem_limit": "2g",
        "memswap_limit": "2g",
        "pids_limit": 512,
        "nano_cpus": min(2, os.cpu_count() or 1) * 1_000_000_000,
        "shm_size": "256m",
        "ulimits": [Ulimit(name="nofile", soft=4096, hard=4096), Ulimit(name="core", soft=0, hard=0)],
        "log_config": LogConfig(type="none"),
        "environment": env,
        "labels": {
            LABEL: "1",
            OWNER: process_identity(os.getpid()) or "",
            "dev.pygent.workspace": hashlib.sha256(os.fsencode(root)).hexdigest(),
        },
    }


def passwd_file(uid: int, gid: int) -> Path:
    """A file for `/etc/passwd`, so that the workspace's owner has a name and a home inside."""
    descriptor, name = tempfile.mkstemp(prefix="pygent-passwd-")
    with os.fdopen(descriptor, "w") as file:
        file.write(
            f"root:x:0:0:root:/tmp:/bin/sh\n{'' if uid == 0 else f'agent:x:{uid}:{gid}::/tmp:/bin/sh'}\n"
        )
    Path(name).chmod(0o644)
    return Path(name)
