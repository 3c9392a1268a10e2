"""Keeping prompts within what the model takes: in big, rare steps, so that servers can cache their beginning.

First long outputs of older steps are cut, then the steps of older turns go, then everything but the last
steps becomes a summary that the model writes.  Each is an event of the session, so that what the model is
sent stays a projection of what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pygent.context import Meter
from pygent.errors import ContextOverflow, ModelError
from pygent.events import Compacted, Emit
from pygent.model import Listener, Model, Prompt
from pygent.prompts import style
from pygent.records import Usage
from pygent.shortening import Entry, boundary, cut, files_of, message_of
from pygent.transcript import Transcript, shortened

HIGH, ENOUGH, FULL = 0.8, 0.6, 0.95
"""Parts of the window: where room is made, down to where, and what is still sent when it can't be made."""
TAIL, LAST_STEP = 0.25, 0.5
"""Parts of the window that the last steps, or the very last one alone, may fill unchanged."""
KEEP, KEEP_LEAST = 1500, 300
"""Characters that are left of a long output."""
RENDERED = 0.5
"""Part of the window that what is to be summarised may take."""
UNKNOWN_WINDOW = 32_000
IN_A_ROW = 3
"""Summaries at neighbouring steps after which the window is too small for the work."""
ATTEMPTS = 3
SHORT, PATIENCE = 5000, 5.0
"""Tokens of a prompt that is sent before the window is known, and seconds that asking for it may take."""
FIRST_WORDS, WORDS, MESSAGES = 4000, 600, 20
"""Characters kept of the person's first and last message, of the others, and how many of those."""
PATHS = 60


@dataclass(slots=True)
class Compaction:
    """The room of one session's prompts for one model.

    `fixed` are the bytes of what is sent beside the messages: instructions and tools.  `window` are the
    tokens that the model takes, None where nobody knows, `configured` what the person says it takes.
    `spend` hears what a summary cost, `before` is the prompt's length before a person asked for one.
    """

    model: Model
    model_name: str
    transcript: Transcript
    meter: Meter
    emit: Emit
    fixed: int
    spend: Callable[[Usage | None, int, str], object]
    configured: int | None = None
    window: int | None = None
    before: int = 0
    _told: int | None = None
    _looked: bool = False
    _steps: int = field(default=0)
    _last_summary: int = field(default=-IN_A_ROW)
    _in_a_row: int = field(default=0)

    @property
    def size(self) -> int:
        """The bytes of the next prompt."""
        return self.fixed + self.transcript.size

    @property
    def tokens(self) -> int:
        """The tokens of the next prompt, estimated."""
        return self.meter.tokens(self.size)

    async def before_step(self) -> None:
        """Make room if the next prompt would come near the window.

        Raises ContextOverflow where none can be made, and ModelError where the model can't summarise.
        """
        self._steps += 1
        await self._look()
        if self.window is not None and self.tokens > HIGH * self.window:
            await self._make_room(self.window)

    async def after_overflow(self, error: ContextOverflow) -> None:
        """Make room because the server refused the prompt.  Raises as `before_step`, with the numbers."""
        before = self.tokens
        if error.requested is not None:
            self.meter.calibrate(self.size, error.requested)
        limit = error.limit or int(0.9 * min(before, self.window or before))
        if self.tokens <= limit:  # we count too low
            self.meter.calibrate(self.size, int(1.1 * limit))
        self.meter.learn_window(self.model_name, limit)
        self.window, size = limit, self.size
        await self._make_room(limit)
        if self.size > FULL * size:
            raise self._too_long(limit) from error

    async def on_request(self) -> None:
        """Summarise everything because the person wants it; where that saves nothing it stays as it is."""
        self.before = self.tokens
        await self._look()
        await self.summarise(self.transcript.seq)

    async def summarise(self, through: int) -> bool:
        """Put a summary in the place of what happened up to an event; False if that saves nothing.

        Raises ModelError, and CancelledError, in which case nothing has changed.
        """
        entries = self.transcript.entries
        older = entries[: boundary(entries, through, open_calls=bool(self.transcript.open_calls))]
        if len(older) < 2:  # a summary is not summarised again
            return False
        said = [text for seq, text in self.transcript.said if seq <= through]
        files = {**self.transcript.files, **files_of(older)}
        memory = _memory(said, files, await self._words(older))
        return self._apply(self._plan(entries, "summary", through, summary=memory))

    async def _look(self) -> None:
        """Find out what the model takes; the server is not asked while a short first prompt would wait."""
        if not self._looked and self.configured is None and (self._steps > 1 or self.tokens > SHORT):
            self._looked = True
            with contextlib.suppress(asyncio.TimeoutError):
                self._told = await asyncio.wait_for(self.model.window(self.model_name), PATIENCE)
        self.window = self.meter.window(self.model_name, told=self._told, configured=self.configured)

    async def _make_room(self, window: int) -> None:
        target, room = ENOUGH * window, self.meter.size(window) // 8
        through, step = self._older(window)
        if step > LAST_STEP * window:
            self._apply(self._plan(self.transcript.entries, "outputs", self.transcript.seq, keep=room))
            if self.tokens <= target:
                return
        if self._shorten(through, target):
            return
        self._guard(window)
        await self.summarise(through)
        for keep in (room, KEEP, KEEP_LEAST):
            if self.tokens <= HIGH * window:
                return
            self._apply(self._plan(self.transcript.entries, "outputs", self.transcript.seq, keep=keep))
        if self.tokens > FULL * window:
            raise self._too_long(window)

    def _guard(self, window: int) -> None:
        """Stop where each step needs a summary: that would burn money and get nowhere."""
        self._in_a_row = self._in_a_row + 1 if self._steps - self._last_summary <= 1 else 1
        self._last_summary = self._steps
        if self._in_a_row > IN_A_ROW:
            raise self._too_long(window)

    def _older(self, window: int) -> tuple[int, int]:
        """The last event of what is older than the last steps, and the tokens of the very last step.

        What the model has just asked for is never older: it would ask again.
        """
        entries, weight, at = self.transcript.entries, 0, len(self.transcript.entries)
        while at and self.meter.tokens(weight + entries[at - 1].weight) <= TAIL * window:
            at -= 1
            weight += entries[at].weight
        last = len(entries) - 1
        while last > 0 and entries[last].role == "tool":
            last -= 1
        step = self.meter.tokens(sum(found.weight for found in entries[last:]))
        at = min(at, last)
        return entries[at - 1].seq if at else 0, step

    def _shorten(self, through: int, target: float) -> bool:
        """Cut older outputs and, if need be, drop the steps of older turns; False if that is not enough."""
        plan: list[Compacted] = []
        entries = self.transcript.entries
        earlier = min(through, self.transcript.turn_began - 1)
        for form, until in (("outputs", through), ("turns", earlier)):
            event = self._plan(entries, form, until, keep=KEEP)  # type: ignore[arg-type]
            entries = shortened(entries, event, open_calls=False)
            plan.append(event)
            if event.tokens_after <= target:
                for one in plan:
                    self._apply(one)
                return True
        return False

    def _plan(
        self,
        entries: Sequence[Entry],
        form: Literal["outputs", "turns", "summary"],
        through: int,
        *,
        keep: int = 0,
        summary: str = "",
    ) -> Compacted:
        event = Compacted(
            tokens_before=self._tokens(entries),
            tokens_after=0,
            form=form,
            through=through,
            keep=keep if form == "outputs" else 0,
            summary=summary,
        )
        after = shortened(entries, event, open_calls=bool(self.transcript.open_calls))
        return msgspec.structs.replace(event, tokens_after=self._tokens(after))

    def _tokens(self, entries: Sequence[Entry]) -> int:
        return self.meter.tokens(self.fixed + sum(found.weight for found in entries))

    def _apply(self, event: Compacted) -> bool:
        """Make it so, if it saves anything."""
        if event.tokens_after >= event.tokens_before:
            return False
        self.emit(event)
        return True

    async def _words(self, older: Sequence[Entry]) -> str:
        """The model's summary, of less if even that is too long; empty if it can't be had at all."""
        limit = self.meter.size(RENDERED * (self.window or UNKNOWN_WINDOW))
        for _ in range(ATTEMPTS):
            text = _rendered(older, limit)
            prompt = Prompt(_asked(text), None, self.model_name)
            listener = Listener(text=lambda _: None, reasoning=lambda _: None, notice=self.emit)
            try:
                answer = await self.model.answer(prompt, listener)
            except ContextOverflow:
                limit = min(limit, len(text)) // 3
                continue
            self.spend(answer.usage, sum(map(len, prompt.messages)), answer.text)
            return answer.text
        return ""

    def _too_long(self, window: int) -> ModelError:
        needed, fixed = self.tokens, self.meter.tokens(self.fixed)
        message = (
            f"The conversation needs about {needed:,} tokens, {fixed:,} of them for instructions and tools, "
            f"and {self.model_name} takes {window:,}; it can't be made short enough."
        )
        fix = "Go on with a model that takes more, switch tools off, or begin a session; nothing is lost."
        return ContextOverflow(message, fix, limit=window, requested=needed)


def _memory(said: Sequence[str], files: dict[str, str], words: str) -> str:
    """What stands in the place of older messages: the facts as they are stored, then the model's words."""
    parts = [
        "[The older part of this conversation was replaced by this summary to save room.]",
        "What the person said, in their own words, the first message first:",
        *(f"- {text}" for text in _quoted(said)),
    ]
    for state, title in (("changed", "Files you changed"), ("read", "Files you read")):
        paths = [path for path, how in files.items() if how == state][-PATHS:]
        if paths:
            parts.append(f"{title}: {', '.join(paths)}.")
    parts.append(f"Your summary:\n{words.strip() or 'None could be made; read again what you need.'}")
    return "\n".join(parts)


def _quoted(said: Sequence[str]) -> list[str]:
    ends = {0, len(said) - 1}
    texts = [cut(text, FIRST_WORDS if at in ends else WORDS) for at, text in enumerate(said)]
    if len(texts) <= MESSAGES:
        return texts
    gone = len(texts) - MESSAGES
    return [texts[0], f"[… {gone} messages …]", *texts[-MESSAGES + 1 :]]


def _asked(conversation: str) -> list[bytes]:
    """The messages that ask for the summary of a conversation, given as plain text."""
    said = f"The older part of the conversation:\n\n{conversation}\n\nWrite the summary."
    return [
        msgspec.json.encode({"role": "system", "content": style("summary")}),
        msgspec.json.encode({"role": "user", "content": said}),
    ]


def _rendered(entries: Sequence[Entry], limit: int) -> str:
    """Messages as plain text of at most about `limit` characters; the latest count most."""
    return cut_middle("\n\n".join(map(_line, entries)), limit)


def cut_middle(text: str, limit: int) -> str:
    """A text without what is too much after its first fifth."""
    if len(text) <= limit:
        return text
    head = limit // 5
    return f"{text[:head]}\n\n[… {len(text) - limit} characters …]\n\n{text[head - limit :]}"


def _line(found: Entry) -> str:
    message = message_of(found)
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(part.get("text", "[image]") for part in content)
    if found.role != "assistant":
        who = "Result" if found.role == "tool" else "Person"
        return f"{who}: {cut(str(content), 2 * WORDS if found.role == 'tool' else FIRST_WORDS)}"
    calls = [call["function"] for call in message.get("tool_calls", ())]
    lines = [f"Agent: {content}"] if content else []
    return "\n".join(lines + [f"Call: {call['name']} {cut(call['arguments'], WORDS)}" for call in calls])
