"""Asking for consent on a terminal: what is shown, which words are answers, and what is none."""

from __future__ import annotations

import contextlib
import re

from pygent.approval_text import NO_SANDBOX, content, facts, title
from pygent.cli.console import Console
from pygent.cli.diffs import styled
from pygent.records import Approval, Decision, Verdict

CHOICES = "[y]es  [s]ession  [n]o, because …  [c]ancel > "
HELP = "  Answer y, s, n or c, or the whole word; what follows n is told to the agent."
ANSWERS: dict[str, Verdict] = {"y": "accept", "s": "acceptForSession", "c": "cancel"}
_ANSWER = re.compile(r"(?i)(y|yes|s|session|c|cancel)|(?:n|no)(?:[\s,:]+(.*))?", re.S)


def show_approval(console: Console, approval: Approval) -> None:
    """Show all that would be done, and where: nobody should allow a line that was cut."""
    console.say(f"? {title(approval)}", "yellow")
    for fact in facts(approval):
        console.say(f"  {fact}", "red" if fact == NO_SANDBOX else "dim")
    if approval.diff:
        for line, style in styled(content(approval)):
            console.exact(f"  {line}", style)
        return
    for line in content(approval).split("\n"):
        console.exact(f"  {line}")


def decision_of(said: str) -> Decision | None:
    """What a person's line decides; None for anything but the words of `HELP`."""
    found = _ANSWER.fullmatch(said.strip())
    if found is None:
        return None
    if found[1] is None:
        return Decision(decision="decline", feedback=(found[2] or "").strip() or None)
    return Decision(decision=ANSWERS[found[1][0].lower()])


def forget_typed(terminal: int) -> None:
    """Drop what was typed into a terminal and not read yet: it answers nothing that is asked from now on."""
    try:
        import termios  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    with contextlib.suppress(termios.error):  # no terminal
        termios.tcflush(terminal, termios.TCIFLUSH)
