"""A document that is opened again: what was said meanwhile is written below what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygent.events import QuestionAsked, TurnFinished
from pygent.lsp.conversations.alignment import Exchange, aligned, exchanges, same
from pygent.lsp.conversations.markdown import Section, neutral
from pygent.lsp.conversations.page import ANSWER, Page, before_draft, closed, ending
from pygent.lsp.conversations.rendering import Rendering
from pygent.lsp.conversations.sending import messages
from pygent.lsp.conversations.writer import Piece
from pygent.records import Question

if TYPE_CHECKING:
    from pygent.session import Session

CONTEXT = 40
"""Characters at the end of a half-written answer by which its place in the whole one is found."""


def begins(page: Page, session: Session) -> bool:
    """Whether a document begins with the first message of a session."""
    yours, known = messages(page.document), page.said(session)
    return bool(yours and known) and same(yours[0].text, known[0].text)


def catch_up(page: Page, session: Session, before: Page | None) -> None:
    """Bring an opened document up to its session; `before` is what showed the turn that still runs."""
    known = exchanges(session.events())
    if not known:
        return
    running = session.turn_id is not None
    yours = messages(page.document)
    places = aligned(yours, known)
    told = [(section, place) for section, place in zip(yours, places, strict=True) if place is not None]
    # A draft alone is not filled up with what somebody has cut away.
    told_last = told[-1][1] if told else len(known) - 1 if yours else -1
    catching = _Catching(page, len(known) - 1 if running else -1, before)
    if told:
        catching.complete(told[-1][0], told_last, known[told_last])
    for number in range(told_last + 1, len(known)):
        catching.add(number, known[number])
    catching.end()
    page.question = None if running else _open_question(known[-1])


class _Catching:
    """Writes exchanges one below the other; the live one goes on as the turn does."""

    def __init__(self, page: Page, live: int, before: Page | None) -> None:
        self._page = page
        self._live = live
        self._before = before
        self._last: Piece | None = None

    def complete(self, section: Section, number: int, exchange: Exchange) -> None:
        """Write what is missing of the answer below a section."""
        page, document = self._page, self._page.document
        rendering, whole = self._render(number, exchange)
        answer = next((one for one in document.sections if one.start == section.end), None)
        if answer is None or answer.who == "You":
            lead = closed(section.text) + ANSWER
            piece = Piece(page.mark(section.finish), lead + whole)
            self._put(number, piece, rendering, len(lead))
        else:
            whole = whole.lstrip("\n") if answer.text else whole
            has = _progress(answer.text, whole)
            piece = Piece(page.mark(answer.finish), whole, written=len(whole) if has is None else has)
            self._put(number, piece, rendering, 0)

    def add(self, number: int, exchange: Exchange) -> None:
        """Write a message and its answer."""
        page = self._page
        rendering, whole = self._render(number, exchange)
        shown = neutral(exchange.text)
        lead = f"\n\n## You\n\n{shown}{closed(shown)}{ANSWER}"
        place = page.mark(before_draft(page.document)) if self._last is None else self._last.place
        self._put(number, Piece(place, lead + whole), rendering, len(lead))

    def end(self) -> None:
        """Offer the person the next word, where something was written."""
        if self._last is not None and not self._last.live:
            self._last.tail = ending
            self._page.writer.put(self._last)

    def _render(self, number: int, exchange: Exchange) -> tuple[Rendering, str]:
        if number == self._live and self._before is not None and self._before.running:
            return self._before.rendered()
        rendering = Rendering(late=number == self._live)
        return rendering, "".join(map(rendering.hear, exchange.events))

    def _put(self, number: int, piece: Piece, rendering: Rendering, lead: int) -> None:
        if number == self._live:
            self._page.go_on(piece, rendering, lead)
        elif piece.written < len(piece.text.rstrip()):
            self._page.writer.put(piece)
        else:
            return
        self._last = piece


def _progress(shown: str, whole: str) -> int | None:
    """How far an answer was written when the document was left; None where a person changed it."""
    if whole.startswith(shown):
        return len(shown)
    end = shown[-CONTEXT:]
    place = whole.rfind(end)
    return place + len(end) if place >= 0 and end.strip() else None


def _open_question(exchange: Exchange) -> Question | None:
    asked = [event for event in exchange.events if isinstance(event, QuestionAsked)]
    ended = any(isinstance(one, TurnFinished) and one.status == "needsInput" for one in exchange.events)
    return asked[-1].question if asked and ended else None
