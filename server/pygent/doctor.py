"""What is set up and what is not, with a way to mend it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Literal
from urllib.parse import urlsplit

from pygent import programs
from pygent.app import App
from pygent.errors import ModelError, PygentError, SandboxUnavailable
from pygent.folder import Folder
from pygent.records import Wire


class Check(Wire, frozen=True, kw_only=True):
    """One finding (`pygent.doctor`)."""

    id: str
    status: Literal["ok", "warn", "fail"]
    message: str
    fix: str | None = None


async def check(app: App, folder: Folder, *, encoding: str | None = None) -> list[Check]:
    """Look at everything a turn needs.  Starts the folder's sandbox; sends at most one request.

    `encoding` is that of the terminal, where there is one.
    """
    found = [_python(), _state(app), *_config(folder), _trust(folder)]
    found += _terminal(encoding)
    found += await asyncio.gather(_model(folder), _sandbox(folder))
    found += await _learnt(folder)
    found += await _tools(folder)
    found.append(_git(folder))
    return found


def _python() -> Check:
    return Check(id="python", status="ok", message=f"Python {sys.version.split()[0]}")


def _state(app: App) -> Check:
    state = app.launch.state
    if os.access(state, os.W_OK):
        return Check(id="state", status="ok", message=f"State is kept in {state}")
    return Check(id="state", status="fail", message=f"{state} can't be written.", fix=f"chmod u+w {state}")


def _config(folder: Folder) -> list[Check]:
    problems = [problem for problem in folder.config.diagnostics if problem.severity != "hint"]
    if not problems:
        return [Check(id="config", status="ok", message="The settings are in order")]
    return [
        Check(
            id="config",
            status="fail" if problem.severity == "error" else "warn",
            message=problem.message,
            fix=problem.fix,
        )
        for problem in problems
    ]


def _trust(folder: Folder) -> Check:
    if folder.trusted or not folder.config.withheld:
        return Check(id="trust", status="ok", message="No setting of this folder is withheld")
    names = ", ".join(value.key for value in folder.config.withheld)
    return Check(
        id="trust",
        status="warn",
        message=f"The folder is not trusted, so these settings of its files are ignored: {names}",
        fix="Read them with `pygent config show`, then `pygent trust`.",
    )


async def _model(folder: Folder) -> Check:
    settings = folder.settings
    try:
        listed = await (await folder.model()).models()
    except PygentError as error:
        return Check(id="model", status="fail", message=error.message, fix=_with_proxy(folder, error))
    if listed and settings.model not in listed:
        message = f"{settings.base_url} answers, but does not list the model {settings.model}"
        fix = f"PYGENT_MODEL could be one of: {', '.join(listed[:5])}"
        return Check(id="model", status="warn", message=message, fix=fix)
    return Check(id="model", status="ok", message=f"{settings.base_url} answers; model {settings.model}")


def _with_proxy(folder: Folder, error: PygentError) -> str | None:
    """The fix of an endpoint that can't be reached, with the proxy that may be in the way."""
    names = {name.upper(): name for name, value in folder.launch.environ.items() if value}
    proxies = [names[name] for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY") if name in names]
    local = urlsplit(folder.settings.base_url).hostname in ("localhost", "127.0.0.1", "::1")
    if not proxies or local or not isinstance(error, ModelError) or error.status is not None:
        return error.fix
    return (
        f"{error.fix or ''} Requests go through the proxy of {proxies[0]}; NO_PROXY leaves hosts out.".strip()
    )


async def _learnt(folder: Folder) -> list[Check]:
    """What the endpoint wants otherwise than most, as far as conversations have taught."""
    try:
        found = (await folder.model()).adaptations(folder.settings.model)
    except PygentError:
        return []  # the check of the model says it
    if not found:
        return []
    return [Check(id="endpoint", status="ok", message=f"Learnt of this endpoint: {'; '.join(found)}")]


async def _tools(folder: Folder) -> list[Check]:
    """Tools of the person's own and of MCP servers; those are started."""
    settings = folder.settings
    if not settings.tools and not settings.mcp_servers:
        return []
    await folder.load_tools()
    problems = list(dict.fromkeys([*folder.problems, *folder.servers_down]))
    folder.problems = []
    if problems:
        return [Check(id="tools", status="warn", message=problem) for problem in problems]
    own = [name for name, tool in folder.tools().items() if tool.source != "built-in"]
    return [Check(id="tools", status="ok", message=f"Tools of your own: {', '.join(own) or 'none'}")]


async def _sandbox(folder: Folder) -> Check:
    try:
        status = (await folder.sandbox()).status()
    except SandboxUnavailable as error:
        return Check(id="sandbox", status="fail", message=error.message, fix=error.fix)
    reason = f" ({status.reason.rstrip('.')})" if status.reason else ""
    if status.effective == "local":
        fix = "Install bubblewrap, or Docker, to confine commands."
        return Check(id="sandbox", status="warn", message=f"Commands run without a sandbox{reason}", fix=fix)
    return Check(id="sandbox", status="ok", message=f"Commands run in {status.effective}{reason}")


def _terminal(encoding: str | None) -> list[Check]:
    if encoding is None or encoding.lower().startswith("utf"):
        return []
    message = f"The terminal's encoding is {encoding}, so other characters are shown as `?`"
    return [Check(id="terminal", status="warn", message=message, fix="Set PYTHONUTF8=1, or LANG=C.UTF-8.")]


def _git(folder: Folder) -> Check:
    if programs.find("git", folder.launch.environ.get("PATH")):
        return Check(id="git", status="ok", message="git is installed")
    message = "git is not installed, so turns can't be undone, nor tasks compared and taken over"
    return Check(id="git", status="warn", message=message, fix="Install git.")
