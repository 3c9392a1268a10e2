"""Documents that the server makes: `pygent:/session/ID.md`, `/task/ID/log`, `/task/ID.diff`,
`/approval/ID.txt` and `/config.toml`.

A client with `workspace/textDocumentContent` (LSP 3.18) asks for their text and is told when it is another;
others get real files below the state folder, read-only, which are rewritten when the text changes and go when
the client does.  The name of such a document is matched as a whole, so that an id can name nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent import files
from pygent.approval_text import whole
from pygent.errors import PygentError
from pygent.events import EPHEMERAL, Envelope, TaskChanged, UsageReported
from pygent.lsp.base import Declined
from pygent.lsp.commands import Arguments, command
from pygent.lsp.conversations.alignment import exchanges
from pygent.lsp.conversations.markdown import neutral
from pygent.lsp.conversations.rendering import Rendering

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

SCHEME = "pygent"
REFRESH = 0.5
"""Seconds between two refreshes of a document whose text goes on changing."""
PATIENCE = 30.0
LEFT = 24 * 3600.0
"""Seconds after which files of a client are taken for left behind."""
_NAMES = re.compile(
    r"/(?:session/(?P<session>ses_[0-9a-f]{8,40})\.md|task/(?P<log>tsk_[0-9a-f]{8,40})/log"
    r"|task/(?P<diff>tsk_[0-9a-f]{8,40})\.diff|(?P<config>config\.toml)"
    r"|approval/(?P<approval>apr_[0-9a-f]{8,40})\.txt)"
)


class Show(Arguments, frozen=True, kw_only=True):
    """A document of ours, such as `pygent:/config.toml`."""

    uri: str


@command(
    "pygent.show", "`{uri: text, shown: bool}`; `uri` is that of a file where the client has no others", "uri"
)
async def show(server: PygentServer, args: Show) -> Any:
    """Open a session, the log or diff of a task, or the settings in force as a document."""
    uri, shown = await server.views.show(args.uri)
    return {"uri": uri, "shown": shown}


class Views:
    """The documents that one client looks at."""

    def __init__(self, server: PygentServer) -> None:
        self._server = server
        self._shown: dict[str, Path | None] = {}
        self._folder: Path | None = None
        self._stale: set[str] = set()

    async def content(self, params: dict[str, Any]) -> dict[str, str]:
        """`workspace/textDocumentContent`."""
        uri = params["uri"]
        text = await self._text(uri)
        self._shown.setdefault(uri, None)
        return {"text": text}

    async def show(self, uri: str) -> tuple[str, bool]:
        """Open a document; the URI by which the client knows it, and whether it was opened there.

        Raises PygentError for one that is not there.
        """
        target = await self.offer(uri)
        return target, self._server.client.shows_documents and await self._open(target)

    async def offer(self, uri: str) -> str:
        """Make a document ready to be opened; the URI by which the client knows it.

        Raises PygentError for one that is not there, and OSError where its file can't be written.
        """
        text = await self._text(uri)
        if not self._server.client.text_content:
            return self._write(uri, text).as_uri()
        self._shown.setdefault(uri, None)
        return uri

    async def _open(self, target: str) -> bool:
        """Whether the client has opened a document."""
        try:
            params = {"uri": target, "takeFocus": True}
            answer = await self._server.protocol.ask("window/showDocument", params, PATIENCE)
        except (Declined, TimeoutError):
            return False
        return isinstance(answer, dict) and answer.get("success") is True

    def hear(self, envelope: Envelope) -> None:
        """Refresh what shows a session or task, a moment after something happened in it."""
        event = envelope.event
        if not self._shown or isinstance(event, (*EPHEMERAL, UsageReported)):
            return
        names = {f"{SCHEME}:/session/{envelope.session_id}.md"}
        task_id = event.task.id if isinstance(event, TaskChanged) else envelope.task_id
        if task_id is not None:
            names |= {f"{SCHEME}:/task/{task_id}/log", f"{SCHEME}:/task/{task_id}.diff"}
        self._refresh(names & set(self._shown))

    def settings_changed(self) -> None:
        """Refresh the settings."""
        self._refresh({f"{SCHEME}:/config.toml"} & set(self._shown))

    def close(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- refreshing ------------------------------------------------------------------------------

    def _refresh(self, uris: set[str]) -> None:
        for uri in uris - self._stale:
            self._stale.add(uri)
            self._server.later(self._refresh_soon(uri))

    async def _refresh_soon(self, uri: str) -> None:
        await asyncio.sleep(REFRESH)
        self._stale.discard(uri)
        if self._shown.get(uri) is None:
            with contextlib.suppress(Declined):
                await self._server.protocol.ask(
                    "workspace/textDocumentContent/refresh", {"uri": uri}, PATIENCE
                )
            return
        with contextlib.suppress(PygentError):
            self._write(uri, await self._text(uri))

    # -- texts -----------------------------------------------------------------------------------

    async def _text(self, uri: str) -> str:
        scheme, _, name = uri.partition(":")
        found = _NAMES.fullmatch(name) if scheme == SCHEME else None
        if found is None:
            raise PygentError(
                "notFound",
                f"There is no document {uri[:200]!r}.",
                "There are pygent:/session/ID.md, /task/ID/log and .diff, /approval/ID.txt and /config.toml.",
            )
        server = self._server
        if found["session"]:
            return _session(server, found["session"])
        if found["log"]:
            return _log(server, found["log"])
        if found["approval"]:
            return _approval(server, found["approval"])
        if found["diff"]:
            return (await server.app.tasks.results.diff(found["diff"]))[0]
        return _config(server)

    def _write(self, uri: str, text: str) -> Path:
        """A read-only file with the text, where it always is for this client."""
        if self._folder is None:
            above = self._server.app.launch.state / "views"
            above.mkdir(mode=0o700, exist_ok=True)
            _clean(above)
            self._folder = Path(tempfile.mkdtemp(prefix="client-", dir=above))
        name = uri.partition(":/")[2].replace("/", "-")
        path = self._folder / (f"{name}.md" if name.endswith("-log") else name)
        self._shown[uri] = path
        files.write_atomic(path, text.encode("utf-8", "replace"), 0o400, root=self._folder)
        return path


def _clean(above: Path) -> None:
    """Remove what servers that were killed have left."""
    for folder in above.iterdir():
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - LEFT:
                shutil.rmtree(folder, ignore_errors=True)


def _approval(server: PygentServer, approval_id: str) -> str:
    """All that a person has to read before consent.  Raises PygentError where nothing waits for it."""
    for approval in server.app.approvals.pending():
        if approval.id == approval_id:
            return whole(approval) + "\n"
    raise PygentError("notFound", f"The approval {approval_id} no longer waits.")


def _session(server: PygentServer, session_id: str) -> str:
    """A conversation as its document would show it."""
    session = server.app.sessions.get(session_id)
    parts = [f"<!-- pygent: {session_id} -->"]
    for exchange in exchanges(session.events()):
        rendering = Rendering()
        answer = "".join(map(rendering.hear, exchange.events))
        parts.append(f"## You\n\n{neutral(exchange.text)}\n\n## Pygent{answer}")
    return "\n\n".join(parts) + "\n"


def _log(server: PygentServer, task_id: str) -> str:
    task = server.app.tasks.get(task_id)
    head = f"# {neutral(task.title)}\n\n`{task.id}` {task.status}, {task.steps} steps"
    return f"{head}\n\n{_session(server, task.session_id)}"


def _config(server: PygentServer) -> str:
    """The settings in force as TOML, with where each comes from; secrets are only `set` or `unset`."""
    parts = []
    for folder in server.folders():
        lines = [f"# {folder.uri}"]
        for key, shown in folder.config.show()["values"].items():
            value = shown["value"]
            line = f"# {key} is not set" if value is None else f"{key} = {_toml(value)}"
            lines.append(f"{line}  # {_origin(shown)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _origin(shown: dict[str, Any]) -> str:
    place = shown.get("location") or {}
    if "path" in place:
        return f"{place['path']}:{place['line']}" if "line" in place else str(place["path"])
    return str(place.get("variable") or shown["origin"])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items() if one is not None
        )
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def register(server: PygentServer) -> None:
    """Answer for documents of ours where the client asks for such."""
    server.features.answer("workspace/textDocumentContent", server.views.content)
    server.features.announce_if(
        lambda client: client.text_content, "workspace", {"textDocumentContent": {"schemes": [SCHEME]}}
    )
