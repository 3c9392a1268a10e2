"""Commands of the conversation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pygent.errors import InvalidArgument, PygentError, ToolError
from pygent.lsp.attachments import with_attachments
from pygent.lsp.commands import Arguments, Nothing, command, running_command
from pygent.records import Decision, Mail, Verdict, new_id

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.session import Session


class Chat(Arguments, frozen=True, kw_only=True):
    """A message; without `sessionId` it begins a session, or answers the question of the last one."""

    text: str
    session_id: str | None = None
    attachments: list[dict[str, Any]] = msgspec.field(default_factory=list)
    deliver: Literal["start", "steer", "queue"] = "start"
    wait: bool = True
    client_message_id: str | None = None


@command("pygent.chat", "`TurnResult`, or with `wait: false` at once `{sessionId, turnId}`", main="text")
async def chat(server: PygentServer, args: Chat) -> Any:
    """Run a turn."""
    _check(args)
    messages = server.app.messages
    known = messages.get(args.client_message_id)
    if known is not None:
        return await _answered(server, args, *known)
    session = server.session(args.session_id or server.asked) or begin(server)
    server.last_session = session.id
    text, images = with_attachments(session, args.text, args.attachments)
    if args.deliver != "start" and (mail := _posted(session, args, text, images)) is not None:
        turn_id = (session.turn_id if mail.steers else None) or mail.turn_id
        messages.add(args.client_message_id, session.id, turn_id)
        return await session.outcome(mail) if args.wait else {"sessionId": session.id, "turnId": turn_id}
    turn_id = new_id("trn")
    if args.wait and (command := running_command.get()) is not None:
        server.works.adopt(turn_id, command.key, args.text, lambda: server.later(session.cancel()))
    try:
        session.start(text, images=images, turn_id=turn_id)
    except (ToolError, OSError) as error:
        raise PygentError("notFound", f"An attachment can't be used: {error}") from error
    messages.add(args.client_message_id, session.id, turn_id)  # not before: a refused one may be sent again
    if not args.wait:
        return {"sessionId": session.id, "turnId": turn_id}
    result = await session.running_turn()
    server.asked = session.id if result.status == "needsInput" else None
    return result


async def _answered(server: PygentServer, args: Chat, session_id: str, turn_id: str) -> Any:
    """What the first request with this message's id was answered."""
    if not args.wait:
        return {"sessionId": session_id, "turnId": turn_id}
    result = await server.app.sessions.get(session_id).result(turn_id)
    if result is None:
        raise PygentError("notFound", f"The turn {turn_id} of this message left no result.", "Send it anew.")
    return result


def _check(args: Chat) -> None:
    if not args.text.strip():
        raise InvalidArgument("text", "a message that is not empty")


def _posted(session: Session, args: Chat, text: str, images: list[Path]) -> Mail | None:
    """The message handed to the running turn, or queued behind it; None if none runs."""
    steers = args.deliver == "steer"
    return session.post(text, steers=steers and not images, images=images)


def begin(server: PygentServer, **fields: Any) -> Session:
    """A new session; `folder_uri` names its folder, `persona`, `model` and `title` are as of the command."""
    session = server.app.sessions.new(
        server.folder(fields.pop("folder_uri", None)),
        persona=fields.pop("persona", None) or server.persona,
        model=fields.pop("model", None) or server.model,
        **fields,
    )
    for name in server.toolbox.off:
        session.tools.switch(name, False)
    server.last_session = session.id
    return session


class Cancel(Arguments, frozen=True, kw_only=True):
    """What to end; the latest running turn if nothing is named."""

    session_id: str | None = None
    turn_id: str | None = None
    task_id: str | None = None


@command("pygent.cancel", "`{cancelled: bool}`")
async def cancel(server: PygentServer, args: Cancel) -> Any:
    """End a turn or a task; returns when it has ended."""
    if args.task_id is not None:
        task = await server.app.tasks.cancel(args.task_id)
        return {"cancelled": task.status == "cancelled"}
    running = server.app.sessions.running()
    if args.session_id is not None:
        running = [one for one in running if one.id == args.session_id]
    if args.turn_id is not None:
        running = [one for one in running if one.turn_id == args.turn_id]
    return {"cancelled": bool(running) and await running[-1].cancel()}


class NewSession(Arguments, frozen=True, kw_only=True):
    """Where the session works, and who speaks in it."""

    folder_uri: str | None = None
    persona: str | None = None
    model: str | None = None
    title: str | None = None


@command("pygent.session.new", "`{session}`")
async def sessionbegin(server: PygentServer, args: NewSession) -> Any:
    """Begin a session."""
    fields = {"persona": args.persona, "model": args.model, "title": args.title}
    session = begin(server, folder_uri=args.folder_uri, **fields)
    return {"session": session.info}


class ListSessions(Arguments, frozen=True, kw_only=True):
    """Which sessions; `cursor` is the `nextCursor` of the page before."""

    folder_uri: str | None = None
    search: str | None = None
    limit: int = 50
    cursor: str | None = None


@command("pygent.session.list", "`{sessions, nextCursor?}`, the latest first")
async def session_list(server: PygentServer, args: ListSessions) -> Any:
    """List sessions, of every process."""
    if not 0 < args.limit <= 1000:
        raise InvalidArgument("limit", "a number from 1 to 1000")
    uri = server.folder(args.folder_uri).uri if args.folder_uri else None
    page, cursor = server.app.sessions.page(
        folder_uri=uri, search=args.search, limit=args.limit, cursor=args.cursor
    )
    return {"sessions": page} | ({"nextCursor": cursor} if cursor else {})


class OneSession(Arguments, frozen=True, kw_only=True):
    """A session."""

    session_id: str


@command("pygent.session.get", "`{session, messages: [anything]}`")
async def session_get(server: PygentServer, args: OneSession) -> Any:
    """A session with its conversation."""
    session = server.app.sessions.get(args.session_id)
    return {"session": session.info, "messages": session.messages()}


class SessionEvents(Arguments, frozen=True, kw_only=True):
    """Stored events with a `seq` above `after`."""

    session_id: str
    after: int = 0
    limit: int | None = None


@command("pygent.session.events", "`{events: [Envelope], seq: number}`; `seq` is the last stored one's")
async def session_events(server: PygentServer, args: SessionEvents) -> Any:
    """Read events again."""
    session = server.app.sessions.get(args.session_id)
    return {"events": session.events(args.after, args.limit), "seq": session.last_seq}


class Fork(Arguments, frozen=True, kw_only=True):
    """A session, and the turn before which the copy leaves it; without one it leaves at the end."""

    session_id: str
    before_turn_id: str | None = None


@command("pygent.session.fork", "`{session}`")
async def session_fork(server: PygentServer, args: Fork) -> Any:
    """Copy a conversation, so that it goes on another way; to edit a message, fork before its turn."""
    session = server.app.sessions.fork(args.session_id, args.before_turn_id)
    server.last_session = session.id
    return {"session": session.info}


@command(
    "pygent.session.compact",
    "`{session, tokensBefore: number, tokensAfter: number}`, estimates of the next prompt",
)
async def session_compact(server: PygentServer, args: OneSession) -> Any:
    """Put a summary that the model writes in the place of the conversation; people still see all of it."""
    session = server.app.sessions.get(args.session_id)
    done = await session.compact()
    return {"session": session.info, "tokensBefore": done.before, "tokensAfter": done.tokens}


class Rename(Arguments, frozen=True, kw_only=True):
    """A session and its new title."""

    session_id: str
    title: str


@command("pygent.session.rename", "`{session}`")
async def session_rename(server: PygentServer, args: Rename) -> Any:
    """Give a session another title."""
    return {"session": server.app.sessions.get(args.session_id).rename(args.title)}


@command("pygent.session.delete", "`{deleted: bool}`")
async def session_delete(server: PygentServer, args: OneSession) -> Any:
    """Forget a session."""
    return {"deleted": await server.app.sessions.delete(args.session_id)}


class Export(Arguments, frozen=True, kw_only=True):
    """A session and the form of the document."""

    session_id: str
    format: Literal["md", "json"]


@command("pygent.session.export", "`{text}`")
async def session_export(server: PygentServer, args: Export) -> Any:
    """The conversation as a document."""
    return {"text": server.app.sessions.get(args.session_id).export(args.format)}


@command("pygent.approvals", "`{approvals: [Approval]}` that still wait")
async def approvals(server: PygentServer, args: Nothing) -> Any:
    """What waits for consent."""
    return {"approvals": server.app.approvals.pending()}


class Respond(Arguments, frozen=True, kw_only=True):
    """The answer to an approval; `feedback` is told to the model."""

    approval_id: str
    decision: Verdict
    feedback: str | None = None


@command("pygent.approval.respond", "`{resolved: bool}`; false if somebody was faster")
async def approval_respond(server: PygentServer, args: Respond) -> Any:
    """Answer an approval by hand."""
    decision = Decision(decision=args.decision, feedback=args.feedback)
    return {"resolved": server.app.approvals.respond(args.approval_id, decision, "editor")}


class Undo(Arguments, frozen=True, kw_only=True):
    """A turn, the last one of the last session if none is named, and whether only to say what would be."""

    session_id: str | None = None
    turn_id: str | None = None
    preview: bool = False


async def _undo(server: PygentServer, args: Undo, *, redo: bool) -> Any:
    session = server.session(args.session_id or server.last_session)
    if session is None:
        raise PygentError("notFound", "There is no session yet.", "Give a sessionId.")
    return await session.undo(args.turn_id, redo=redo, preview=args.preview)


@command("pygent.undo", "`{files: [{uri, action, conflict?}], restored: bool}`")
async def undo(server: PygentServer, args: Undo) -> Any:
    """Take back what a turn changed, by commands too, and keep what was typed since."""
    return await _undo(server, args, redo=False)


@command("pygent.redo", "as `pygent.undo`")
async def redo(server: PygentServer, args: Undo) -> Any:
    """Make changes again that were taken back."""
    return await _undo(server, args, redo=True)
