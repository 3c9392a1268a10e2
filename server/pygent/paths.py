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
    """The path of a `file:` URI; None for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    if os.name != "nt":
        return Path(unquote(parts.path))
    from urllib.request import url2pathname  # noqa: PLC0415 - brings HTTP and mail along

    return Path(url2pathname(parts.path))
