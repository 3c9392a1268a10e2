"""The interactive screen: streaming Markdown, and a line that says what runs and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from rich.console import Console as Rich
from rich.console import ConsoleOptions, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from pygent.cli.console import Console, Events, asks_for_task, safe
from pygent.events import Envelope, Message, TextDelta, ToolFinished, ToolStarted
from pygent.records import Approval, Decision, Question

ANSWERS = {"y": "accept", "s": "acceptForSession", "n": "decline", "c": "cancel"}


class Screen:
    """The front end of the interactive session; `question` reads a line of the person."""

    name = "terminal"

    def __init__(self, console: Console, question: Callable[[str], Awaitable[str]]) -> None:
        self.session_id = ""
        self._console = console
        self._question = question
        self._rich = Rich(no_color=not console.colour, highlight=False)
        self._events = Events(console)
        self._live: Live | None = None
        self._text = ""
        self._doing = "thinking"
        self._asking = asyncio.Lock()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Show what happens while the block runs."""
        self._begin("thinking")
        try:
            yield
        finally:
            self._stop()

    def emit(self, envelope: Envelope) -> None:
        """Show an event: text as Markdown as it streams, the rest as lines above the status."""
        event = envelope.event
        if envelope.session_id != self.session_id and not asks_for_task(envelope):
            return
        if isinstance(event, TextDelta):
            self._text += safe(event.text)
            self._update()
            return
        if isinstance(event, Message):
            self._settle()
            return
        if isinstance(event, ToolStarted):
            self._doing = safe(event.title)
        live = self._live is not None
        self._stop()
        self._events.show(envelope)
        if isinstance(event, ToolFinished):
            self._doing = "thinking"
        if live:
            self._begin(self._doing)

    async def approve(self, approval: Approval) -> Decision | None:
        """Ask at the prompt: once, for the session, no with a reason, or cancel the turn."""
        async with self._asking:
            live = self._live is not None
            self._stop()
            try:
                return await self._decide(approval)
            finally:
                if live:
                    self._begin(self._doing)

    async def ask(self, question: Question) -> str | None:
        """Ask at the prompt; an option may be given by its number."""
        async with self._asking:
            self._stop()
            for number, option in enumerate(question.options or [], 1):
                self._console.say(f"  {number}. {option}")
            said = (await self._question("? ")).strip()
            self._begin(self._doing)
        options = question.options or []
        if said.isdigit() and 0 < int(said) <= len(options):
            return options[int(said) - 1]
        return said or None

    async def _decide(self, approval: Approval) -> Decision:
        if approval.isolation == "local":
            self._console.say("  There is NO SANDBOX: this runs directly on your machine.", "red")
        while True:
            said = (await self._question("  [y]es  for the [s]ession  [n]o, because …  [c]ancel > ")).strip()
            verdict = ANSWERS.get(said[:1].lower())
            if verdict == "decline":
                return Decision(decision="decline", feedback=said.partition(" ")[2] or None)
            if verdict is not None and len(said) == 1:
                return Decision(decision=verdict)  # type: ignore[arg-type]

    def _begin(self, doing: str) -> None:
        self._doing = doing
        if self._rich.is_terminal and self._live is None:
            self._live = Live(console=self._rich, refresh_per_second=12, transient=True)
            self._live.start()
            self._update()

    def _update(self) -> None:
        if self._live is None:
            return
        if self._text:
            # Only what fits is drawn while it streams; the whole is printed when it is complete.
            rows = max(4, self._rich.size.height - 4)
            self._live.update(Markdown("\n".join(self._text.splitlines()[-rows:])))
        else:
            self._live.update(_Clock(self._doing))

    def _settle(self) -> None:
        text, self._text = self._text, ""
        live = self._live is not None
        self._stop()
        if text.strip():
            self._rich.print(Markdown(text))
        if live:
            self._begin("thinking")

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._text:
            self._rich.print(Markdown(self._text))
            self._text = ""


class _Clock:
    """A spinner with what runs and for how many seconds."""

    def __init__(self, doing: str) -> None:
        self._spinner = Spinner("dots", text=Text(doing, style="cyan"))
        self._doing = doing
        self._began: float | None = None

    def __rich_console__(self, console: Rich, options: ConsoleOptions) -> Iterator[RenderableType]:
        self._began = self._began or console.get_time()
        seconds = int(console.get_time() - self._began)
        self._spinner.update(text=Text(f"{self._doing[:60]} ({seconds} s, Ctrl-C cancels)", style="cyan"))
        yield self._spinner
