"""One connection: its options, folders and documents, over the App that all connections share."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types

from pygent import __version__
from pygent.errors import PygentError
from pygent.events import event_types
from pygent.lsp import actions, views
from pygent.lsp.base import BaseServer, Declined
from pygent.lsp.buffers import Buffers
from pygent.lsp.commands import COMMANDS, execute, running_command
from pygent.lsp.conversations import features as conversations
from pygent.lsp.conversations.open import Conversations
from pygent.lsp.documents import OpenDocuments, SharedDocuments
from pygent.lsp.features import Features
from pygent.lsp.folders import SETTINGS_NAMES, Folders, editor_settings
from pygent.lsp.front import LspFront
from pygent.lsp.names import Names
from pygent.lsp.options import Client, Options, client_of, options_of
from pygent.lsp.problems import Problems
from pygent.lsp.progress import Progress
from pygent.lsp.settings import features as settings
from pygent.lsp.settings.features import Settings
from pygent.lsp.trace import TRACES
from pygent.lsp.trusting import Trusting
from pygent.lsp.views import Views
from pygent.paths import path_of

if TYPE_CHECKING:
    from pathlib import Path

    from pygent.app import App
    from pygent.folder import Folder
    from pygent.session import Session
    from pygent.tools.toolbox import Toolbox

log = logging.getLogger("pygent.lsp")

FEATURES: tuple[ModuleType, ...] = (conversations, settings, actions, views)
"""The modules that `register(server)` language features (see `pygent.lsp.features`), imported above."""


class Host:
    """The App of a server process, made when it is first needed, and its connections, which share it.

    `config_file` is the settings file that the command line names.
    """

    def __init__(self, make: Callable[[], App], config_file: Path | None = None) -> None:
        self._make = make
        self.config_file = config_file
        self._app: App | None = None
        self.connections: list[PygentServer] = []
        self.documents = SharedDocuments(self.connections)

    @property
    def app(self) -> App:
        """The App."""
        if self._app is None:
            self._app = self._make()
            self._app.sessions.documents = self.documents
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
        from pygent.lsp import chat, completion, inspect, tasks  # noqa: F401, PLC0415 - they register their commands

        self.host = host
        self.options = Options()
        self.client = Client()
        self.trace = "off"
        self.on_greeting: Callable[[int | None], None] = lambda pid: None
        self.works = Progress(self)
        self.front = LspFront(self)
        self.buffers = Buffers(self.encoding)
        self.documents = OpenDocuments(self)
        self.features = Features(self)
        self.roots = Folders(self)
        self.conversations = Conversations(self)
        self.trusting = Trusting(self)
        self.problems = Problems()
        self.names = Names()
        self.views = Views(self)
        self.settings = Settings(self)
        self.last_session: str | None = None
        self.asked: str | None = None
        self.persona: str | None = None
        self.model: str | None = None
        self._attached = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._announce()
        self._register()
        for module in FEATURES:
            module.register(self)
        host.connections.append(self)

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

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something besides; what goes wrong with it is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work besides failed", exc_info=error)

    def disconnect(self) -> None:
        """Forget the client."""
        self.host.connections.remove(self)
        self.protocol.close()
        for task in self._tasks:
            task.cancel()
        if self._attached:
            self.host.app.detach(self.front)
        self.roots.close()
        self.views.close()
        self.settings.close()

    # -- folders and sessions --------------------------------------------------------------------

    def folder(self, uri: str | None = None) -> Folder:
        """The folder of a URI, else the first of the workspace, else a temporary one.

        Raises PygentError.
        """
        return self.roots.get(uri)

    def folders(self) -> list[Folder]:
        """Every folder of the client's workspace."""
        return self.roots.all()

    def session(self, session_id: str | None) -> Session | None:
        """A session by its id; None without an id.  Raises PygentError."""
        return None if session_id is None else self.app.sessions.get(session_id)

    # -- life ------------------------------------------------------------------------------------

    def _announce(self) -> None:
        features = self.features
        features.announce("experimental", {"pygent": {"protocol": 1, "events": event_types()}})
        features.announce("executeCommandProvider", {"commands": list(COMMANDS), "workDoneProgress": True})
        features.announce(
            "textDocumentSync", {"openClose": True, "change": 2, "save": {"includeText": False}}
        )
        folders = {"supported": True, "changeNotifications": True}
        features.announce("workspace", {"workspaceFolders": folders})
        watchers = [{"globPattern": f"**/{name}"} for name in SETTINGS_NAMES]
        features.register("workspace/didChangeWatchedFiles", {"watchers": watchers})
        features.register("workspace/didChangeConfiguration", {})

    def _register(self) -> None:
        self.protocol.custom["workspace/executeCommand"] = lambda params: execute(self, params)
        self.protocol.capabilities = lambda: self.features.capabilities
        self.protocol.taken.update(
            {
                "initialized": self._on_initialized,
                "textDocument/didOpen": self._on_open,
                "textDocument/didChange": self._on_change,
                "textDocument/didClose": self.buffers.closed,
                "textDocument/didSave": self._on_save,
                "workspace/didChangeConfiguration": self._on_configuration,
                "workspace/didChangeWatchedFiles": self._on_files,
                "workspace/didChangeWorkspaceFolders": self._on_folders,
                "window/workDoneProgress/cancel": self.works.cancelled,
                "$/setTrace": self._on_trace,
            }
        )
        # pygls marks the functions that it is given, which methods do not bear.
        self.protocol.fm.features[types.INITIALIZE] = self._on_initialize

    def encoding(self) -> str:
        """The negotiated position encoding: utf-8, utf-16 or utf-32."""
        chosen = self.workspace.position_encoding
        return str(getattr(chosen, "value", chosen))

    def _on_initialize(self, params: types.InitializeParams) -> None:
        raw, loop = self.protocol.raw_params, asyncio.get_running_loop()
        self.protocol.outbox.caught_up = functools.partial(soon, loop, self.front.caught_up)
        self.options, problem = options_of(raw)
        self.client = client_of(raw)
        self.roots.begin(raw)
        self._on_trace({"value": raw.get("trace")})
        self.features.settle()
        self.on_greeting(params.process_id)
        if problem:
            log.warning("%s", problem)

    def _on_initialized(self, _: Any) -> None:
        asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """After the handshake: load, tell about the settings, go on with tasks, watch files."""
        try:
            self.host.preload()
            self.publish()
            self.trusting.consider()
            self.app.stay([folder.uri for folder in self.folders()])
        except PygentError as error:
            self.protocol.tell("window/showMessage", {"type": 1, "message": error.message})
        self.later(self._greet())

    async def _greet(self) -> None:
        """What we ask of the client itself: to watch files, and for its settings."""
        if registrations := self.features.registrations():
            try:
                await self.protocol.ask("client/registerCapability", {"registrations": registrations}, 30)
            except Declined:
                log.info("the client registers no capabilities")
        if self.client.configuration:
            await self.roots.pull()
            self.publish()

    def _on_trace(self, params: dict[str, Any]) -> None:
        self.trace = value if (value := params.get("value")) in TRACES else "off"

    def _on_configuration(self, params: dict[str, Any]) -> None:
        given = params.get("settings")
        ours = given.get("pygent") if isinstance(given, dict) else None
        if isinstance(ours, dict):
            self.options = msgspec.structs.replace(self.options, config=editor_settings(ours))
            self.roots.configure()
        elif self.client.configuration:
            self.later(self.roots.pull())
        self.reload()

    def _on_files(self, params: dict[str, Any]) -> None:
        if any(_is_settings(one.get("uri", "")) for one in params.get("changes") or []):
            self.reload()

    def _on_open(self, params: dict[str, Any]) -> None:
        self.buffers.opened(params)
        self.trusting.opened(params)

    def _on_change(self, params: dict[str, Any]) -> None:
        self.buffers.changed(params)
        self.trusting.changed(params)

    def _on_save(self, params: dict[str, Any]) -> None:
        self.trusting.saved(params)
        if _is_settings(params["textDocument"]["uri"]):
            self.reload()

    def _on_folders(self, params: dict[str, Any]) -> None:
        self.roots.changed(params)
        self.publish()
        if self.client.configuration:
            self.later(self.roots.pull())

    def say(self, text: str) -> None:
        """Tell of a wait or a choice of the sandbox."""
        self.protocol.tell("window/logMessage", {"type": 3, "message": text}, "passing")
        if (command := running_command.get()) is not None:
            command.says(text)

    # -- settings --------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the settings of every folder again and publish what is wrong with them."""
        self.roots.reload()
        self.publish()

    def publish(self) -> None:
        """Publish the problems of the settings files as diagnostics, and take back the old ones."""
        self.settings.publisher.publish()
        self.views.settings_changed()


def soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call something on the loop, from any thread, if it still runs."""
    with contextlib.suppress(RuntimeError):  # the loop ended first
        loop.call_soon_threadsafe(call)


def _is_settings(uri: str) -> bool:
    path = path_of(uri)
    return path is not None and path.name in SETTINGS_NAMES
