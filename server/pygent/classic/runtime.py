"""The sandbox and workspace of a script: the blocking face of a folder."""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pygent.app import App
from pygent.blocking import LoopThread
from pygent.classic import process
from pygent.folder import Folder
from pygent.session import Session
from pygent.tools import runtime

Value = TypeVar("Value")


class FolderRuntime(runtime.Runtime):
    """Commands and files of a folder that is open on `loop`, and other work done there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Folder) -> None:
        outputs = folder.launch.state / "outputs" / "scripts"
        super().__init__(loop, folder.workspace, folder.sandbox, lambda: folder.settings, outputs)
        self.folder = folder

    @classmethod
    def of_session(cls, loop: asyncio.AbstractEventLoop, session: Session) -> FolderRuntime:
        """The runtime of a session that runs on a loop; to be used from another thread."""
        return FolderRuntime(loop, session.folder)

    def call(self, function: Callable[[], Value]) -> Value:
        """Call a function on the loop's thread."""

        async def called() -> Value:
            return function()

        return self.do(called())

    def configure(self, **flags: object) -> None:
        """Set settings by their `pygent.toml` key, stronger than every file and the environment."""
        self.folder.launch.flags.update(flags)
        self.call(self.folder.reload)

    def cleanup(self) -> None:
        """Nothing: whoever opened the folder closes it."""


class Runtime(FolderRuntime):
    """Runs commands in the sandbox of the settings and keeps the files that they work on.

    `use_docker` True means Docker or SandboxUnavailable, False never Docker, None as `PYGENT_USE_DOCKER`
    says.  The workspace is `workspace`, else `PYGENT_WORKSPACE`, else a temporary folder that `cleanup`
    removes.  `initial_files` are copied in; what is banned is added to the settings' bans.
    Raises PygentError when settings or folder can't be used.
    """

    def __init__(
        self,
        image: str | None = None,
        use_docker: bool | None = None,
        initial_files: Sequence[str | Path] | None = None,
        workspace: str | Path | None = None,
        banned_commands: Sequence[str] | None = None,
        banned_apps: Sequence[str] | None = None,
    ) -> None:
        wanted = workspace or process.environ().get("PYGENT_WORKSPACE")
        self._temporary = None if wanted else tempfile.TemporaryDirectory(prefix="pygent-workspace-")
        root = Path(wanted or (self._temporary.name if self._temporary else ".")).expanduser().resolve()
        root.mkdir(parents=True, exist_ok=True)
        flags: dict[str, Any] = {
            "workspace": str(root),
            "image": image,
            "use_docker": None if use_docker is None else str(int(use_docker)),
            "initial_files": [str(Path(one).expanduser()) for one in initial_files or ()],
        }
        self._thread: LoopThread = process.loop_thread()
        self.app = self._thread.call(_open, {key: value for key, value in flags.items() if value})
        trusted = True if self._temporary else None  # what lies in a folder that was there is not trusted
        super().__init__(
            self._thread.loop, self._thread.call(lambda: self.app.sessions.folder(root, trusted=trusted))
        )
        self._closed = False
        atexit.register(self.cleanup)
        self._ban(banned_commands or (), banned_apps or ())
        if use_docker:
            self.do(self.folder.sandbox())

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def do(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do asynchronous work on the loop, and wait for it; Ctrl-C cancels it."""
        return self._thread.do(work)

    def cleanup(self) -> None:
        """End all that runs; a temporary workspace is removed.  May be called twice."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.cleanup)
            self.do(self.app.close())
            if self._temporary is not None:
                self._temporary.cleanup()

    def _ban(self, commands: Sequence[str], apps: Sequence[str]) -> None:
        settings = self.folder.settings
        if commands or apps:
            self.configure(
                banned_commands=[*settings.banned_commands, *commands],
                banned_apps=[*settings.banned_apps, *apps],
            )


def _open(flags: dict[str, Any]) -> App:
    return App(environ=process.environ(), home=Path.home(), flags=flags, config_file=process.config_file())
