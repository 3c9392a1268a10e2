"""Events as lines: what the agent does, as it is told on a terminal or in a log."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from pygent.cli.asking import show_approval
from pygent.cli.console import Console, ago, safe
from pygent.cli.diffs import styled
from pygent.events import (
    ApprovalRequested,
    ApprovalResolved,
    ChangeMade,
    Compacted,
    Envelope,
    Notice,
    QuestionAsked,
    TaskChanged,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from pygent.records import Task

LINES, LAST = 10, 3
"""Lines of a command's output that are shown as they come, and of the rest at its end."""
WIDEST, LONGEST_DIFF = 400, 60
"""Characters of a line of output, and lines of a change, that are shown."""


@dataclass(slots=True)
class Output:
    """What a running tool has written: how many lines, the last of them, and the one that is not ended."""

    count: int = 0
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST))
    begun: str = ""

    def feed(self, text: str) -> list[str]:
        """Take in a piece; returns those of its lines that are shown at once."""
        *lines, self.begun = (self.begun + text).split("\n")
        self.begun = self.begun[-WIDEST * 10 :]
        shown = [_as_seen(line) for line in lines]
        at_once = shown[: max(0, LINES - self.count)]
        self.count += len(lines)
        self.last.extend(shown[len(at_once) :])
        return at_once


def _as_seen(line: str) -> str:
    """A line after its carriage returns, which progress bars begin anew with; cut if it is very long."""
    line = line.rstrip("\r").rpartition("\r")[2]
    return line if len(line) <= WIDEST else f"{line[:WIDEST]}… ({len(line) - WIDEST} more characters)"


class Events:
    """Shows events as lines; `answers` says whether the assistant's text goes to standard output."""

    def __init__(self, console: Console, *, answers: bool = True) -> None:
        self._console = console
        self._answers = answers
        self._midline = False
        self._outputs: dict[str, Output] = {}
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
                _show_diff(console, diff, LONGEST_DIFF)
            case Notice(level=level, text=text):
                self._line(text, {"info": "dim", "warning": "yellow", "error": "red"}[level])
            case ApprovalRequested(approval=approval):
                self._break()
                show_approval(console, approval)
            case ApprovalResolved(decision=decision, by=by):
                self._line(f"  {decision} ({by})", "dim")
            case QuestionAsked(question=question):
                options = f" [{' / '.join(question.options)}]" if question.options else ""
                self._line(f"? {question.prompt}{options}", "yellow")
            case TaskChanged(task=task):
                self._task(task)
            case Compacted() as made:
                self._line(f"The conversation was made shorter: {made.told}", "dim")
            case _:
                pass

    def end(self) -> None:
        """Finish a line that was begun."""
        self._break()

    def _text(self, text: str) -> None:
        console = self._console
        console.raw(safe(text), console.out if self._answers else console.err)
        self._midline = not text.endswith("\n")

    def _output(self, item: str, text: str) -> None:
        self._break()
        for line in self._outputs.setdefault(item, Output()).feed(text):
            self._console.say(f"  │ {line}", "dim")

    def _finished(self, done: ToolFinished) -> None:
        output = self._outputs.pop(done.item_id, Output())
        rest = output.feed("\n") if output.begun else []
        hidden = output.count - LINES - len(output.last)
        rest += [f"… {hidden} more lines …"] if hidden > 0 else []
        for line in [*rest, *output.last]:
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
            self._console.raw("\n", self._console.out if self._answers else self._console.err)
            self._midline = False


def asks_for_task(envelope: Envelope) -> bool:
    """Whether a background task asks the person for something."""
    return envelope.task_id is not None and isinstance(envelope.event, ApprovalRequested | QuestionAsked)


def _show_diff(console: Console, diff: str, most: int) -> None:
    """A unified diff in colour; at most so many lines of it."""
    lines = list(styled(diff))
    for line, style in lines[:most]:
        console.say(f"  {line}", style)
    if len(lines) > most:
        console.say(f"  … {len(lines) - most} more lines of this change …", "dim")


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
