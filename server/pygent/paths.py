"""Where state lives, and how a file is replaced: the platform's state folder, never the workspace."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import platformdirs


def state_folder() -> Path:
    """Pygent's own folder for the store, logs and full outputs; made if missing, for its owner only."""
    folder = platformdirs.user_state_path("pygent", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    return Path(url2pathname(parts.path) if os.name == "nt" else unquote(parts.path))


def write_atomic(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file so that a crash at any instant leaves the old contents or the new ones.

    An existing file keeps its permissions unless `mode` says otherwise; a new one gets the usual ones.
    Raises OSError.
    """
    if mode is None:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
