"""Where state lives (the platform's state folder, never the workspace), and what a URI means."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pygent.errors import PygentError


def state_folder() -> Path:
    """Pygent's own folder for the store, logs and full outputs; made if missing.  Raises as `owned`."""
    import platformdirs  # noqa: PLC0415 - not for `--version`

    return owned(platformdirs.user_state_path("pygent", appauthor=False))


def owned(folder: Path) -> Path:
    """A folder that is ours and closed to everybody else: made, or tightened, if it is not so yet.

    Raises PygentError `conflict` where it is somebody else's or can't be closed: who may write there decides
    what Pygent trusts, and who may read there reads conversations.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            why = f"belongs to another user (number {found.st_uid})"
        elif not stat.S_IMODE(found.st_mode) & 0o077:
            return folder
        else:
            folder.chmod(0o700)
            return folder
    except OSError as error:
        why = f"can't be made or closed to other users: {error.strerror}"
    raise PygentError(
        "conflict",
        f"The state folder {folder} {why}.",
        "Set XDG_STATE_HOME to a folder of your own, or start Pygent as the user whose folder it is.",
    )


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for any other, and where no file can be."""
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path)
        os.fsencode(path)
    except ValueError:  # no URI, or half a character
        return None
    if parts.scheme != "file" or "\0" in path:
        return None
    if os.name != "nt":
        return Path(path)
    from urllib.request import url2pathname  # noqa: PLC0415 - brings HTTP and mail along

    return Path(url2pathname(parts.path))


def name_of(uri: str) -> str:
    """The last part of a URI's path; empty for what is no URI."""
    try:
        return unquote(urlsplit(uri).path).rpartition("/")[2]
    except ValueError:
        return ""
