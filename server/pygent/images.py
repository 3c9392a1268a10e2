"""Images of conversations: kept once by their content, sent to the model as data addresses."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from pygent import files


class Images:
    """The images of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, data: bytes, kind: str) -> str:
        """Keep an image of a format such as `png`; returns its name."""
        name = f"{hashlib.sha256(data).hexdigest()}.{kind}"
        files.private_folder(self._folder)
        if not (self._folder / name).exists():
            files.write_chosen(self._folder / name, data, 0o600)
        return name

    def url(self, name: str) -> str | None:
        """The image as a data address (RFC 2397); None if it is gone."""
        path = self._folder / Path(name).name
        if not path.is_file():
            return None
        return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
