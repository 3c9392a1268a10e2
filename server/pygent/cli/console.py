"""What goes to the terminal: the answer to standard output, everything else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import msgspec

from pygent.events import (
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Envelope,
    Notice,
    QuestionAsked,
    TaskChanged,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from pygent.records import Task, Usage

STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
LINES, LAST = 10, 3
"""Lines of a command's output that are shown as they come, and of the rest at its end."""


@dataclass(slots=True)
class Console:
    """Two streams and whether they take colours."""

    out: TextIO
    err: TextIO
    colour: bool

    @classmethod
    def standard(cls, environ: Mapping[str, str]) -> Console:
        """The process's own streams; colours on a terminal unless NO_COLOR says otherwise (no-color.org)."""
        plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
        return cls(sys.stdout, sys.stderr, sys.stderr.isatty() and not plain)

    def style(self, text: str, *styles: str) -> str:
        """The text in colour where there are colours."""
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def say(self, text: str, *styles: str) -> None:
        """A line for the person."""
        self.err.write(self.style(safe(text), *styles) + "\n")
        self.err.flush()

    def error(self, text: str, fix: str | None = None) -> None:
        """A line that says what went wrong, and one that says what to do."""
        self.say(f"pygent: {text}", "red")
        if fix:
            self.say(f"  {fix}")

    def answer(self, text: str) -> None:
        """A piece of the answer."""
        self.out.write(safe(text))
        self.out.flush()

    def json(self, value: Any) -> None:
        """A value as a line of JSON."""
        self.out.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
        self.out.flush()

    def table(self, rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
        """Rows under headings, in columns."""
        widths = [max(len(row[n]) for row in [headings, *rows]) for n in range(len(headings))]
        for number, row in enumerate([headings, *rows]):
            line = "  ".join(safe(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
            self.answer((self.style(line.rstrip(), "bold") if number == 0 else line.rstrip()) + "\n")


class Events:
    """Shows events as lines; `answers` says whether the assistant's text goes to standard output."""

    def __init__(self, console: Console, *, answers: bool = True) -> None:
        self._console = console
        self._answers = answers
        self._midline = False
        self._shown: dict[str, list[str]] = {}
        self._partial: dict[str, str] = {}
        self._tasks: dict[str, str] = {}

    def show(self, envelope: Envelope) -> None:  # noqa: C901, PLR0912 - one match over the vocabulary
        """Show one."""
        console = self._console
        match envelope.event:
            case TextDelta(text=text):
                self._text(text)
            case ToolStarted(title=title):
                self._line(f"● {title}", "cyan")
            case ToolOutput(item_id=item, text=text):
                self._output(item, text)
            case ToolFinished() as done:
                self._finished(done)
            case ChangeMade(diff=diff):
                self._break()
                show_diff(console, diff)
            case Notice(level=level, text=text):
                self._line(text, {"info": "dim", "warning": "yellow", "error": "red"}[level])
            case ApprovalRequested(approval=approval):
                self._line(f"? {approval.title}: {approval.detail}", "yellow")
            case ApprovalResolved(decision=decision, by=by):
                self._line(f"  {decision} ({by})", "dim")
            case QuestionAsked(question=question):
                options = f" [{' / '.join(question.options)}]" if question.options else ""
                self._line(f"? {question.prompt}{options}", "yellow")
            case TaskChanged(task=task):
                self._task(task)
            case _:
                pass

    def end(self) -> None:
        """Finish a line that was begun."""
        self._break()

    def _text(self, text: str) -> None:
        if self._answers:
            self._console.answer(text)
        else:
            self._console.err.write(safe(text))
            self._console.err.flush()
        self._midline = not text.endswith("\n")

    def _output(self, item: str, text: str) -> None:
        *lines, rest = (self._partial.pop(item, "") + text).split("\n")
        if rest:
            self._partial[item] = rest
        self._break()
        shown = self._shown.setdefault(item, [])
        for line in lines:
            if len(shown) < LINES:
                self._console.say(f"  │ {line}", "dim")
            shown.append(line)

    def _finished(self, done: ToolFinished) -> None:
        if rest := self._partial.pop(done.item_id, ""):
            self._output(done.item_id, rest + "\n")
        hidden = self._shown.pop(done.item_id, [])[LINES:]
        if len(hidden) > LAST:
            self._line(f"  │ … {len(hidden) - LAST} more lines …", "dim")
        for line in hidden[-LAST:]:
            self._line(f"  │ {line}", "dim")
        if done.exit_code:
            self._line(f"  └ exit code {done.exit_code}", "yellow")
        elif done.status != "completed":
            first, _, _ = done.output.partition("\n")
            self._line(f"  └ {done.status}: {first[:200]}", "yellow")

    def _task(self, task: Task) -> None:
        if self._tasks.get(task.id) != task.status:
            self._tasks[task.id] = task.status
            self._line(f"◇ {task.persona.name} ({task.id}) is {task.status}: {task.title}", "cyan")

    def _line(self, text: str, *styles: str) -> None:
        self._break()
        self._console.say(text, *styles)

    def _break(self) -> None:
        if self._midline:
            stream = self._console.out if self._answers else self._console.err
            stream.write("\n")
            stream.flush()
            self._midline = False


def asks_for_task(envelope: Envelope) -> bool:
    """Whether a background task asks the person for something."""
    return envelope.task_id is not None and isinstance(envelope.event, ApprovalRequested | QuestionAsked)


def show_diff(console: Console, diff: str) -> None:
    """A unified diff in colour."""
    for line in diff.splitlines():
        styles = {"+": ("green",), "-": ("red",), "@": ("cyan",)}.get(line[:1], ("dim",))
        console.say(f"  {line}", *styles)


def usage_line(usage: Usage) -> str:
    """The tokens of a turn in a few words."""
    cached = f", {usage.cached_tokens:,} cached" if usage.cached_tokens else ""
    return f"{usage.prompt_tokens:,} tokens in{cached}, {usage.completion_tokens:,} out"


def safe(text: str) -> str:
    """Text without control characters: a model must not write to the terminal's own controls."""
    return "".join(char for char in text if char in "\n\t" or char.isprintable() or char in "\u200d\ufe0f")


TASK_COLUMNS = ("task", "status", "made", "took", "steps", "persona", "title")


def task_row(task: Task) -> list[str]:
    """A task as a row of `TASK_COLUMNS`."""
    status: str = task.status
    if task.queue_place is not None:
        status = f"queued, {task.queue_place}."
    elif task.waiting_for is not None:
        status = f"waiting: {task.waiting_for[:40]}"
    end = task.finished_at or time.time() * 1000
    took = "" if task.started_at is None else f"{int(end - task.started_at) // 1000} s"
    return [task.id, status, ago(task.created_at), took, str(task.steps), task.persona.name, task.title]


def brief(value: Any) -> str:
    """A value of a setting or record on one line."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def ago(at: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(time.time() - at / 1000))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
