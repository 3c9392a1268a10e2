"""Programs and modules for the server itself: this machine's, and none of a folder that commands can write.

An editor that was started from an activated `.venv` has that folder's `bin` first on its PATH, and a command
of the sandbox can put a `git` there.  Commands keep the person's PATH; the server does not.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

_avoided: set[Path] = set()
_ours: list[bool] = []


def within(path: str | Path, roots: Iterable[Path]) -> bool:
    """Whether a path, as it is written or as it really is, is one of these folders or lies in one."""
    names = {os.path.abspath(path), os.path.realpath(path)}  # noqa: PTH100 - Path.resolve is one of the two
    ends = {str(root) for root in roots} | {os.path.realpath(root) for root in roots}
    return any(name == end or name.startswith(end.rstrip("/") + "/") for name in names for end in ends)


def avoid(*folders: Path) -> None:
    """Take no program from below these folders from now on: commands can write there."""
    _avoided.update(folders)
    if _ours:
        _shield(folders)


def own_process() -> None:
    """Say that this process is the server or the command line, and not a program that uses our API.

    No module that is imported from now on comes from the working directory or a folder to avoid, but our
    own code; what libraries start is not looked for there either.
    """
    _ours.append(True)
    here = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
    _shield(_avoided)


def safe_path(path: str | None = None) -> str:
    """A PATH, by default this process's, without what is relative or lies in folders to avoid."""
    entries = (os.environ.get("PATH", os.defpath) if path is None else path).split(":")  # noqa: TID251
    return ":".join(entry for entry in entries if Path(entry).is_absolute() and not within(entry, _avoided))


def find(name: str, path: str | None = None) -> str | None:
    """The absolute path of a program that lies in no folder to avoid, also not by way of a link."""
    for entry in safe_path(path).split(":"):
        found = shutil.which(name, path=entry) if entry else None
        if found is not None and not within(found, _avoided):
            return found
    return None


def import_path() -> list[str]:
    """The import path for another Python of ours: absolute, and without folders to avoid but our own."""
    own = [place for folder in _avoided for place in own_files(folder)]
    package = str(Path(__file__).parent.parent)
    entries = [entry for entry in sys.path if Path(entry).is_absolute()]
    return [
        entry
        for entry in dict.fromkeys([*entries, package])
        if entry == package or within(entry, own) or not within(entry, _avoided)
    ]


def own_files(root: Path) -> list[Path]:
    """Folders below `root` from which this server's code is loaded, without those that lie in another."""
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent, Path(sys.executable).parent}
    if (found := find_spec("msgspec")) is not None and found.origin is not None:
        places.add(Path(found.origin).parent.parent)  # where the packages lie that we need
    inside = [place for place in sorted(places) if root in place.parents]
    return [place for place in inside if not set(inside) & set(place.parents)]


def _shield(folders: Iterable[Path]) -> None:
    folders = list(folders)
    own = [place for folder in folders for place in own_files(folder)]
    sys.path[:] = [entry for entry in sys.path if within(entry, own) or not within(entry, folders)]
    os.environ["PATH"] = safe_path()  # noqa: TID251 - our own
