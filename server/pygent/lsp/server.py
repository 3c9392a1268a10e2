"""One connection: its options, folders and documents, over the App that all connections share."""

from __future__ import annotations

import asyncio
import functools
import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from pygent import __version__
from pygent.errors import PygentError
from pygent.events import event_types
from pygent.lsp.base import BaseServer
from pygent.lsp.buffers import Buffers
from pygent.lsp.commands import COMMANDS, execute
from pygent.lsp.conversations import features as conversations
from pygent.lsp.conversations.open import Conversations
from pygent.lsp.documents import OpenDocuments
from pygent.lsp.features import Features
from pygent.lsp.front import LspFront
from pygent.lsp.options import Client, Options, client_of, options_of
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.app import App
    from pygent.folder import Folder
    from pygent.session import Session
    from pygent.tools.toolbox import Toolbox

log = logging.getLogger("pygent.lsp")
SETTINGS_FILES = ("**/pygent.toml", "**/.env", "**/.pygent.toml")

FEATURES: tuple[ModuleType, ...] = (conversations,)
"""The modules that `register(server)` language features (see `pygent.lsp.features`), imported above."""


class Host:
    """The App of a server process, made when it is first needed and shared by its connections."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._app: App | None = None
        self.loading: asyncio.Future[None] | None = None

    @property
    def app(self) -> App:
        """The App."""
        if self._app is None:
            self._app = self._make()
        return self._app

    def preload(self) -> None:
        """Import what the first turn needs, in a thread, once the client has its answer."""
        app = self.app
        threading.Thread(target=app.preload, name="preload", daemon=True).start()

    async def close(self) -> None:
        """End everything, as far as it was begun."""
        if self._app is not None:
            await self._app.close()


class PygentServer(BaseServer):
    """The server of one connection."""

    def __init__(self, host: Host) -> None:
        super().__init__("pygent-server", __version__)
        from pygent.lsp import chat, inspect, tasks  # noqa: F401, PLC0415 - they register their commands

        self.host = host
        self.options = Options()
        self.client = Client()
        self.front = LspFront(self)
        self.buffers = Buffers(self.encoding)
        self.documents = OpenDocuments(self)
        self.features = Features(self)
        self.conversations = Conversations(self)
        self.command_token: str | int | None = None
        self.last_session: str | None = None
        self.asked: str | None = None
        self.persona: str | None = None
        self._attached = False
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._published: set[str] = set()
        self.protocol.custom["workspace/executeCommand"] = self._execute
        for name in COMMANDS:
            self.protocol.fm.commands[name] = _registered
        watchers = [{"globPattern": pattern} for pattern in SETTINGS_FILES]
        self.features.register("workspace/didChangeWatchedFiles", {"watchers": watchers})
        self.features.announce("experimental", {"pygent": {"protocol": 1, "events": event_types()}})
        self._register()
        for module in FEATURES:
            module.register(self)

    async def _execute(self, params: Any) -> Any:
        return await execute(self, params)

    @property
    def app(self) -> App:
        """The App, with this connection attached to it."""
        app = self.host.app
        if not self._attached:
            self._attached = True
            app.attach(self.front)
        return app

    @functools.cached_property
    def toolbox(self) -> Toolbox:
        """The tools of sessions to come."""
        from pygent.tools.toolbox import Toolbox  # noqa: PLC0415 - not before it is needed

        return Toolbox(delegates=True)

    def disconnect(self) -> None:
        """Forget the client."""
        if self._attached:
            self.host.app.detach(self.front)
        if self._scratch is not None:
            self._scratch.cleanup()

    # -- folders and sessions --------------------------------------------------------------------

    def folder(self, uri: str | None = None) -> Folder:
        """The folder of a URI, else the first of the workspace, else a temporary one.

        Raises PygentError.
        """
        path = self._path(uri)
        folder = self.app.sessions.folder(path, editor=self.options.config, trusted=self._trusted(path))
        folder.workspace.documents = self.documents
        return folder

    def folders(self) -> list[Folder]:
        """Every folder of the client's workspace."""
        return [self.folder(uri) for uri in self.workspace.folders] or [self.folder()]

    def session(self, session_id: str | None) -> Session | None:
        """A session by its id, with the editor's buffers; None without an id.  Raises PygentError."""
        if session_id is None:
            return None
        session = self.app.sessions.get(session_id)
        session.folder.workspace.documents = self.documents
        return session

    def _path(self, uri: str | None) -> Path:
        if uri is not None:
            path = path_of(uri)
            if path is None or not path.is_dir():
                raise PygentError("notFound", f"There is no folder {uri}.", "Give the file: URI of a folder.")
            return path
        known = [*self.workspace.folders, *([self.workspace.root_uri] if self.workspace.root_uri else [])]
        path = next((path for one in known if (path := path_of(one)) is not None and path.is_dir()), None)
        if path is not None:
            return path
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="pygent-workspace-")
        return Path(self._scratch.name)

    def _trusted(self, path: Path) -> bool | None:
        """The editor's word for a folder; None where it says nothing."""
        said = self.options.trusted
        if isinstance(said, bool):
            return True if said else None
        real = path.resolve()
        return True if any((one := path_of(uri)) and one.resolve() == real for uri in said) else None

    # -- life ------------------------------------------------------------------------------------

    def _register(self) -> None:
        self.protocol.taken.update(
            {
                "textDocument/didOpen": self.buffers.opened,
                "textDocument/didChange": self.buffers.changed,
                "textDocument/didClose": self.buffers.closed,
            }
        )
        self.protocol.capabilities = lambda: self.features.capabilities
        # pygls marks the functions that it is given, which methods do not bear.
        self.protocol.fm.features.update(
            {
                types.INITIALIZE: self._on_initialize,
                types.INITIALIZED: self._on_initialized,
                types.WORKSPACE_DID_CHANGE_CONFIGURATION: self._on_configuration,
                types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self._on_files,
                types.TEXT_DOCUMENT_DID_SAVE: self._on_save,
                types.WINDOW_WORK_DONE_PROGRESS_CANCEL: self._on_progress_cancel,
            }
        )

    def encoding(self) -> str:
        """The negotiated position encoding: utf-8, utf-16 or utf-32."""
        chosen = self.workspace.position_encoding
        return str(getattr(chosen, "value", chosen))

    def _on_initialize(self, params: types.InitializeParams) -> None:
        raw = self.protocol.raw_params
        self.options, problem = options_of(raw)
        self.client = client_of(raw)
        self.features.settle()
        if problem:
            log.warning("%s", problem)

    def _on_initialized(self, _: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(self._settle)

    def _settle(self) -> None:
        """After the handshake: load, tell about the settings, go on with tasks, watch files."""
        self.host.preload()
        try:
            self.publish()
            self.app.stay([folder.uri for folder in self.folders()])
        except PygentError as error:
            self.protocol.tell("window/showMessage", {"type": 1, "message": error.message})
        if registrations := self.features.registrations():
            task = asyncio.ensure_future(
                self.protocol.ask("client/registerCapability", {"registrations": registrations}, 30)
            )
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _on_configuration(self, params: types.DidChangeConfigurationParams) -> None:
        given = params.settings
        ours = given.get("pygent") if isinstance(given, dict) else getattr(given, "pygent", None)
        if isinstance(ours, dict):
            self.options = Options(
                **{
                    **{name: getattr(self.options, name) for name in Options.__struct_fields__},
                    "config": ours,
                }
            )
        self.reload()

    def _on_files(self, _: types.DidChangeWatchedFilesParams) -> None:
        self.reload()

    def _on_save(self, params: types.DidSaveTextDocumentParams) -> None:
        path = path_of(params.text_document.uri)
        if path is not None and path.name in ("pygent.toml", ".pygent.toml", ".env"):
            self.reload()

    def _on_progress_cancel(self, params: types.WorkDoneProgressCancelParams) -> None:
        turn = self.front.turn_of(params.token)
        for session in self.app.sessions.running():
            if session.turn_id == turn:
                task = asyncio.ensure_future(session.cancel())
                task.add_done_callback(lambda _: None)

    def say(self, text: str) -> None:
        """Tell of a wait or a choice of the sandbox."""
        self.protocol.tell("window/logMessage", {"type": 3, "message": text})

    # -- settings --------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the settings of every folder again and publish what is wrong with them."""
        for folder in self.folders():
            folder.reload()
        self.publish()

    def publish(self) -> None:
        """Publish the problems of the settings files as diagnostics, and take back the old ones."""
        from pygent.lsp.diagnostics import by_file  # noqa: PLC0415

        found = by_file([folder.config for folder in self.folders()], self.encoding())
        for uri in self._published - set(found):
            self.protocol.tell("textDocument/publishDiagnostics", {"uri": uri, "diagnostics": []})
        for uri, diagnostics in found.items():
            self.protocol.tell("textDocument/publishDiagnostics", {"uri": uri, "diagnostics": diagnostics})
        self._published = set(found)


def _registered() -> None:
    """Stands in pygls' own registry, so that the command is announced; ours runs it."""
