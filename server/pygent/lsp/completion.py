"""What may stand after `@` and `/` in a message: files of the folder and tasks, and commands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygent.lsp.commands import Arguments, command
from pygent.lsp.names import FileNames
from pygent.records import Task, Wire

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

SLASH = {
    "new": "begin a new conversation",
    "undo": "take back what the last turn changed",
    "redo": "make it again",
    "compact": "summarise what was said, to make room",
    "delegate": "give work to a background agent",
    "tasks": "show the background agents",
    "model": "choose the model",
    "persona": "choose who speaks",
    "doctor": "check the set-up",
}
"""Commands by the name that is typed after `/`, and what they do."""
OFFERED = 50


class Completion(Wire, frozen=True, kw_only=True):
    """What can be chosen: `insert` takes the place of the word; a file has its `uri`."""

    label: str
    insert: str
    detail: str | None = None
    uri: str | None = None


async def completions(text: str, names: FileNames, tasks: list[Task]) -> list[Completion]:
    """What may stand in place of the word that `text` ends with, the best first; empty for plain words."""
    if found := re.fullmatch(r"/(\w*)", text.strip()):
        named = [name for name in SLASH if name.startswith(found[1])]
        return [Completion(label=f"/{name}", insert=f"/{name} ", detail=SLASH[name]) for name in named]
    if found := re.search(r"(?:^|\s)@(\S*)$", text):
        word = found[1].lower()
        titled = [task for task in tasks if word in f"{task.id} {task.title}".lower()]
        paths, _ = await names.find(word, OFFERED)
        files = [
            Completion(label=path, insert=f"@{path} ", uri=(names.root / path).as_uri()) for path in paths
        ]
        return files + [
            Completion(label=f"@{task.title}", insert=f"@{task.id} ", detail=task.status) for task in titled
        ]
    return []


class Complete(Arguments, frozen=True, kw_only=True):
    """A message up to the cursor, and the session it is for."""

    text: str
    session_id: str | None = None


@command("pygent.complete", "`{items: [Completion]}`", main="text")
async def complete(server: PygentServer, args: Complete) -> Any:
    """Complete the word after `@` (files, tasks) or `/` (commands)."""
    session = server.session(args.session_id)
    folder = server.folder() if session is None else session.folder
    names = server.names.of(folder.workspace.root)
    return {"items": await completions(args.text, names, server.app.tasks.recorded(limit=OFFERED))}
