"""Commands that look at things, change settings, and save and load snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.errors import InvalidArgument, PygentError
from pygent.lsp.commands import Arguments, Nothing, command
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.folder import Folder
    from pygent.lsp.server import PygentServer
    from pygent.sandbox import Sandbox
    from pygent.session import Session
    from pygent.tools.toolbox import Toolbox


class OneFolder(Arguments, frozen=True, kw_only=True):
    """A workspace folder; the first if none is named."""

    folder_uri: str | None = None


class Named(Arguments, frozen=True, kw_only=True):
    """A name, and the session that it is for; without one for new sessions."""

    name: str
    session_id: str | None = None


class OfSession(Arguments, frozen=True, kw_only=True):
    """A session, or what a new one would have."""

    session_id: str | None = None


@command("pygent.personas", "`{personas: [{name, description, active: bool}]}`")
async def personas(server: PygentServer, args: Nothing) -> Any:
    """The personas; the active one speaks in new sessions."""
    found = server.folder().personas()
    active = server.persona or found[0].name
    listed = [
        {"name": one.name, "description": one.description, "active": one.name == active} for one in found
    ]
    return {"personas": listed}


@command("pygent.persona.use", "`{persona}`", main="name")
async def persona_use(server: PygentServer, args: Named) -> Any:
    """Let another persona speak, in a session or in new ones."""
    session = server.session(args.session_id)
    if session is not None:
        return {"persona": session.use_persona(args.name)}
    found = {one.name.lower(): one for one in server.folder().personas()}
    persona = found.get(args.name.lower())
    if persona is None:
        known = ", ".join(one.name for one in found.values())
        raise PygentError("notFound", f"There is no persona {args.name!r}.", f"Known personas: {known}.")
    server.persona = persona.name
    return {"persona": persona}


@command("pygent.models", "`{models: [{id}], active}`")
async def models(server: PygentServer, args: Nothing) -> Any:
    """The models that the endpoint lists."""
    folder = server.folder()
    listed = await (await folder.model()).models()
    return {"models": [{"id": name} for name in listed], "active": server.model or folder.settings.model}


@command("pygent.model.use", "`{model}`", main="name")
async def model_use(server: PygentServer, args: Named) -> Any:
    """Ask another model of the same endpoint, in a session or in new ones."""
    session = server.session(args.session_id)
    if session is None:
        server.model = args.name
    else:
        session.use_model(args.name)
    return {"model": args.name}


def _toolbox(server: PygentServer, session_id: str | None) -> Toolbox:
    """That of the session, or without one that of the sessions to come."""
    session = server.session(session_id)
    return server.toolbox if session is None else session.tools


@command("pygent.tools", "`{tools: [{name, description, parameters: anything, enabled: bool, source}]}`")
async def tools(server: PygentServer, args: OfSession) -> Any:
    """The tools, with their JSON Schemas."""
    return {"tools": _toolbox(server, args.session_id).list()}


@command("pygent.tool.enable", "as `pygent.tools`", main="name")
async def tool_enable(server: PygentServer, args: Named) -> Any:
    """Offer a tool to the model."""
    return _switch(server, args, True)


@command("pygent.tool.disable", "as `pygent.tools`", main="name")
async def tool_disable(server: PygentServer, args: Named) -> Any:
    """Offer a tool to the model no longer."""
    return _switch(server, args, False)


def _switch(server: PygentServer, args: Named, enabled: bool) -> Any:
    toolbox = _toolbox(server, args.session_id)
    toolbox.switch(args.name, enabled)
    return {"tools": toolbox.list()}


@command(
    "pygent.config.show",
    "`{values: {key: {value: anything, origin, location?, shadowed?: anything}}, diagnostics: [anything], "
    "wouldChange: [{key, value: anything, origin, files?: [text]}]}`",
)
async def config_show(server: PygentServer, args: OneFolder) -> Any:
    """The settings in force; a secret is only `set` or `unset`."""
    from pygent.config.check import shown  # noqa: PLC0415 - not before it is needed

    return shown(server.folder(args.folder_uri).config)


@command("pygent.config.reload", "as `pygent.config.show`")
async def config_reload(server: PygentServer, args: OneFolder) -> Any:
    """Read the settings again."""
    folder = server.folder(args.folder_uri)
    folder.reload()
    server.publish()
    from pygent.config.check import shown  # noqa: PLC0415 - not before it is needed

    return shown(folder.config)


@command(
    "pygent.sandbox.status",
    "`{requested, effective, reason?, image?, network: bool, workspace, limits: anything, containerId?, "
    "outside?: [text]}`",
)
async def sandbox_status(server: PygentServer, args: OneFolder) -> Any:
    """How commands are isolated, and why; starts the sandbox."""
    folder = server.folder(args.folder_uri)
    return _announced(server, folder, await folder.sandbox(server.say)).status()


def _announced(server: PygentServer, folder: Folder, sandbox: Sandbox) -> Sandbox:
    """The sandbox; the person is warned where it isolates less than before."""
    if (text := folder.step_down()) is not None:
        server.protocol.tell("window/showMessage", {"type": 2, "message": text})
    return sandbox


class Run(Arguments, frozen=True, kw_only=True):
    """A command, and after how many seconds it is killed."""

    command: str
    folder_uri: str | None = None
    timeout: float | None = None


@command(
    "pygent.sandbox.run",
    "`{exitCode?: number, output, timedOut: bool, truncated: bool, durationMs: number}`",
    main="command",
)
async def sandbox_run(server: PygentServer, args: Run) -> Any:
    """Run a command of the person's own in the sandbox."""
    if args.timeout is not None and args.timeout <= 0:
        raise InvalidArgument("timeout", "a number of seconds above 0")
    folder = server.folder(args.folder_uri)
    sandbox = _announced(server, folder, await folder.sandbox(server.say))
    done = msgspec.to_builtins(await sandbox.run(args.command, timeout=args.timeout, on_notice=server.say))
    if folder.changed_by_agent() is not None:
        server.trusting.consider()
    return {"exitCode": None, **done}


@command("pygent.sandbox.restart", "as `pygent.sandbox.status`")
async def sandbox_restart(server: PygentServer, args: OneFolder) -> Any:
    """End the sandbox with everything in it, and choose again."""
    folder = server.folder(args.folder_uri)
    return _announced(server, folder, await folder.restart_sandbox()).status()


class Trusting(Arguments, frozen=True, kw_only=True):
    """A folder, and whether its settings files are trusted as they are."""

    trusted: bool
    folder_uri: str | None = None


@command(
    "pygent.workspace.trust",
    "`{folderUri, trusted: bool, wouldChange: [{key, value: anything, origin, files?: [text]}]}`",
)
async def workspace_trust(server: PygentServer, args: Trusting) -> Any:
    """Trust a folder's settings files, and the files that they name, until one of them changes."""
    folder = server.folder(args.folder_uri)
    held = folder.config.would_change()
    if args.trusted:
        folder.accept(folder.look)
    else:
        folder.set_trust(False)
    server.trusting.accepted(folder)
    return {"folderUri": folder.uri, "trusted": folder.trusted, "wouldChange": held}


@command("pygent.doctor", "`{checks: [{id, status, message, fix?}]}`")
async def doctor(server: PygentServer, args: Nothing) -> Any:
    """Check the set-up."""
    from pygent.doctor import check  # noqa: PLC0415 - not before it is needed

    return {"checks": await check(server.app, server.folder())}


class SnapshotFolder(Arguments, frozen=True, kw_only=True):
    """A snapshot's folder, and whose it is; without a session the latest one's."""

    dir: str
    session_id: str | None = None


@command("pygent.snapshot.save", "`{dir, files, leftOut?}`", main="dir")
async def snapshot_save(server: PygentServer, args: SnapshotFolder) -> Any:
    """Save workspace, conversation and settings to a folder, without any secret."""
    from pygent import save_load  # noqa: PLC0415 - not before it is needed

    return await save_load.save(_session_or_latest(server, args.session_id), _folder_path(args.dir))


class SnapshotToLoad(SnapshotFolder, frozen=True, kw_only=True):
    """A snapshot's folder; protected files of it are taken only where they are named."""

    protected: tuple[str, ...] = ()


@command("pygent.snapshot.load", "`{dir, files, leftOut?, before, sessionId}`", main="dir")
async def snapshot_load(server: PygentServer, args: SnapshotToLoad) -> Any:
    """Put a snapshot's files into the workspace and begin a session with its conversation."""
    from pygent import save_load  # noqa: PLC0415 - not before it is needed

    current = _session_or_latest(server, args.session_id)
    source = _folder_path(args.dir)
    done = await save_load.load(server.app.sessions, current, source, protected=args.protected)
    server.last_session = done.session_id
    return done


def _session_or_latest(server: PygentServer, session_id: str | None) -> Session:
    folder = server.folder()
    found = server.session(session_id or server.last_session)
    return found or server.app.sessions.latest(folder) or server.app.sessions.new(folder)


def _folder_path(said: str) -> Path:
    """A folder as an editor names it: an absolute path, one below the home folder, or a URI."""
    path = path_of(said) or Path(said).expanduser()
    if not path.is_absolute():
        raise InvalidArgument("dir", "an absolute path or a file: URI")
    return path
