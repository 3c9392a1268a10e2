"""What a message mentions: `@path`, `@path:10-20`, `@problems`, `@task`; it is attached to what is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError, ToolError
from pygent.lsp.conversations.markdown import fence_for
from pygent.workspace import Workspace

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.records import Task
    from pygent.session import Session

_MENTION = re.compile(r"""(?<![\w@./\\`])@(?:"([^"\n]+)"|([^\s"`@][^\s"`]*))""")
_LINES = re.compile(r":(\d+)(?:-(\d+))?\Z")
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
MAX_DIFF = 20_000
"""Characters of a mentioned task's diff that are attached."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A word after `@`, from the index `start` to `end`, the sign included; lines count from 1."""

    name: str
    start: int
    end: int
    first: int | None = None
    last: int | None = None


def mentions(text: str) -> Iterator[Mention]:
    """What a text mentions, whether or not there is such a thing; code in backticks mentions nothing."""
    for found in _MENTION.finditer(text):
        name, end = found[1] or found[2].rstrip(".,;:!?)]}'"), found.end()
        if not found[1]:
            end = found.start() + 1 + len(name)
        lines = _LINES.search(name)
        if lines is None:
            yield Mention(name, found.start(), end)
        else:
            first = int(lines[1])
            yield Mention(name[: lines.start()], found.start(), end, first, int(lines[2] or first))


def file_of(workspace: Workspace, mention: Mention) -> Path | None:
    """The file of the workspace that is mentioned; none outside of it is."""
    try:
        path = workspace.resolve(mention.name)
        return path if workspace.exists(path) else None
    except (ToolError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Attached:
    """What goes with a message: attachments as of `pygent.chat`, and text that is put below it."""

    attachments: list[dict[str, Any]]
    text: str


async def attached(
    server: PygentServer, workspace: Workspace, session: Session | None, text: str
) -> Attached:
    """What a text mentions.  Raises PygentError for problems or a task that there are none of."""
    found: dict[str, dict[str, Any]] = {}
    parts: list[str] = []
    for mention in mentions(text):
        path = file_of(workspace, mention)
        if path is not None:
            found[text[mention.start : mention.end]] = _file(path, mention)
        elif mention.name == "problems":
            for one in _problems(server):
                found[f"problems of {one['uri']}"] = one
        elif mention.name == "task" or mention.name.startswith(("task:", "tsk_")):
            parts.append(await _task(server, session, mention.name))
    return Attached(list(found.values()), "\n\n".join(parts))


def _file(path: Path, mention: Mention) -> dict[str, Any]:
    if path.suffix.lower() in IMAGES:
        return {"image": path.as_uri()}
    if mention.first is None or mention.last is None:
        return {"uri": path.as_uri()}
    start = {"line": max(mention.first - 1, 0), "character": 0}
    end = {"line": max(mention.last - 1, 0), "character": 0}
    return {"uri": path.as_uri(), "range": {"start": start, "end": end}}


def _problems(server: PygentServer) -> list[dict[str, Any]]:
    known = server.problems.known()
    if not known:
        raise PygentError(
            "notFound",
            "No problems are known for @problems: the editor tells of one when the cursor is on it.",
            "Put the cursor on the problem once, or mention the file.",
        )
    return [{"uri": uri, "diagnostics": found} for uri, found in known.items()]


async def _task(server: PygentServer, session: Session | None, name: str) -> str:
    """What there is to know about a task; `@task` is the latest of the session, or of all."""
    number = name.partition(":")[2] or (name if name.startswith("tsk_") else "")
    if number:
        task = server.app.tasks.get(number)
    else:
        of_session = server.app.tasks.recorded(session_id=session.id, limit=1) if session else []
        latest = of_session or server.app.tasks.recorded(limit=1)
        if not latest:
            raise PygentError("notFound", "There is no task yet for @task.", "Delegate one with /delegate.")
        task = latest[0]
    return await _told(server, task)


async def _told(server: PygentServer, task: Task) -> str:
    lines = [f"Task {task.id} ({task.status}): {task.prompt}", server.app.tasks.results.reply(task.id)]
    try:
        diff, _ = await server.app.tasks.results.diff(task.id)
    except PygentError:
        diff = ""
    if diff:
        fence = fence_for(diff)
        lines.append(f"Its changes, not yet applied:\n{fence}diff\n{diff[:MAX_DIFF]}\n{fence}")
    return "\n\n".join(line for line in lines if line)
