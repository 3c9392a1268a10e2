"""Settings files that are open in the editor, and the settings as they would be if they were saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.config import Config, config_files, load
from pygent.config.diagnostic import File
from pygent.config.places import Range
from pygent.errors import PygentError
from pygent.lsp.buffers import Buffer
from pygent.lsp.folders import SETTINGS_NAMES
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.folder import Folder
    from pygent.lsp.server import PygentServer


@dataclass(frozen=True, slots=True)
class Document:
    """An open settings file.

    `config` are the settings with the buffers' texts; `folder` is the workspace folder to which it belongs,
    None for a file by itself.
    """

    buffer: Buffer
    path: Path
    file: File
    config: Config
    folder: Folder | None

    def range(self, place: Range) -> dict[str, Any]:
        """A place as a range of the protocol."""
        return self.buffer.range(place.start, place.end)

    def offset(self, params: dict[str, Any]) -> int:
        """The offset that a request asks about."""
        return self.buffer.offset(params["position"])


class Documents:
    """The settings files of a connection."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server

    def claims(self, uri: str) -> bool:
        """Whether a document is a settings file: by its name, or because `--config` names it."""
        path, config = path_of(uri), self._server.host.config_file
        names = (*SETTINGS_NAMES, *(() if config is None else (config.name,)))
        return path is not None and path.name in names

    def get(self, uri: str) -> Document | None:
        """An open settings file."""
        buffer = self._server.buffers.get(uri)
        if buffer is None or buffer.path is None or not self.claims(uri):
            return None
        for folder, config in self.configs():
            path = next((one for one in files(folder) if self._server.buffers.at(one) is buffer), None)
            if path is not None:
                file = File(path, buffer.text, dotenv=path.name == ".env")
                return Document(buffer, path, file, config, folder)
        file = File(buffer.path, buffer.text, dotenv=buffer.path.name == ".env")
        return Document(buffer, buffer.path, file, self._alone(buffer.path, buffer.text), None)

    def all(self) -> list[Document]:
        """Every open settings file."""
        return [one for buffer in self._server.buffers if (one := self.get(buffer.uri)) is not None]

    def configs(self) -> list[tuple[Folder, Config]]:
        """The folders of the workspace, with their settings as they would be with the open buffers saved."""
        try:
            folders = self._server.folders()
        except PygentError:  # the home folder, which can't be a workspace
            return []
        found = []
        for folder in folders:
            opened = {path: self._server.buffers.at(path) for path in files(folder)}
            texts = {path: plain(buffer.text) for path, buffer in opened.items() if buffer is not None}
            found.append((folder, folder.preview(texts) if texts else folder.config))
        return found

    def _alone(self, path: Path, text: str) -> Config:
        """The settings that a file by itself would make."""
        nowhere = path / "none"
        if path.name == ".env":
            return load(path.parent, environ={}, home=nowhere, texts={path: plain(text)}, trusted=True)
        return load(None, environ={}, home=nowhere, config_file=path, texts={path: plain(text)})


def files(folder: Folder) -> list[Path]:
    """The files in which a folder's settings stand."""
    return config_files(folder.root, folder.launch.home, folder.launch.config_file)


def plain(text: str) -> str:
    """A buffer's text as it would be read from its file."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")
