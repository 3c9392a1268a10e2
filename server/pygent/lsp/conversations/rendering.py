"""The events of a turn as Markdown that only grows: what is written is never changed again."""

from __future__ import annotations

import html

from pygent.approval_text import asked, content, facts
from pygent.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Compacted,
    Message,
    Notice,
    QuestionAnswered,
    QuestionAsked,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnUndone,
)
from pygent.lsp.conversations.markdown import (
    Neutraliser,
    fence_for,
    neutral,
    one_line,
    unclosed,
)
from pygent.records import Approval, Question

MAX_LINES, MAX_CHARACTERS = 60, 6000
"""Of a tool's output or diff that a document shows; the session has the whole."""

DECISIONS = {
    "accept": "Allowed",
    "acceptForSession": "Allowed for this session",
    "decline": "Denied",
    "cancel": "Denied, and the turn cancelled",
}
STATUS = {"declined": "declined", "cancelled": "cancelled", "timedOut": "timed out", "failed": "failed"}


class Rendering:
    """Turns the events of a turn into text, piece by piece; also what streams, as far as it was heard.

    The same turn read again from the store gives the same text.  One that is `late` has not heard the
    beginning of what streams, and waits for the whole of it.
    """

    def __init__(self, *, late: bool = False) -> None:
        self._late = late
        self._item = ""
        self._raw: list[str] = []
        self._shown: list[str] = []
        self._neutraliser = Neutraliser()
        self._titles: dict[str, str] = {}
        self._diffs: dict[str, str] = {}
        self._end = ""

    def hear(self, event: AnyEvent) -> str:
        """What an event adds."""
        text = self._added(event)
        if text:
            self._end = (self._end + text)[-2:]
        return text

    def _added(self, event: AnyEvent) -> str:
        match event:
            case TextDelta(item_id=item, text=text):
                return "" if self._late else self._say(item, text)
            case Message(role="assistant", item_id=item, text=text):
                return self._settle(item, text)
            case ToolStarted():
                self._titles[event.item_id] = event.title
            case ChangeMade(item_id=item, diff=diff):
                self._diffs[item] = self._diffs.get(item, "") + diff
            case ToolFinished():
                return self._block(_tool(event, self._titles.pop(event.item_id, None), self._diffs))
            case _:
                return self._block(_remark(event))
        return ""

    # -- what the model says ---------------------------------------------------------------------

    def _say(self, item: str, text: str) -> str:
        gap = "" if item == self._item else self._open(item)
        shown = self._neutraliser.feed(text)
        self._raw.append(text)
        self._shown.append(shown)
        return gap + shown

    def _settle(self, item: str, text: str) -> str:
        """The rest of a message that is complete now, and an end for the fence that it left open."""
        self._late = False
        if not text:
            return ""
        gap = "" if item == self._item else self._open(item)
        streamed = "".join(self._raw)
        rest = text[len(streamed) :] if text.startswith(streamed) else ""
        return gap + self._close(rest)

    def _open(self, item: str) -> str:
        before = self._close("") if self._item else ""
        self._end = (self._end + before)[-2:]
        self._item, self._raw, self._shown, self._neutraliser = item, [], [], Neutraliser()
        return before + self._gap()

    def _close(self, rest: str) -> str:
        shown = self._neutraliser.feed(rest, final=True)
        fence = unclosed("".join(self._shown) + shown)
        self._item = ""
        return shown + (f"\n{fence}" if fence else "")

    # -- what happens ----------------------------------------------------------------------------

    def _gap(self) -> str:
        """What is missing to an empty line."""
        return "\n" * (2 - (len(self._end) - len(self._end.rstrip("\n"))))

    def _block(self, text: str) -> str:
        if not text:
            return ""
        before = self._close("") if self._item else ""
        self._end = (self._end + before)[-2:]
        return before + self._gap() + text


def bounded(text: str) -> str:
    """The head and the tail of a long text."""
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        lines = [*lines[:half], f"[… {len(lines) - 2 * half} lines …]", *lines[-half:]]
    text = "\n".join(lines)
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"
    return text


def fenced(text: str, language: str) -> str:
    """Foreign text as a code block that it can't leave."""
    text = neutral(text).strip("\n")
    fence = fence_for(text)
    return f"{fence}{language}\n{text}\n{fence}"


def _tool(done: ToolFinished, title: str | None, diffs: dict[str, str]) -> str:
    """A tool call as a block that previews fold, too."""
    if title is None:
        return ""  # it never began
    facts = [html.escape(one_line(title, 120), quote=False)]
    if done.status in STATUS:
        facts.append(STATUS[done.status])
    if done.exit_code:
        facts.append(f"exit code {done.exit_code}")
    if done.duration_ms >= 1000:
        facts.append(f"{done.duration_ms / 1000:.1f} s")
    diff = diffs.pop(done.item_id, None)
    body = fenced(bounded(diff), "diff") if diff else fenced(bounded(done.output), "text")
    return f"<details><summary>{' · '.join(facts)}</summary>\n\n{body}\n\n</details>"


def _remark(event: AnyEvent) -> str:
    match event:
        case ApprovalRequested() | ApprovalResolved() | QuestionAsked() | QuestionAnswered():
            return _asking(event)
        case Notice(level=level, text=text) if level != "info":
            return _quote(f"**{level.capitalize()}:** {neutral(text)}")
        case Compacted():
            return _quote("Older messages were replaced by a summary for the model.")
        case TurnUndone(redone=redone):
            return _quote(f"The changes of a turn were {'made again' if redone else 'taken back'}.")
        case TurnFinished():
            return _finished(event)
        case _:
            return ""


def _asking(event: ApprovalRequested | ApprovalResolved | QuestionAsked | QuestionAnswered) -> str:
    match event:
        case ApprovalRequested(approval=approval):
            return _approval(approval)
        case ApprovalResolved(decision=decision, by=by, feedback=feedback):
            reason = f": {one_line(feedback, 200)}" if feedback else ""
            return _quote(f"**{DECISIONS[decision]}** ({one_line(by, 40)}){reason}")
        case QuestionAsked(question=question):
            return _question(question)
        case QuestionAnswered(answer=answer):
            return _quote(f"**Answered:** {neutral(answer)}")


def _approval(approval: Approval) -> str:
    """All of it: a quoted line can be no heading and no line of ours, whatever it says."""
    isolation = "NO SANDBOX" if approval.isolation == "local" else approval.isolation
    text = content(approval)
    fence = fence_for(text)
    language = "diff" if approval.diff else "sh" if approval.command else "text"
    lines = [
        f"**Approval needed** ({isolation}): {asked(approval)}",
        *[f"\n{fact}" for fact in facts(approval)],
        f"\n{fence}{language}\n{text}\n{fence}\n",
        "`Allow`, `Allow for session` or `Deny`: a code lens, or a code action here.",
    ]
    return "\n".join(f"> {line}" if line else ">" for line in "\n".join(lines).split("\n"))


def lines_of(approval: Approval) -> int:
    """How many lines the block of an approval has."""
    return _approval(approval).count("\n") + 1


def _question(question: Question) -> str:
    options = [f"{n}. {one_line(option, 200)}" for n, option in enumerate(question.options or [], 1)]
    said = "\n".join(["**Question:** " + neutral(question.prompt), *([""] if options else []), *options])
    return _quote(said)


def _finished(end: TurnFinished) -> str:
    if end.status == "cancelled":
        return _quote("**Stopped.**")
    if end.error is not None:
        name = "Limit" if end.status == "limit" else "Failed"
        return _quote(f"**{name}:** {neutral(end.error.message)} {neutral(end.error.fix or '')}".rstrip())
    return ""


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
