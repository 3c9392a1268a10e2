"""A document that is opened again: what was said meanwhile is written below what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygent.events import QuestionAsked, TurnFinished
from pygent.lsp.conversations.alignment import Exchange, aligned, exchanges
from pygent.lsp.conversations.markdown import Section, neutral
from pygent.lsp.conversations.page import ANSWER, Page, before_draft, closed, ending
from pygent.lsp.conversations.rendering import Rendering
from pygent.lsp.conversations.writer import Piece
from pygent.records import Question

if TYPE_CHECKING:
    from pygent.session import Session

CONTEXT = 40
"""Characters at the end of a half-written answer by which its place in the whole one is found."""


def catch_up(page: Page, session: Session, before: Page | None) -> None:
    """Bring an opened document up to its session; `before` is what showed the turn that still runs."""
    known = exchanges(session.events())
    if not known:
        return
    running = session.turn_id is not None
    yours = [section for section in page.document.yours() if section.text]
    places = aligned(yours, known)
    told = [(section, place) for section, place in zip(yours, places, strict=True) if place is not None]
    if told:
        section, done = told[-1]
        follow = _Follow(page, running and done == len(known) - 1, before)
        follow.complete(section, known[done])
    else:
        done = len(known) - 1 if yours else -1  # a draft alone is not filled up with what was cut away
        follow = _Follow(page, running, before)
    for number, exchange in enumerate(known[done + 1 :], done + 1):
        follow = _Follow(page, running and number == len(known) - 1, before)
        follow.add(exchange)
    page.question = None if running else _open_question(known[-1])


class _Follow:
    """Writes one exchange; a live one goes on as the turn does."""

    def __init__(self, page: Page, live: bool, before: Page | None) -> None:
        self._page = page
        self._live = live
        self._before = before if live else None

    def complete(self, section: Section, exchange: Exchange) -> None:
        """Write what is missing of the answer below a section."""
        page, document = self._page, self._page.document
        rendering, whole = self._render(exchange)
        answer = next((one for one in document.sections if one.start == section.end), None)
        if answer is None or answer.who == "You":
            lead = closed(section.text) + ANSWER
            piece = Piece(page.mark(section.finish), lead + whole)
            self._go_on(piece, rendering, len(lead))
        else:
            has = _progress(answer.text, whole)
            piece = Piece(page.mark(answer.finish), whole, written=len(whole) if has is None else has)
            self._go_on(piece, rendering, 0)

    def add(self, exchange: Exchange) -> None:
        """Write a message and its answer."""
        page = self._page
        rendering, whole = self._render(exchange)
        shown = neutral(exchange.text)
        lead = f"\n\n## You\n\n{shown}{closed(shown)}{ANSWER}"
        piece = Piece(page.mark(before_draft(page.document)), lead + whole)
        self._go_on(piece, rendering, len(lead))

    def _render(self, exchange: Exchange) -> tuple[Rendering, str]:
        if self._before is not None:
            return self._before.rendered()
        rendering = Rendering(late=self._live)
        return rendering, "".join(map(rendering.hear, exchange.events))

    def _go_on(self, piece: Piece, rendering: Rendering, lead: int) -> None:
        if self._live:
            self._page.go_on(piece, rendering, lead)
            return
        missing = piece.written < len(piece.text.rstrip())
        piece.tail = ending
        if missing:
            self._page.writer.put(piece)


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
