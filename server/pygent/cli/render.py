"""The screen of a conversation: what happens as lines, what is being written and done below them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from pygent.budget import worded
from pygent.cli import markdown
from pygent.cli.asking import CHOICES, HELP, decision_of, show_approval
from pygent.cli.console import Console, cut, fitting, safe
from pygent.cli.lines import Events, asks_for_task
from pygent.events import (
    ApprovalRequested,
    ApprovalResolved,
    Envelope,
    Message,
    Notice,
    QuestionAsked,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from pygent.records import Approval, Decision, Question, now_ms

PACE = 0.12
"""Seconds between two pictures of the clock."""
FRAMES, PLAIN_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
SAID = {"accept": "allowed", "acceptForSession": "allowed for this session", "decline": "declined"}


class Screen:
    """The front end of the interactive session.

    `redraw` asks for the part below the lines to be drawn again; `aside` and `back` put away what the person
    is typing while something is asked.
    """

    name = "terminal"

    def __init__(self, console: Console) -> None:
        self.session_id = ""
        self.redraw: Callable[[], None] = lambda: None
        self.aside: Callable[[], None] = lambda: None
        self.back: Callable[[], None] = lambda: None
        self._console = console
        self._events = Events(console)
        self._doing: str | None = None
        self._since = 0.0
        self._text = ""
        self._again: Notice | None = None
        """The retry that is waited for."""
        self._tail: deque[str] = deque(maxlen=3)
        self._asking = asyncio.Lock()
        self._answer: asyncio.Future[str] | None = None
        self._ask_label = ""
        self._clock: asyncio.Task[None] | None = None

    # -- what happens ----------------------------------------------------------------------------

    def emit(self, envelope: Envelope) -> None:
        """Show an event: text as Markdown, block by block, the rest as lines."""
        event = envelope.event
        if envelope.session_id != self.session_id and not asks_for_task(envelope):
            return
        self._again = event if isinstance(event, Notice) and event.code == "retry" else None
        match event:
            case TextDelta(text=text):
                done, self._text = markdown.split(self._text + safe(text))
                self.write(done)
            case Message():
                self._settle()
            case TurnStarted():
                self.begin("thinking")
            case TurnFinished() as end:
                self._finished(end)
            case ApprovalRequested() | QuestionAsked() | ApprovalResolved(by=self.name):
                pass  # shown where it is asked
            case _:
                self._line(envelope)
        self.redraw()

    def _line(self, envelope: Envelope) -> None:
        self._settle()
        if not _is_declined(envelope):
            self._events.show(envelope)
        match envelope.event:
            case ToolStarted(title=title):
                self._doing = title
            case ToolOutput(text=text):
                self._tail.extend(line for line in safe(text).split("\n") if line.strip())
            case ToolFinished():
                self._tail.clear()
                self._doing = "thinking"

    @property
    def columns(self) -> int:
        """How wide the terminal is now."""
        return 80 if self._console.columns is None else self._console.columns()

    def _finished(self, end: TurnFinished) -> None:
        self._settle()
        if end.status == "cancelled":
            self._console.say("Cancelled. The conversation goes on from here.", "yellow")
        if end.error is not None:
            self._console.error(end.error.message, end.error.fix)
        self._console.say(worded(end.usage), "dim")
        self.end()

    def _settle(self) -> None:
        text, self._text = self._text, ""
        self.write(text)

    def write(self, text: str) -> None:
        """Show what an assistant says, as Markdown."""
        if text.strip():
            drawn = markdown.draw(text, self.columns, colour=self._console.colour)
            self._console.raw(("" if self._console.parted else "\n") + drawn + "\n\n", self._console.out)

    @property
    def working(self) -> bool:
        """Whether anything is being done."""
        return self._doing is not None

    # -- what is being done ----------------------------------------------------------------------

    def begin(self, doing: str) -> None:
        """Show what is being done, and for how long."""
        self._doing, self._since = doing, time.monotonic()
        if self._clock is None:
            self._clock = asyncio.create_task(self._tick(), name="clock")

    def end(self) -> None:
        """Show no longer that anything is done."""
        self._doing = None
        self._tail.clear()
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        self.redraw()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(PACE)
            self.redraw()

    def live(self, columns: int, rows: int) -> str:
        """What is drawn above the prompt: the block that is being written, or what runs."""
        if self._doing is None or self._answer is not None:
            return ""
        shown: list[str] = []
        if self._text.strip():
            drawn = markdown.draw(markdown.tail(self._text, rows), columns, colour=self._console.colour)
            shown = drawn.split("\n")[-max(1, rows - 1) :]
        elif self._tail:
            shown = [self._console.style(cut(f"  │ {line}", columns), "dim") for line in self._tail]
        return fitting("\n".join([*shown[-rows:], self._status(columns)]), self._console.out)

    def _status(self, columns: int) -> str:
        seconds = time.monotonic() - self._since
        frames = FRAMES if fitting("…", self._console.out) == "…" else PLAIN_FRAMES
        frame = frames[int(seconds / PACE) % len(frames)]
        end = f" ({int(seconds)} s · Ctrl-C cancels)"
        doing = cut(safe(self._now()).replace("\n", " "), max(10, min(60, columns - len(end) - 3)))
        return self._console.style(f"{frame} {doing}{end}", "cyan")

    def _now(self) -> str:
        """What is being done, or how long until a request is sent again."""
        again = self._again
        left = 0 if again is None or again.retry_at is None else again.retry_at - now_ms()
        if again is None or left <= 0:
            return self._doing or ""
        return f"trying again in {math.ceil(left / 1000)} s ({again.attempt} of {again.attempts})"

    # -- what is asked ---------------------------------------------------------------------------

    def label(self, columns: int, name: str) -> str:
        """What stands before the line: what is asked, or who listens."""
        if self._answer is None:
            return self._console.style(f"{safe(name)}> ", "bold")
        label = self._ask_label if len(self._ask_label) < columns - 10 else "y/s/n/c > "
        return self._console.style(label, "yellow")

    def answer(self, text: str) -> bool:
        """Take a line as the answer to what is asked; False if nothing is."""
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(text.strip())
        return True

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask at the prompt: once, for the session, no with a reason, or cancel the turn."""
        async with self._asking:
            self._settle()
            show_approval(self._console, approval)
            while (decision := decision_of(await self._ask(CHOICES))) is None:
                self._console.say(HELP, "dim")
        said = SAID.get(decision.decision, "cancelled")
        self._console.say(f"  {said}{': ' + decision.feedback if decision.feedback else ''}", "dim")
        return decision

    async def ask(self, question: Question) -> str | None:
        """Ask at the prompt; an option may be given by its number."""
        options = question.options or []
        async with self._asking:
            self._settle()
            self._console.say(f"? {question.prompt}", "yellow")
            for number, option in enumerate(options, 1):
                self._console.say(f"  {number}. {option}")
            said = await self._ask("? ")
        if said.isdigit() and 0 < int(said) <= len(options):
            said = options[int(said) - 1]
        self._console.say(f"  {said}", "dim")
        return said or None

    async def _ask(self, label: str) -> str:
        self._ask_label, self._answer = label, asyncio.get_running_loop().create_future()
        self.aside()
        self.redraw()
        try:
            return await self._answer
        finally:
            self._answer = None
            self.back()


def _is_declined(envelope: Envelope) -> bool:
    """Whether it is the end of a call that the person has just declined here."""
    return isinstance(envelope.event, ToolFinished) and envelope.event.status == "declined"
