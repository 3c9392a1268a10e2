"""A workspace folder in use: its settings, trust, workspace, sandbox and model connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pygent import files, initial_files, programs, redaction, saved
from pygent.config import Config, Layers, Look, Settings, Standing, Trust
from pygent.config.settings import ToolModule
from pygent.errors import ConfigInvalid, PygentError
from pygent.model import Model
from pygent.model.network import proxy_passwords
from pygent.records import Isolation, Persona
from pygent.sandbox import NO_SANDBOX, STRENGTH, Report, Sandbox, SandboxStatus
from pygent.sandbox.choose import open_sandbox
from pygent.saved import Kept, is_secret_name
from pygent.tools import Tool, builtin_tools
from pygent.workspace import Workspace, check_root

if TYPE_CHECKING:
    from pygent.tools.mcp import McpServers


@dataclass(frozen=True, slots=True)
class Launch:
    """What the process was started with; the only place where its environment is kept.

    `trust` is the person's word at the start for the files of its folders as they are then.
    """

    environ: Mapping[str, str]
    home: Path
    state: Path
    flags: MutableMapping[str, object]
    config_file: Path | None = None
    trust: bool = False


class Folder:
    """One folder with everything that is per folder.

    `editor` are the editor's settings for it; `trusted` is the editor's word for its files as they are now,
    None where only Pygent's own record counts.  A task's folder has a `parent`, whose settings and model
    connection it shares: nothing that lies in it is read as settings.
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
        programs.avoid(self.root)
        self.uri = self.root.as_uri()
        self.launch = launch
        self._editor = editor or {}
        self._saved: Mapping[str, object] = {}
        self._snapshot: tuple[Path, Kept] | None = None
        self._parent = parent
        layers = Layers(launch.environ, launch.home, launch.flags, launch.config_file)
        trust = Trust(launch.state)
        self._standing = Standing(self.root, layers, trust, word=bool(trusted), sure=launch.trust)
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()
        self._told: Isolation | None = None
        """The isolation that people were last told of, or took for granted."""
        self._connecting = asyncio.Lock()
        self._serving = asyncio.Lock()
        self._model: tuple[tuple[object, ...], Model] | None = None
        self._user_tools: dict[str, Tool] = {}
        self._tool_modules: tuple[ToolModule, ...] | None = None
        self.named_personas: set[str] = set()
        """The personas of the folder's words that a notice has named."""
        self.told: str | None = None
        """What was told last of a change that waits for the person's word."""
        self._mcp: McpServers | None = None
        self.config = self._load(None)
        self._hide_secrets()
        self.workspace = Workspace(self._workspace_root())
        self.problems = self._populate()

    # -- settings and trust ----------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.config.settings

    @property
    def trusted(self) -> bool:
        """Whether the folder's own files, as they are now, may set what could do harm."""
        return self._standing.trusted if self._parent is None else self._parent.trusted

    @property
    def changed(self) -> list[str]:
        """The files that are other ones than the person trusted; all, where nothing was trusted."""
        accepted = self._standing.accepted
        return sorted(self.look.marks) if accepted is None else self._standing.changed_since(accepted)

    @property
    def look(self) -> Look:
        """The files of the settings as they were read last."""
        return self._standing.look

    def update(self, *, editor: Mapping[str, object] | None = None, trusted: bool | None = None) -> None:
        """Take in the editor's new settings or word, and load again if they are new."""
        if editor in (None, self._editor) and (not trusted or self.trusted):
            return
        if editor is not None:
            self._editor = editor
        if trusted:
            self._standing.give_word()
        self.reload()

    def reload(self) -> Config:
        """Read the settings again; of a file that is broken now the last good values stay."""
        self.config = self._load(self.config)
        self._hide_secrets()
        return self.config

    def refresh(self) -> list[str]:
        """Read the settings again if a file of them has changed; the folder's files that have, by name."""
        if self._parent is not None:
            return self._parent.refresh()
        if self._standing.is_current:
            return []
        before = self.look
        with contextlib.suppress(ConfigInvalid):  # the file of --config is gone: what it said still counts
            self.reload()
        return self._standing.changed_since(before)

    def changed_by_agent(self) -> str | None:
        """What a command or tool of the agent that ended just now did to the settings, in sentences.

        It has no effect until the person accepts it, also at later starts.
        """
        if self._parent is not None:
            return self._parent.changed_by_agent()
        names = self.refresh()
        if not names:
            return None
        self._standing.suspect(names)
        if not (held := self.held()):
            return None
        verb = "was" if len(names) == 1 else "were"
        self.told = f"{', '.join(names)} {verb} changed while a command or tool of the agent ran. {held}"
        return self.told

    def held(self) -> str:
        """What waits for the person's word, in a sentence; empty if nothing does."""
        withheld = (value.key for value in self.config.withheld if value.origin.layer != "snapshot")
        keys = list(dict.fromkeys([*withheld, *self.config.kept]))
        if not keys:
            return ""
        return f"What the folder's files say now is not used until you accept it: {', '.join(keys)}."

    def preview(self, texts: Mapping[Path, str]) -> Config:
        """The settings as they would be with these texts in place of their files."""
        return self._standing.preview(self.config, texts, editor=self._editor, saved=self._saved)

    def set_trust(self, trusted: bool) -> None:
        """Record the person's word for the files as they are now, and load again.  Raises OSError."""
        if trusted:
            self.reload()
            self.accept(self.look)
        else:
            self._standing.revoke()
            self.reload()

    def accept(self, look: Look, *, keep: bool = True) -> None:
        """Trust what the person was shown, with `keep` also at later starts, and load again.

        What has changed since then is not trusted.  Raises OSError.
        """
        self._standing.accept(look, keep=keep)
        self.told = None
        self.reload()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What stays out of conversations: keys, the tokens of MCP servers, the passwords of proxies."""
        environ, servers = self.launch.environ, self.settings.mcp_servers.values()
        tokens = (environ.get(server.token_variable or "") for server in servers)
        return (*self.config.secrets, *filter(None, tokens), *proxy_passwords(environ))

    def _hide_secrets(self) -> None:
        """Keep them out of logs and errors, too, and with them the secret variables that MCP servers get."""
        environ, servers = self.launch.environ, self.settings.mcp_servers.values()
        given = (environ.get(name) for server in servers for name in server.env if is_secret_name(name))
        redaction.process.hide(*self.secrets, *given)

    def personas(self) -> list[Persona]:
        """The main persona, then those for delegated agents."""
        said = [self.config.values[key] for key in ("persona_name", "persona")]
        main = Persona(
            name=self.settings.persona_name,
            description=self.settings.persona,
            unconfirmed=any(value.unconfirmed for value in said),
        )
        return [main, *(persona for persona in self.settings.task_personas if persona.name != main.name)]

    def _load(self, previous: Config | None) -> Config:
        if self._parent is not None:
            return self._parent.config
        return self._standing.load(previous, editor=self._editor, saved=self._saved)

    def _workspace_root(self) -> Path:
        wanted = self.settings.workspace
        if wanted is None or self._parent is not None:
            return self.root
        try:
            if self.root in wanted.parents:
                files.make_folder(wanted, self.root)
            else:
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
        target = self.workspace.root
        problems = initial_files.copy_in(self.settings.initial_files, self.root, target)
        snapshot = self.settings.snapshot
        if snapshot is not None and not snapshot.is_dir():
            problems.append(f"The snapshot {snapshot} is not a folder.")
        elif snapshot is not None:
            _, left_out = saved.copy_in(snapshot, target, replace=False)
            problems += [f"{one.path} of the snapshot is not loaded: {one.reason}." for one in left_out]
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
            by_start = self.config.values["tools"].origin.layer == "flag"
            look = None if by_start else self._standing.accepted
            self._user_tools, problems = await asyncio.to_thread(user.load, modules, self.look, look)
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
        value = self.config.values["mcp_servers"]
        if self._mcp is None:
            from pygent.tools.mcp import McpServers  # noqa: PLC0415 - few have any

            self._mcp = McpServers(self._environ_outside(), self.root, refuse=self._refuse_server)
        # A program that the person names everywhere would find one of the folder's own in its place there.
        self._mcp.root = self.root if value.of_folder or value.origin.layer == "flag" else self.launch.home
        return await self._mcp.load(self.settings.mcp_servers)

    def _environ_outside(self) -> dict[str, str]:
        """The environment of programs on the host: no program or compiled file of a workspace gets in."""
        path = [Path(entry) for entry in self.launch.environ.get("PATH", "").split(os.pathsep)]
        kept = [str(entry) for entry in path if entry.is_absolute() and not self.look.is_below(entry)]
        compiled = str(self.launch.state / "compiled")
        own = {"PATH": os.pathsep.join(kept), "PYTHONPYCACHEPREFIX": compiled}
        return {**self.launch.environ, **own}

    def _refuse_server(self) -> str | None:
        """Why no MCP server may be started: a file that they are made of has changed."""
        return self._changed_since_trust("mcp_servers")

    def _changed_since_trust(self, key: str) -> str | None:
        names = self._standing.differs(key, self.config)
        if not names:
            return None
        return f"{', '.join(names[:3])} changed since you trusted it; look at it, then `pygent trust`"

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
        """The connection to the endpoint of the settings.  Raises ModelError (`noApiKey`), ConfigInvalid."""
        if self._parent is not None:
            return await self._parent.model()
        from pygent.model.client import connection_settings, open_model, preload  # noqa: PLC0415 - imports openai

        if (problem := self.config.bad_key) is not None:
            raise ConfigInvalid(problem.message, problem.fix)
        if self.settings.ca_bundle is not None and (changed := self._changed_since_trust("ca_bundle")):
            raise PygentError("notTrusted", f"{changed}.", "Then ask again.")
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
