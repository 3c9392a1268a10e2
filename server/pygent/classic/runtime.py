"""The sandbox and workspace of a script: the blocking face of a folder."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pygent.app import App
from pygent.classic import process
from pygent.tools import runtime
from pygent.tools.runtime import COMMAND_TIMEOUT

__all__ = ["COMMAND_TIMEOUT", "Runtime"]


class Runtime(runtime.Runtime):
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
        flags: dict[str, Any] = {"image": image, "initial_files": [str(one) for one in initial_files or ()]}
        flags["use_docker"] = None if use_docker is None else str(int(use_docker))
        self.flags = {key: value for key, value in flags.items() if value}
        environ = process.environ()
        wanted = workspace or environ.get("PYGENT_WORKSPACE")
        self._temporary = None if wanted else tempfile.TemporaryDirectory(prefix="pygent-workspace-")
        root = Path(wanted or (self._temporary.name if self._temporary else ".")).expanduser().resolve()
        root.mkdir(parents=True, exist_ok=True)
        self.flags["workspace"] = str(root)
        self._thread = process.loop_thread()
        self.do, self.call = self._thread.do, self._thread.call
        self.app = self._thread.call(self._open)
        trusted = True if self._temporary else None  # what lies in a folder that was there is not trusted
        self.folder = self._thread.call(lambda: self.app.sessions.folder(root, trusted=trusted))
        self._ban(banned_commands, banned_apps)
        folder = self.folder
        outputs = self.app.launch.state / "outputs" / "scripts"
        super().__init__(
            self._thread.loop, folder.workspace, folder.sandbox, lambda: folder.settings, outputs
        )
        self._closed = False
        atexit.register(self.cleanup)
        if use_docker:
            self.do(folder.sandbox())

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def configure(self, **flags: object) -> None:
        """Set settings by their `pygent.toml` key, stronger than every file and the environment."""
        self.flags.update(flags)
        self._thread.call(self.folder.reload)

    def cleanup(self) -> None:
        """End all that runs; a temporary workspace is removed.  May be called twice."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.cleanup)
            self.do(self.app.close())
            if self._temporary is not None:
                self._temporary.cleanup()

    def _open(self) -> App:
        return App(
            environ=process.environ(), home=Path.home(), flags=self.flags, config_file=process.config_file()
        )

    def _ban(self, commands: Sequence[str] | None, apps: Sequence[str] | None) -> None:
        settings = self.folder.settings
        if commands:
            self.configure(banned_commands=[*settings.banned_commands, *commands])
        if apps:
            self.configure(banned_apps=[*settings.banned_apps, *apps])
