"""The client's workspace folders: each has its own settings, sandbox and trust."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp.base import Declined
from pygent.paths import path_of

if TYPE_CHECKING:
    import tempfile

    from pygent.folder import Folder
    from pygent.lsp.server import PygentServer

log = logging.getLogger("pygent.lsp")
SETTINGS_NAMES = ("pygent.toml", ".pygent.toml", ".env")
CLIENTS = ("server", "interpreter", "trace")
"""Entries of the editor's `pygent` section that are for its own part."""
PATIENCE = 10.0
"""Seconds for a client to tell its settings."""


class Folders:
    """The folders of one connection, opened when they are first used."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._roots: dict[str, Path] = {}
        self._pulled: dict[Path, dict[str, Any]] = {}
        self._opened: set[Path] = set()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, params: dict[str, Any]) -> None:
        """Take in the folders of `initialize`."""
        given = params.get("workspaceFolders") or []
        if not given and isinstance(uri := params.get("rootUri"), str):
            given = [{"uri": uri}]
        elif not given and isinstance(path := params.get("rootPath"), str):
            given = [{"uri": Path(path).as_uri()}] if Path(path).is_absolute() else []
        self._add(given)

    def changed(self, params: dict[str, Any]) -> None:
        """`workspace/didChangeWorkspaceFolders`."""
        for one in params["event"].get("removed") or []:
            path = path_of(one["uri"])
            self._roots = {uri: root for uri, root in self._roots.items() if root != path}
        self._add(params["event"].get("added") or [])

    def _add(self, given: list[Any]) -> None:
        for one in given:
            path = path_of(one["uri"])
            if path is not None:
                self._roots[one["uri"]] = path

    def uris(self) -> list[str]:
        """The URIs of the client's folders, as it writes them."""
        return list(self._roots)

    def get(self, uri: str | None = None) -> Folder:
        """The folder of a URI, else the first that is there, else a temporary one.

        Its settings are read again when a file of them has changed.  Raises PygentError.
        """
        path = self._path(uri)
        sessions = self._server.app.sessions
        if path not in self._opened:
            folder = sessions.folder(path, editor=self._settings(path), trusted=self._trusted(path))
            self._opened.add(path)
        else:
            folder = sessions.folder(path)
        self._server.trusting.looked(folder, folder.refresh())
        return folder

    def opened(self) -> list[Folder]:
        """The folders that are open, as they were looked at last."""
        return [self._server.app.sessions.folder(path) for path in self._opened]

    def trusts(self, root: Path) -> bool:
        """Whether the editor says that the person trusts a folder."""
        return bool(self._trusted(root))

    def all(self) -> list[Folder]:
        """Every folder of the client that is there, else the one that `get` gives."""
        there = [uri for uri, path in self._roots.items() if _is_there(path)]
        return [self.get(uri) for uri in there] or [self.get()]

    def reload(self) -> None:
        """Read the settings of every folder again."""
        for folder in self.all():
            folder.reload()

    async def pull(self) -> None:
        """Ask the client for its settings of each folder, where it tells them."""
        items: list[dict[str, str]] = [{"section": "pygent", "scopeUri": uri} for uri in self._roots]
        try:
            answer = await self._server.protocol.ask(
                "workspace/configuration", {"items": items or [{"section": "pygent"}]}, PATIENCE
            )
        except Declined:
            return
        if not isinstance(answer, list):
            return
        paths = list(self._roots.values()) or [self._path(None)]
        self._pulled = {
            path: settings
            for path, settings in zip(paths, answer, strict=False)
            if isinstance(settings, dict)
        }
        self.configure()

    def configure(self) -> None:
        """Put the editor's settings, as they are known now, into every open folder."""
        for folder in self.all():
            folder.update(editor=self._settings(folder.root))

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def _settings(self, path: Path) -> Mapping[str, object]:
        """The editor's layer for a folder: what it said at the start, under what it tells of this folder."""
        return {**self._server.options.config, **editor_settings(self._pulled.get(path, {}))}

    def _path(self, uri: str | None) -> Path:
        if uri is not None:
            path = path_of(uri)
            if path is None or not _is_there(path):
                raise PygentError("notFound", f"There is no folder {uri}.", "Give the file: URI of a folder.")
            return path
        there = next((path for path in self._roots.values() if _is_there(path)), None)
        if there is not None:
            return there
        if self._scratch is None:
            import tempfile  # noqa: PLC0415 - rarely needed

            self._scratch = tempfile.TemporaryDirectory(prefix="pygent-workspace-")
        return Path(self._scratch.name)

    def _trusted(self, path: Path) -> bool | None:
        """The editor's word for a folder; None where it says nothing."""
        said = self._server.options.trusted
        if isinstance(said, bool):
            return True if said else None
        real = os.path.realpath(path)
        return True if any((one := path_of(uri)) and os.path.realpath(one) == real for uri in said) else None


def _is_there(path: Path) -> bool:
    """Whether a folder can be found; one whose name is too long, or that is hidden from us, can't."""
    try:
        return path.is_dir()
    except OSError:
        return False


def editor_settings(section: dict[str, Any]) -> dict[str, Any]:
    """Our settings out of the editor's `pygent` section: those below `config`, else all but its own.

    What is empty is not set.
    """
    if isinstance(inner := section.get("config"), dict):
        section = inner
    return {key: value for key, value in section.items() if key not in CLIENTS and value not in (None, "")}
