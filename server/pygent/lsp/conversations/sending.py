"""Sending a section of a conversation document: a new message, one that steers, an edited one that forks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp import chat
from pygent.lsp.commands import Arguments, command
from pygent.lsp.conversations.alignment import aligned, edited, exchanges
from pygent.lsp.conversations.markdown import Section
from pygent.lsp.conversations.page import Page, Sent

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.session import Session


class Send(Arguments, frozen=True, kw_only=True):
    """A conversation document; `line` (from 0) names a section other than the last, `wait` is as of chat."""

    uri: str
    line: int | None = None
    wait: bool = True


@command("pygent.conversation.send", "`TurnResult`, or with `wait: false` at once `{sessionId, turnId}`")
async def conversation_send(server: PygentServer, args: Send) -> Any:
    """Send the last `## You` of a conversation document; its answer comes into the document."""
    page = server.conversations.page(args.uri)
    await page.writer.calm()
    section = to_send(page, args.line, _session(server, page))
    sent = _prepare(server, page, section)
    try:
        result = await chat.chat(server, _message(server, page, section, wait=args.wait))
    except BaseException:
        page.unsend(sent)
        raise
    if args.wait:
        await page.writer.written()
    return result


class Answer(Arguments, frozen=True, kw_only=True):
    """A conversation document, and the answer to the question that was asked in it; `wait` is as of chat."""

    uri: str
    text: str
    wait: bool = True


@command("pygent.conversation.answer", "as `pygent.conversation.send`")
async def conversation_answer(server: PygentServer, args: Answer) -> Any:
    """Answer the question of a conversation document; what is being written there stays unsent."""
    page = server.conversations.page(args.uri)
    if _session(server, page) is None:
        raise PygentError("notFound", "There is no conversation yet.", "Send a message first.")
    result = await chat.chat(server, chat.Chat(text=args.text, session_id=page.session_id, wait=args.wait))
    if args.wait:
        await page.writer.written()
    return result


class OfDocument(Arguments, frozen=True, kw_only=True):
    """A conversation document."""

    uri: str


@command("pygent.conversation.stop", "`{cancelled: bool}`")
async def conversation_stop(server: PygentServer, args: OfDocument) -> Any:
    """End the turn that runs in a conversation document; returns when it has ended."""
    session = _session(server, server.conversations.page(args.uri))
    return {"cancelled": session is not None and await session.cancel()}


def _session(server: PygentServer, page: Page) -> Session | None:
    return server.conversations.session_of(page)


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


def changed_sections(page: Page, session: Session | None) -> list[Section]:
    """The person's sections that say something else than what was sent, the last one aside."""
    if session is None or page.running:
        return []
    yours = [section for section in page.document.yours() if section.text]
    known = exchanges(session.events())
    places = aligned(yours, known)
    return [
        section
        for index, (section, place) in enumerate(zip(yours, places, strict=True))
        if place is None and edited(yours, index, known) < len(known)
    ]


def _start(page: Page, line: int) -> int:
    lines = page.writer.text.split("\n")
    return sum(len(one) + 1 for one in lines[:line])


def _prepare(server: PygentServer, page: Page, section: Section) -> Sent:
    """Have the session that the message goes to, a fork if it was edited, and the place of its answer."""
    session = _session(server, page)
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
    known = exchanges(session.events())
    yours = [one for one in page.document.yours() if one.text]
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


def _message(server: PygentServer, page: Page, section: Section, *, wait: bool) -> chat.Chat:
    return chat.Chat(text=section.text, session_id=page.session_id, deliver="steer", wait=wait)
