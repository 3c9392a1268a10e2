"""Where state lives: the platform's state folder, never the workspace."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Pygent's own folder for the store, logs and full outputs; made if missing, for its owner only."""
    folder = platformdirs.user_state_path("pygent", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
