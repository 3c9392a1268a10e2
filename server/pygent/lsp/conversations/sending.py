"""Sending a section of a conversation document: a new message, one that steers, an edited one that forks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp import chat
from pygent.lsp.commands import Arguments, command
from pygent.lsp.conversations import slash
from pygent.lsp.conversations.alignment import aligned, edited
from pygent.lsp.conversations.markdown import Document, Section
from pygent.lsp.conversations.mentions import Attached, attached
from pygent.lsp.conversations.page import Page, Sent
from pygent.records import NO_USAGE, TurnResult

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.session import Session


class Send(Arguments, frozen=True, kw_only=True):
    """A conversation document; `line` (from 0) names a section other than the last, `wait` is as of chat.

    A `wait` of null is false: lsp-mode, which is given commands with it, sends no false.
    """

    uri: str
    line: int | None = None
    wait: bool | None = True


@command("pygent.conversation.send", "`TurnResult`, or with `wait: false` at once `{sessionId, turnId}`")
async def conversation_send(server: PygentServer, args: Send) -> Any:
    """Send the last `## You` of a conversation document; its answer comes into the document."""
    page = server.conversations.page(args.uri)
    await page.writer.clean()
    session = server.conversations.session_of(page)
    section, extra = await _ready(server, page, args.line, session)
    if (found := slash.command_of(section.text)) is not None:
        return await _command(server, page, section, *found)
    sent = _prepare(server, page, section, session)
    text = f"{section.text}\n\n{extra.text}" if extra.text else section.text
    message = chat.Chat(
        text=text,
        session_id=page.session_id,
        attachments=extra.attachments,
        deliver="steer",
        wait=bool(args.wait),
    )
    try:
        result = await chat.chat(server, message)
    except BaseException:
        page.unsend(sent)
        raise
    if args.wait:
        await page.writer.written()
    return result


async def _ready(
    server: PygentServer, page: Page, line: int | None, session: Session | None
) -> tuple[Section, Attached]:
    """The section to send as it stands now, and what it mentions."""
    folder = session.folder if session else server.conversations.folder_of(page.uri)
    said, extra = "", Attached([], "")
    while True:
        await page.writer.calm()
        section = to_send(page, line, session)
        if section.text == said or slash.command_of(section.text) is not None:
            return section, extra
        said = section.text
        extra = await attached(server, folder.workspace, session, said)


async def _command(server: PygentServer, page: Page, section: Section, name: str, rest: str) -> TurnResult:
    """Run a command; its result is an answer of the server's own, and no turn of the session."""
    session = server.conversations.session_of(page)
    place = page.mark(section.finish)
    reply = await slash.run(slash.Context(server, page, session, rest), name)
    page.answer(section, place, reply)
    await page.writer.written()
    return TurnResult(
        session_id=page.session_id or "",
        turn_id="",
        status="completed",
        reply=reply,
        changes=[],
        usage=NO_USAGE,
    )


class Answer(Arguments, frozen=True, kw_only=True):
    """A conversation document, and the answer to the question that was asked in it; `wait` is as of chat."""

    uri: str
    text: str
    wait: bool | None = True


@command("pygent.conversation.answer", "as `pygent.conversation.send`")
async def conversation_answer(server: PygentServer, args: Answer) -> Any:
    """Answer the question of a conversation document; what is being written there stays unsent."""
    page = server.conversations.page(args.uri)
    if server.conversations.session_of(page) is None:
        raise PygentError("notFound", "There is no conversation yet.", "Send a message first.")
    result = await chat.chat(
        server, chat.Chat(text=args.text, session_id=page.session_id, wait=bool(args.wait))
    )
    if args.wait:
        await page.writer.written()
    return result


class OfDocument(Arguments, frozen=True, kw_only=True):
    """A conversation document."""

    uri: str


@command("pygent.conversation.stop", "`{cancelled: bool}`")
async def conversation_stop(server: PygentServer, args: OfDocument) -> Any:
    """End the turn that runs in a conversation document; returns when it has ended."""
    session = server.conversations.session_of(server.conversations.page(args.uri))
    return {"cancelled": session is not None and await session.cancel()}


@command("pygent.conversation.tidy", "`{tidy: bool}`")
async def conversation_tidy(server: PygentServer, args: OfDocument) -> Any:
    """Take away words of an answer that an editor without versioned edits has put into the wrong place.

    `tidy` is false if some stay, because somebody has changed them.
    """
    page = server.conversations.page(args.uri)
    return {"tidy": await page.writer.clean()}


def to_send(page: Page, line: int | None, session: Session | None) -> Section:
    """The section that is to be sent.  Raises PygentError if there is none."""
    yours = page.document.yours()
    if line is not None:
        yours = [section for section in yours if section.start <= _start(page, line) <= section.end]
    last = yours[-1] if yours else None
    if last is not None and not last.text and line is None:
        last = next((one for one in reversed(changed_sections(page, session))), last)
    if last is None or not last.text:
        raise PygentError("notFound", "There is nothing to send.", "Write a message below the last ## You.")
    if page.is_sent(last):
        raise PygentError("conflict", "This message is sent already.", "Write another one below ## You.")
    return last


def messages(document: Document) -> list[Section]:
    """The person's sections that are messages: neither empty nor commands."""
    return [one for one in document.yours() if one.text and slash.command_of(one.text) is None]


def changed_sections(page: Page, session: Session | None) -> list[Section]:
    """The person's sections that say something else than what was sent, the last one aside."""
    if session is None or page.running:
        return []
    yours = messages(page.document)
    known = page.said(session)
    return [
        section
        for index, (section, place) in enumerate(zip(yours, aligned(yours, known), strict=True))
        if place is None and edited(yours, index, known) < len(known)
    ]


def _start(page: Page, line: int) -> int:
    lines = page.writer.text.split("\n")
    return sum(len(one) + 1 for one in lines[:line])


def _prepare(server: PygentServer, page: Page, section: Section, session: Session | None) -> Sent:
    """Have the session that the message goes to, a fork if it was edited, and the place of its answer."""
    if session is None:
        page.bind(chat.begin(server, folder_uri=server.conversations.folder_of(page.uri).uri).id)
        return page.send(section)
    if session.turn_id is not None:
        return page.send(section)
    before = _edited_turn(page, section, session)
    if before is None:
        return page.send(section)
    fork = server.app.sessions.fork(session.id, before)
    sent = page.send_again(section, session.id)
    page.bind(fork.id, "forked from")
    return sent


def _edited_turn(page: Page, section: Section, session: Session) -> str | None:
    """The turn that a section begins anew; None for a message that is new."""
    known = page.said(session)
    yours = messages(page.document)
    place = aligned(yours, known)[yours.index(section)]
    if place is None:
        place = edited(yours, yours.index(section), known)
    if place >= len(known):
        return None
    if known[place].steers:
        raise PygentError(
            "unsupported",
            "This message joined a turn that ran, and can't be sent anew by itself.",
            "Edit the message that began the turn, or write below the last ## You.",
        )
    return known[place].turn_id
