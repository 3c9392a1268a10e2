"""Where state lives (the platform's state folder, never the workspace), and what a URI means."""

from __future__ import annotations

import os
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
