"""One conversation document that is open in the editor, and what its session says in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pygent.events import (
    ApprovalRequested,
    ApprovalResolved,
    Envelope,
    Message,
    QuestionAnswered,
    QuestionAsked,
    TaskChanged,
    TurnFinished,
    TurnStarted,
)
from pygent.lsp.conversations.alignment import Exchange, exchanges, same
from pygent.lsp.conversations.markdown import HEADING, Document, Section, fence_for, neutral, parse, unclosed
from pygent.lsp.conversations.rendering import Rendering
from pygent.lsp.conversations.writer import Piece, Writer
from pygent.records import Approval, Question

if TYPE_CHECKING:
    from pygent.session import Session

ANSWER = "\n\n## Pygent"
ID_START = "<!-- pygent: "


@dataclass(frozen=True, slots=True)
class Sent:
    """A section of the person's that was sent: the answer goes to `place`, after `lead`."""

    text: str
    place: str
    lead: str


class Page:
    """An open conversation document.

    `approvals` wait for an answer, `question` for one by the next message; `marks` are their places in the
    document.  `changed` is called when what can be done in the document is different now.
    """

    def __init__(self, uri: str, writer: Writer, changed: Callable[[], None]) -> None:
        self.uri = uri
        self.writer = writer
        self.session_id: str | None = None
        self.approvals: dict[str, Approval] = {}
        self.question: Question | None = None
        self.running = False
        self._changed = changed
        self._said: tuple[tuple[str, int], list[Exchange]] = (("", 0), [])
        self._id: Piece | None = None
        self._sent: list[Sent] = []
        self._piece: Piece | None = None
        self._rendering = Rendering()
        self._lead = 0
        """Characters of the piece that come before the answer's own."""
        self._places = 0

    @property
    def document(self) -> Document:
        """The document as it stands; when nothing is on its way, with the writer's indices."""
        return parse(self.writer.text)

    def mark(self, text: int) -> str:
        """A new place of the document, at an index of the writer's text."""
        self._places += 1
        name = f"place {self._places}"
        self.writer.places[name] = text
        return name

    def line_of(self, place: str) -> int:
        """The line (from 0) of a place, the document's last if there is no such."""
        text = self.writer.text
        return text.count("\n", 0, self.writer.places.get(place, len(text)))

    def line_of_answer(self) -> int:
        """The line of the heading below which the running turn is answered."""
        piece = self._piece
        at = len(self.writer.text) if piece is None else self.writer.places.get(piece.place, 0)
        heads = [one.line for one in self.document.sections if one.start <= at and one.headed]
        return heads[-1] if heads else 0

    def insert(self, at: int, text: str) -> None:
        """Put a text into the document."""
        self.writer.put(Piece(self.mark(at), text))

    def said(self, session: Session) -> list[Exchange]:
        """What was said in the document's session; read again when there is more."""
        state = (session.id, session.last_seq)
        if state != self._said[0]:
            self._said = (state, exchanges(session.events()))
        return self._said[1]

    # -- the person ------------------------------------------------------------------------------

    def named(self) -> str | None:
        """The session that the document names, or will when its first line is written.

        While a turn runs it is that turn's, whatever becomes of the line: the answer goes on, and can be
        stopped.
        """
        pending = self._id is not None and self._id.written < len(self._id.text)
        return self.session_id if pending or self.running else self.document.session_id

    def bind(self, session_id: str, because: str | None = None) -> None:
        """Let the document go on with another session, which its first line names once a turn begins.

        `because` says how it comes from the session that stands there already.
        """
        document = self.document
        self.session_id = session_id
        if document.session_id is not None and because is not None:
            self._id = Piece(self.mark(document.named_at), f"{session_id} {because} ")
            return
        heading = "" if document.sections[0].headed else "## You\n\n"
        self._id = Piece(self.mark(0), f"{ID_START}{session_id} -->\n\n{heading}")

    def name_session(self) -> None:
        """Write the first line, if it is to be written; while a turn runs also if an undo takes it away."""
        if self._id is not None:
            self._id.live = self.running
            self.writer.put(self._id)

    def send(self, section: Section) -> Sent:
        """Note that a section is being sent, so that its answer goes below it."""
        if not section.headed and self.document.session_id is not None:
            self.insert(section.start, "## You\n\n")
        sent = Sent(section.text, self.mark(section.finish), closed(section.text) + ANSWER)
        self._sent.append(sent)
        return sent

    def send_again(self, section: Section, old: str) -> Sent:
        """As `send`, with what followed in the session `old` kept as a block of the new answer."""
        text = self.writer.text
        end = before_draft(self.document)
        if end <= section.finish:
            return self.send(section)
        fence = fence_for(text[section.finish : end])
        summary = f"<details><summary>Before the edit, in {old}</summary>"
        self.insert(section.finish, f"{closed(section.text)}{ANSWER}\n\n{summary}\n\n{fence}markdown")
        sent = Sent(section.text, self.mark(end), f"\n{fence}\n\n</details>")
        self._sent.append(sent)
        return sent

    def unsend(self, sent: Sent) -> None:
        """It could not be sent after all."""
        if sent in self._sent:
            self._sent.remove(sent)

    def is_sent(self, section: Section) -> bool:
        """Whether a section waits for the turn to hear it, or has its answer below it by now."""
        if any(self.writer.places[sent.place] == section.finish for sent in self._sent):
            return True
        piece = self._piece
        return self.running and piece is not None and section.start < self.writer.places[piece.place]

    def answer(self, section: Section, place: str, text: str) -> None:
        """Put an answer of the server's own below a section, where it ended when it was sent."""
        self.writer.put(Piece(place, f"{closed(section.text)}{ANSWER}\n\n{text}", tail=ending))

    # -- the session -----------------------------------------------------------------------------

    def hear(self, envelope: Envelope) -> None:
        """Write what an event of the session, or of a task of it, has for people."""
        event = envelope.event
        if envelope.task_id is not None:
            if isinstance(event, ApprovalRequested | ApprovalResolved):
                self._ask(envelope)
        elif isinstance(event, TurnStarted) or (isinstance(event, Message) and event.role == "user"):
            self.running, self.question = True, None
            self._begin(event.text)
            self._changed()
        elif isinstance(event, ApprovalRequested | ApprovalResolved | QuestionAsked | QuestionAnswered):
            self._ask(envelope)
        elif isinstance(event, TurnFinished):
            self._finish(event)
        elif isinstance(event, TaskChanged):
            pass
        else:
            self._write(envelope)

    def asks(self, asked_id: str) -> bool:
        """Whether an approval or a question waits here."""
        return asked_id in self.approvals or (self.question is not None and self.question.id == asked_id)

    def rendered(self) -> tuple[Rendering, str]:
        """The answer to the running turn's last message, so far."""
        piece = self._piece
        return self._rendering, "" if piece is None else piece.text[self._lead :]

    def go_on(self, piece: Piece, rendering: Rendering, lead: int) -> None:
        """Follow a turn that runs already; its answer begins after `lead` characters of the piece."""
        piece.live = self.running = True
        self._piece, self._rendering, self._lead = piece, rendering, lead
        self.writer.put(piece)

    def _begin(self, text: str) -> None:
        """Open the answer to a message, below it."""
        sent = next((one for one in self._sent if same(one.text, text)), None)
        if sent is None:
            at = before_draft(self.document)
            shown = neutral(text)
            sent = Sent(text, self.mark(at), f"\n\n## You\n\n{shown}{closed(shown)}{ANSWER}")
        else:
            self._sent.remove(sent)
        if self._piece is not None:
            self._piece.live = False
        self.name_session()
        self._piece = Piece(sent.place, live=True)
        self._rendering, self._lead = Rendering(), len(sent.lead)
        self.writer.put(self._piece, sent.lead)

    def _ask(self, envelope: Envelope) -> None:
        event = envelope.event
        match event:
            case ApprovalRequested(approval=approval):
                self.approvals[approval.id] = approval
            case ApprovalResolved(approval_id=number):
                self.approvals.pop(number, None)
            case QuestionAsked(question=question):
                self.question = question
            case QuestionAnswered():
                self.question = None
        piece, start = self._write(envelope)
        if isinstance(event, ApprovalRequested):
            piece.points[event.approval.id] = piece.text.index("> **", start)
        self._changed()

    def _write(self, envelope: Envelope) -> tuple[Piece, int]:
        """Write an event's text; returns where it begins, in which piece."""
        piece = self._piece if self.running else None
        if piece is not None:
            start, text = len(piece.text), self._rendering.hear(envelope.event)
        else:
            start, text = 0, Rendering().hear(envelope.event)
            piece = Piece(self.mark(before_draft(self.document)), tail=spacing)
        if text:
            self.writer.put(piece, text)
        return piece, start

    def _finish(self, event: TurnFinished) -> None:
        piece = self._piece
        if piece is not None:
            piece.tail = ending
            self.writer.put(piece, self._rendering.hear(event))
        self.running = False
        self.name_session()
        if event.status != "needsInput":
            self.question = None
        self._changed()


def closed(text: str) -> str:
    """The end of a code fence that a text leaves open."""
    fence = unclosed(text)
    return f"\n{fence}" if fence else ""


def before_draft(document: Document) -> int:
    """The index at which something new goes: below all that was said, above what is not yet sent."""
    *earlier, last = document.sections
    if last.who == "Pygent":
        return last.finish
    return earlier[-1].finish if earlier else last.start


def ending(rest: str) -> str:
    """The last words of an answer: a fresh heading for the person, unless they have written one."""
    lines = rest.lstrip("\n")
    newlines = len(rest) - len(lines)
    if HEADING.match(lines.partition("\n")[0]):
        return "\n" * max(0, 2 - newlines)
    return "\n\n## You" + "\n" * max(0, 2 - newlines)


def spacing(rest: str) -> str:
    """What keeps a remark apart from the text that follows it."""
    newlines = len(rest) - len(rest.lstrip("\n"))
    return "\n" * max(0, 2 - newlines) if rest.strip() else ""
