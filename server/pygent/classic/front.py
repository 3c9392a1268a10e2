"""What a script's terminal shows of its agents, and how it is asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from pygent.approval_text import content, facts
from pygent.events import Envelope, Message, Notice, ToolFinished, ToolStarted
from pygent.records import Approval, Decision, Question, Verdict
from pygent.sandbox.output import Cleaner

ANSWERS: dict[str, Verdict] = {"y": "accept", "yes": "accept", "n": "decline", "no": "decline"}
QUIET = ("ask_user", "stop")
"""Tools whose results say nothing to a person."""


class Front:
    """A terminal that shows one session; `listen` hears its events first and tells whether to show them.

    `confirms` tells whether commands are asked for.  Without a terminal nothing can be asked, and what
    needs consent is declined.
    """

    name = "script"

    def __init__(
        self, session_id: str, speaker: str, listen: Callable[[Envelope], bool], confirms: Callable[[], bool]
    ) -> None:
        self._session_id = session_id
        self._speaker = speaker
        self._listen = listen
        self._confirms = confirms
        self._tools: dict[str, str] = {}
        self._console = Console()

    def emit(self, envelope: Envelope) -> None:
        """Show what a person would want to see."""
        if envelope.session_id != self._session_id or not self._listen(envelope):
            return
        match envelope.event:
            case ToolStarted(item_id=item, name=name):
                self._tools[item] = name
            case ToolFinished(item_id=item, output=output):
                name = self._tools.get(item, "tool")
                if name not in QUIET:
                    self._panel(Text(_plain(output)), f"{self._speaker} tool:{name}", "bright_blue")
            case Message(role="assistant", text=text, tool_calls=[]):
                self._panel(Markdown(_plain(text)), f"{self._speaker} replied", "green")
            case Notice(level="warning" | "error", text=text):
                sys.stderr.write(f"{_plain(text)}\n")
            case _:
                pass

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask on the terminal."""
        if approval.session_id != self._session_id:
            return None
        if approval.kind == "command" and not self._confirms():
            return Decision(decision="accept")
        if not sys.stdin.isatty():
            sys.stderr.write(
                "Declined, as there is no terminal to ask on: "
                f"{_plain(approval.title)}. PYGENT_CONFIRM_BASH=0 runs commands unasked.\n"
            )
            return Decision(decision="decline")
        shown = "\n".join([*facts(approval), "", content(approval)])
        self._panel(Text(shown), approval.title, "yellow")
        while (said := await asyncio.to_thread(self._read_answer)) not in ANSWERS:
            sys.stderr.write("Answer y or yes, n or no.\n")
        return Decision(decision=ANSWERS[said])

    def _read_answer(self) -> str:
        """What the person says; no at the end of input."""
        try:
            return self._console.input("Allow this? (y/n): ").strip().lower()
        except EOFError:
            return "no"

    async def ask(self, question: Question) -> str | None:
        """Questions end the turn: the script's next message is the answer, as in Pygent 1.0."""
        return None

    def _panel(self, content: Text | Markdown, title: str, colour: str) -> None:
        self._console.print(
            Panel(content, title=Text(_plain(title)), title_align="left", border_style=colour)
        )


def _plain(text: str) -> str:
    """A text that can't reach the terminal's controls."""
    return Cleaner().feed(text.encode("utf-8", "replace"), final=True)
