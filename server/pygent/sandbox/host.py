"""What of this machine commands see in a sandbox without an image: its tools, and an `/etc` of our own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from pygent.sandbox.disk import Disk, remove
from pygent.sandbox.profile import Profile

ETC = (
    "ca-certificates.conf",
    "debian_version",
    "ld.so.cache",
    "ld.so.conf",
    "localtime",
    "mime.types",
    "os-release",
    "protocols",
    "services",
    "ssl/openssl.cnf",
)
"""Files of `/etc` that commands see, as copies: nothing that names people, hosts or keys."""

ETC_FOLDERS = ("alternatives", "ld.so.conf.d", "ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted")
"""Folders of `/etc` that commands see, as they are; `ssl/private` and the like are not among them."""

TOOLCHAINS = (
    ".pyenv",
    ".nvm/versions",
    ".cargo/bin",
    ".rustup/toolchains",
    ".local/bin",
    ".local/lib",
    ".local/share/uv/python",
    ".local/share/uv/tools",
    ".local/share/pipx/py",
    ".local/share/pipx/shared",
    ".local/share/pipx/venvs",
    ".volta/bin",
    ".volta/tools",
    ".asdf",
)
"""Tools in the home folder that commands may use, read-only and without `credentials`; the rest of it is not
there."""

AGENT = {"HOME": "/home/agent", "USER": "agent", "LOGNAME": "agent", "TMPDIR": "/tmp"}
"""Who commands are told that they are."""

PREFIX = "pygent-sandbox-"


_cleared: list[bool] = []
"""Whether this process has removed what the dead left: one look is enough for all its sandboxes."""


def tools(profile: Profile) -> list[Path]:
    """Folders with programs outside `/usr`, without those that lie in another or around the workspace."""
    home = Path(profile.environ.get("HOME", "/nonexistent"))
    wanted = [Path("/opt"), Path("/nix/store"), *(home / name for name in TOOLCHAINS)]
    wanted += [Path(sys.base_prefix), Path(sys.prefix)]
    found: list[Path] = []
    for path in wanted:
        known = any(other == path or other in path.parents for other in [Path("/usr"), profile.root, *found])
        if path.is_dir() and not known and path not in profile.root.parents:
            found.append(path)
    return found


class Private:
    """Folders of one sandbox: `tmp`, `home`, one that stays empty, and an `etc` with places for mounts."""

    def __init__(self, *, network: bool, owner: tuple[int, int] | None) -> None:
        if not _cleared:
            _cleared.append(True)
            _remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.etc_folders = [name for name in ETC_FOLDERS if Path("/etc", name).is_dir()]
        etc = self.path / "etc"
        for path in (
            *(self.path / name for name in ("tmp", "home", "empty")),
            *(etc / name for name in self.etc_folders),
        ):
            path.mkdir(parents=True, exist_ok=True)
        for name in (*ETC, *(["resolv.conf"] if network else [])):
            source, copy = Path("/etc", name), etc / name
            with contextlib.suppress(OSError):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)
        (etc / "passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/bash\n"
        )
        (etc / "group").write_text("root:x:0:\nagent:x:1000:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost pygent\n::1 localhost\n")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        if owner is not None:
            for path in [self.path, *self.path.rglob("*")]:
                os.chown(path, *owner, follow_symlinks=False)

    async def remove(self) -> None:
        """Remove them."""
        await asyncio.to_thread(remove, self.path)


def disk_of(profile: Profile, private: Private | None = None) -> Disk:
    """The disks that commands write to: with private folders, if there are any."""
    kept = () if private is None else (private.path / "tmp", private.path / "home")
    return Disk(profile.limits.disk, kept=kept, shared=(profile.root, *profile.outside()[1]))


def _remove_abandoned() -> None:
    """Remove the private folders of processes that were killed before they could.

    Another process may be doing the same, so a folder can vanish at any moment.
    """
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = place.name.removeprefix(PREFIX).partition("-")[0]
        if not pid.isdigit() or Path("/proc", pid).exists():
            continue
        with contextlib.suppress(FileNotFoundError):
            if place.stat().st_uid == os.geteuid():
                remove(place)
