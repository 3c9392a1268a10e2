"""Where state lives (the platform's state folder, never the workspace), and what a URI means."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit


def state_folder() -> Path:
    """Pygent's own folder for the store, logs and full outputs; made if missing, for its owner only."""
    import platformdirs  # noqa: PLC0415 - not for `--version`

    folder = platformdirs.user_state_path("pygent", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


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
