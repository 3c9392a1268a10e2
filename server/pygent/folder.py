"""A workspace folder in use: its settings, trust, workspace, sandbox and model connection."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pygent import saved
from pygent.config import Config, Settings, Trust, config_files, load
from pygent.config.settings import ToolModule
from pygent.errors import PygentError
from pygent.model import Model
from pygent.records import Isolation, Persona
from pygent.sandbox import NO_SANDBOX, STRENGTH, Report, Sandbox, SandboxStatus
from pygent.sandbox.choose import open_sandbox
from pygent.saved import Kept
from pygent.tools import Tool, builtin_tools
from pygent.workspace import Workspace, check_root

if TYPE_CHECKING:
    from pygent.tools.mcp import McpServers


@dataclass(frozen=True, slots=True)
class Launch:
    """What the process was started with; the only place where its environment is kept."""

    environ: Mapping[str, str]
    home: Path
    state: Path
    flags: MutableMapping[str, object]
    config_file: Path | None = None


class Folder:
    """One folder with everything that is per folder.

    `editor` are the editor's settings for it; `trusted` is the editor's word, None where only Pygent's own
    record counts.  A task's folder has a `parent`, whose settings and model connection it shares: nothing
    that lies in it is read as settings.
    Raises ConfigInvalid, and PygentError `denied` for a folder that may not be one.
    """

    def __init__(
        self,
        root: Path,
        launch: Launch,
        *,
        editor: Mapping[str, object] | None = None,
        trusted: bool | None = None,
        parent: Folder | None = None,
    ) -> None:
        self.root = check_root(root, launch.home)
        self.uri = self.root.as_uri()
        self.launch = launch
        self._editor = editor or {}
        self._saved: Mapping[str, object] = {}
        self._snapshot: tuple[Path, Kept] | None = None
        self._said_trusted = trusted
        self._parent = parent
        self._trust = Trust(launch.state)
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()
        self._told: Isolation | None = None
        """The isolation that people were last told of, or took for granted."""
        self._connecting = asyncio.Lock()
        self._serving = asyncio.Lock()
        self._model: tuple[tuple[object, ...], Model] | None = None
        self._user_tools: dict[str, Tool] = {}
        self._tool_modules: tuple[ToolModule, ...] | None = None
        self._mcp: McpServers | None = None
        self.config = self._load(None)
        self.workspace = Workspace(self._workspace_root())
        self.problems = self._populate()

    # -- settings and trust ----------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.config.settings

    @property
    def trusted(self) -> bool:
        """Whether the folder's own files may set what could do harm."""
        files = config_files(self.root, self.launch.home, self.launch.config_file)
        return bool(self._said_trusted) or self._trust.is_trusted(self.root, files)

    def update(self, *, editor: Mapping[str, object] | None = None, trusted: bool | None = None) -> None:
        """Take in the editor's new settings or word, and load again if they are new."""
        if editor in (None, self._editor) and trusted in (None, self._said_trusted):
            return
        if editor is not None:
            self._editor = editor
        if trusted is not None:
            self._said_trusted = trusted
        self.reload()

    def reload(self) -> Config:
        """Read the settings again; of a file that is broken now the last good values stay."""
        self.config = self._load(self.config)
        return self.config

    def preview(self, texts: Mapping[Path, str]) -> Config:
        """The settings as they would be with these texts in place of their files."""
        return self._load(self.config, texts)

    def set_trust(self, trusted: bool) -> None:
        """Record the person's word for the settings files as they are now, and load again."""
        self._said_trusted = None
        files = config_files(self.root, self.launch.home, self.launch.config_file)
        self._trust.set(self.root, trusted, files)
        self.reload()

    def personas(self) -> list[Persona]:
        """The main persona, then those for delegated agents."""
        main = Persona(name=self.settings.persona_name, description=self.settings.persona)
        return [main, *(persona for persona in self.settings.task_personas if persona.name != main.name)]

    def _load(self, previous: Config | None, texts: Mapping[Path, str] | None = None) -> Config:
        if self._parent is not None:
            return self._parent.config
        return load(
            self.root,
            environ=self.launch.environ,
            home=self.launch.home,
            flags=self.launch.flags,
            editor=self._editor,
            saved=self._saved,
            config_file=self.launch.config_file,
            trusted=self.trusted,
            previous=previous,
            texts=texts,
        )

    def _workspace_root(self) -> Path:
        wanted = self.settings.workspace
        if wanted is None or self._parent is not None:
            return self.root
        try:
            wanted.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PygentError(
                "configInvalid",
                f"The workspace {wanted} can't be made: {error.strerror}.",
                "Set PYGENT_WORKSPACE to a folder that can be written.",
            ) from error
        return check_root(wanted, self.launch.home)

    def _populate(self) -> list[str]:
        """Copy the initial files and the snapshot in; what is there already stays.  Returns problems."""
        if self._parent is not None:
            return []
        problems, target = [], self.workspace.root
        for source in self.settings.initial_files:
            if not source.exists():
                problems.append(f"The initial file {source} does not exist.")
            elif not (target / source.name).exists() and source.resolve() != target:
                _copy(source, target / source.name)
        snapshot = self.settings.snapshot
        if snapshot is not None and not snapshot.is_dir():
            problems.append(f"The snapshot {snapshot} is not a folder.")
        elif snapshot is not None:
            saved.copy_in(snapshot, target, replace=False)
            kept, wrong = saved.read(snapshot)
            problems += wrong
            self._snapshot = (snapshot, kept)
            self.restore(kept.settings)
        return problems

    def restore(self, settings: Mapping[str, object]) -> None:
        """Use the settings of a snapshot, by key, as far as they loosen nothing."""
        self._saved = settings
        self.reload()

    def take_snapshot(self) -> tuple[Path, Kept] | None:
        """The snapshot of the settings, and what it says of a session; once."""
        found, self._snapshot = self._snapshot, None
        return found

    # -- tools -----------------------------------------------------------------------------------

    def tools(self) -> dict[str, Tool]:
        """The built-in tools and, once they are loaded, those of the person's own."""
        if self._parent is not None:
            return self._parent.tools()
        return {**builtin_tools(), **self._user_tools, **(self._mcp.tools if self._mcp else {})}

    async def load_tools(self) -> None:
        """Load the tools of the person's own that the settings name, as far as that is not done."""
        if self._parent is not None:
            await self._parent.load_tools()
            return
        if (modules := self.settings.tools) != self._tool_modules:
            from pygent.tools import user  # noqa: PLC0415 - looks through the installed packages

            self._tool_modules = modules
            self._user_tools, problems = await asyncio.to_thread(user.load, modules)
            self.problems += problems
        async with self._serving:
            self.problems += await self._servers()

    @property
    def servers_down(self) -> list[str]:
        """Why MCP servers do not run that should, in sentences."""
        return [] if self._mcp is None else self._mcp.down

    async def _servers(self) -> list[str]:
        """Start the MCP servers that the settings name, as far as that is not done."""
        if self._mcp is None and not self.settings.mcp_servers:
            return []
        if self._mcp is None:
            from pygent.tools.mcp import McpServers  # noqa: PLC0415 - few have any

            self._mcp = McpServers(self.launch.environ, self.root)
        return await self._mcp.load(self.settings.mcp_servers)

    # -- sandbox and model -----------------------------------------------------------------------

    async def sandbox(self, report: Report = lambda _: None) -> Sandbox:
        """The folder's sandbox, chosen at the first call; `report` hears which and why.

        Raises SandboxUnavailable.
        """
        async with self._opening:
            if self._sandbox is None:
                self._sandbox = await open_sandbox(
                    self.settings,
                    self.workspace.root,
                    environ=self.launch.environ,
                    report=report,
                    state=self.launch.state,
                )
            return self._sandbox

    def sandbox_status(self) -> SandboxStatus | None:
        """The facts of the sandbox in use; None before the first use."""
        return None if self._sandbox is None else self._sandbox.status()

    def step_down(self) -> str | None:
        """A sentence for people where commands run with less isolation than before, or none; once a change.

        The folders of tasks count as that of their parent.
        """
        status, owner = self.sandbox_status(), self._parent or self
        if status is None or status.effective == owner._told:
            return None
        before, owner._told = owner._told, status.effective
        if status.effective == "local":
            return f"{NO_SANDBOX} {status.reason or ''}".rstrip()
        if before is None or STRENGTH.index(status.effective) > STRENGTH.index(before):
            return None
        text = f"Commands run in {status.effective} from now on, no longer in {before}."
        return f"{text} {status.reason or ''}".rstrip()

    async def restart_sandbox(self) -> Sandbox:
        """End the sandbox with all its processes and choose again by the settings in force."""
        async with self._opening:
            if self._sandbox is not None:
                await self._sandbox.close()
                self._sandbox = None
        return await self.sandbox()

    async def model(self) -> Model:
        """The connection to the endpoint of the settings.  Raises ModelError (`noApiKey`)."""
        if self._parent is not None:
            return await self._parent.model()
        from pygent.model.client import connection_settings, open_model, preload  # noqa: PLC0415 - imports openai

        endpoint = connection_settings(self.settings)
        async with self._connecting:
            if self._model is None or self._model[0] != endpoint:
                await asyncio.to_thread(preload)
                if self._model is not None:
                    await self._model[1].close()
                self._model = (endpoint, open_model(self.settings, self.launch.environ, self.launch.state))
            return self._model[1]

    async def close(self) -> None:
        """End the sandbox and close the connections."""
        if self._sandbox is not None:
            await self._sandbox.close()
        if self._model is not None:
            await self._model[1].close()
        if self._mcp is not None:
            await self._mcp.close()
        self._sandbox = self._model = self._mcp = None


def _copy(source: Path, target: Path) -> None:
    """Copy a file or tree; links stay links, files that exist stay as they are."""
    if not source.is_dir():
        shutil.copy2(source, target, follow_symlinks=False)
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        inner = target / entry.name
        if entry.is_dir() and not entry.is_symlink():
            _copy(entry, inner)
        elif not inner.exists() and not inner.is_symlink():
            shutil.copy2(entry, inner, follow_symlinks=False)
