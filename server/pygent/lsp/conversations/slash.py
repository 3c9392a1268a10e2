"""Commands in conversation documents: a section that begins with `/` is done by the server."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pygent.errors import PygentError
from pygent.lsp import chat
from pygent.lsp.conversations.markdown import neutral, one_line
from pygent.lsp.conversations.page import Page
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.session import Session


@dataclass(frozen=True, slots=True)
class Context:
    """Where a command is given: its arguments, document and session."""

    server: PygentServer
    page: Page
    session: Session | None
    rest: str

    def needs_session(self) -> Session:
        """The session.  Raises PygentError if the document has none yet."""
        if self.session is None:
            raise PygentError("notFound", "There is no conversation yet.", "Send a message first.")
        return self.session


@dataclass(frozen=True, slots=True)
class Slash:
    """A command; `run` gives its result as Markdown."""

    arguments: str
    meaning: str
    run: Callable[[Context], Awaitable[str]]


def command_of(text: str) -> tuple[str, str] | None:
    """The name and the arguments of a section that is a command."""
    found = re.match(r"/([a-z-]+)(?:\s+|\Z)", text)
    return (found[1], text[found.end() :].strip()) if found and found[1] in SLASH else None


async def _help(context: Context) -> str:
    wanted = context.rest.lstrip("/")
    rows = [
        f"- `{f'/{name} {one.arguments}'.rstrip()}`: {one.meaning}"
        for name, one in SLASH.items()
        if wanted in ("", name)
    ]
    if not rows:
        raise PygentError("notFound", f"There is no command /{one_line(wanted, 40)}.", "/help lists them.")
    about = "`@path`, `@path:10-20`, `@problems` and `@task` attach what they name."
    return "\n".join(rows) + ("" if wanted else f"\n\n{about}")


async def _new(context: Context) -> str:
    folder = context.server.conversations.folder_of(context.page.uri)
    session = chat.begin(context.server, folder_uri=folder.uri)
    context.page.bind(session.id, "after")
    context.page.name_session()
    return "A new conversation begins here."


async def _undo(context: Context) -> str:
    return await _restore(context, redo=False)


async def _redo(context: Context) -> str:
    return await _restore(context, redo=True)


async def _restore(context: Context, *, redo: bool) -> str:
    session = context.needs_session()
    done = await session.undo(redo=redo)
    lines = []
    for file in done.files:
        path = path_of(file.uri)
        name = file.uri if path is None else session.folder.workspace.relative(path)
        left = f" {file.conflict}; it is left as it is" if file.conflict else ""
        lines.append(f"- {'kept' if left else file.action} `{one_line(name, 200)}`{left}")
    return "\n".join(lines) or "There is nothing to take back."


async def _compact(context: Context) -> str:
    done = await context.needs_session().compact()
    return f"The model gets a summary now: about {done.tokens} tokens in place of {done.before}."


async def _tasks(context: Context) -> str:
    rows = [
        f"- `{task.id}` {task.status}, {one_line(task.persona.name, 40)}: {one_line(task.title, 80)}"
        for task in context.server.app.tasks.recorded(limit=20)
    ]
    return "\n".join(rows) or "There are no tasks."


async def _delegate(context: Context) -> str:
    from pygent.delegation import DelegateRequest  # noqa: PLC0415 - not before it is needed

    persona, rest = None, context.rest
    if rest.startswith("@"):
        persona, _, rest = rest[1:].partition(" ")
    if not rest.strip():
        raise PygentError("notFound", "/delegate needs the work to do.", "/delegate [@PERSONA] TEXT")
    folder = context.server.conversations.folder_of(context.page.uri)
    session_id = context.session.id if context.session else None
    request = DelegateRequest(rest.strip(), folder, persona=persona, session_id=session_id)
    task = await context.server.app.tasks.delegate(request)
    return f"Task `{task.id}` runs in the background; `@task:{task.id}` mentions it."


async def _model(context: Context) -> str:
    session = context.session
    if context.rest:
        session = context.needs_session()
        session.use_model(context.rest)
    folder = context.server.conversations.folder_of(context.page.uri)
    model = session.info.model if session else None
    return f"The model is `{one_line(model or folder.settings.model, 100)}`."


async def _persona(context: Context) -> str:
    session = context.session
    if context.rest:
        session = context.needs_session()
        session.use_persona(context.rest)
    personas = context.server.conversations.folder_of(context.page.uri).personas()
    active = session.persona.name if session else personas[0].name
    names = {one.name: one_line(one.name, 40) for one in personas}
    names[active] = f"**{names.get(active, active)}**"
    return "\n".join(f"- {names[one.name]}: {one_line(one.description, 200)}" for one in personas)


async def _cost(context: Context) -> str:
    from pygent.events import TurnFinished  # noqa: PLC0415

    usages = [
        envelope.event.usage
        for envelope in context.needs_session().events()
        if isinstance(envelope.event, TurnFinished)
    ]
    prompt, said = (
        sum(getattr(one, key) for one in usages) for key in ("prompt_tokens", "completion_tokens")
    )
    cost = sum(one.cost or 0 for one in usages)
    return f"{prompt} tokens in, {said} tokens out" + (f", {cost:.4f} in all." if cost else ".")


async def _tools(context: Context) -> str:
    toolbox = context.session.tools if context.session else context.server.toolbox
    name, _, switch = context.rest.partition(" ")
    if name:
        toolbox.switch(name, switch.strip() != "off")
    return "\n".join(
        f"- [{'x' if one.enabled else ' '}] `{one.name}`: {one_line(one.description, 120)}"
        for one in toolbox.list()
    )


SLASH = {
    "help": Slash("[command]", "what there is, or one of it", _help),
    "new": Slash("", "begin a new conversation here", _new),
    "undo": Slash("", "take back what the last turn changed", _undo),
    "redo": Slash("", "make it again", _redo),
    "compact": Slash("", "replace older messages by a summary", _compact),
    "tasks": Slash("", "list the delegated tasks", _tasks),
    "delegate": Slash("[@PERSONA] TEXT", "give work to a background agent", _delegate),
    "model": Slash("[NAME]", "say or change the model", _model),
    "persona": Slash("[NAME]", "list the personas, or let another speak", _persona),
    "cost": Slash("", "the tokens of this conversation", _cost),
    "tools": Slash("[NAME on|off]", "list the tools, or switch one", _tools),
}


async def run(context: Context, name: str) -> str:
    """Run a command; what it refuses is its result, too."""
    try:
        return await SLASH[name].run(context)
    except PygentError as error:
        return f"> **Failed:** {neutral(f'{error.message} {error.fix or str()}'.rstrip())}"
