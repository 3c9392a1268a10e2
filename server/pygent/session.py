"""A session: everything that one conversation owns, and the turns that run in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pygent.agent import Ending, StepTimedOut
from pygent.checkpoints import Undone
from pygent.compaction import Compaction
from pygent.equipment import Equipped
from pygent.errors import PygentError
from pygent.events import (
    AnyEvent,
    ChangeMade,
    Notice,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    TurnUndone,
    UsageReported,
)
from pygent.mailbox import Mailbox
from pygent.paths import path_of
from pygent.records import Change, Failure, Mail, SessionInfo, TurnResult, new_id
from pygent.tasks import failure_of
from pygent.tools.images import image_type
from pygent.transcript import INTERRUPTED

log = logging.getLogger("pygent.session")
TITLE = 60
"""Characters of a session's title, which is the start of its first message."""
POLL = 0.5
"""Seconds between looks at a turn of another process."""


class Session(Equipped):
    """One conversation, and the turns that run in it; made of what `Equipped` takes."""

    def __init__(self, info: SessionInfo, **parts: Any) -> None:
        super().__init__(info, **parts)
        self._job: asyncio.Task[TurnResult] | None = None
        self._closed = False
        self._mailbox = Mailbox(info.id, self._store, self._journal)
        self._landed: dict[int, str] = {}
        """The turns in which mail entered the conversation, by its number."""

    # -- turns -----------------------------------------------------------------------------------

    async def chat(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> TurnResult:
        """Run one turn to its end; cancelling the caller cancels the turn, once that is announced.

        Raises PygentError `busy` while another turn runs, here or in another process, and ToolError for an
        image that is none.
        """
        return await self._until(self._begin_with(text, images, turn_id or new_id("trn")))

    async def _until(self, job: asyncio.Task[TurnResult]) -> TurnResult:
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.cancel()
            await asyncio.wait({job})
            raise

    def _claim(self) -> None:
        if self.turn_id is not None or not self._store.claim_session(self.id):
            raise PygentError("busy", "A turn is running in this session.", "Wait for it or cancel it.")

    async def resume(self) -> TurnResult | None:
        """Go on with a turn whose process died, after its last finished step; None if there is no such.

        A call that was under way is told to the model as interrupted.  Raises PygentError `busy`.
        """
        self._claim()
        self._journal.catch_up()
        turn_id = self._journal.unfinished
        if turn_id is None:
            self._store.release_session(self.id)
            return None
        self._journal.turn_id = turn_id
        self._save(status="running")
        for item in self._journal.transcript.open_calls:
            self._journal.emit(
                ToolFinished(
                    item_id=item, status="cancelled", output=INTERRUPTED, truncated=False, duration_ms=0
                )
            )
        return await self._until(self._start(turn_id))

    def start(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> str:
        """Run a turn in the background; returns its id at once.  Raises as `chat`."""
        turn_id = turn_id or new_id("trn")
        self._begin_with(text, images, turn_id)
        return turn_id

    def post(self, text: str, *, steers: bool, images: Sequence[Path] = ()) -> Mail | None:
        """Say something while a turn runs, here or in another process; None if none does.

        It joins that turn at its next step, or with `steers` false begins the next one.  It is kept when the
        process dies.  Raises ToolError for an image that is none.
        """
        if not self._store.session_owned(self.id):
            return None
        stored = self._stored(images)
        return self._mailbox.post(self._redactor().whole(text), steers=steers, images=stored)

    async def outcome(self, mail: Mail) -> TurnResult | None:
        """How the turn ended that heard a message or began with it, or that was cancelled before it could.

        None if another process had it and left no end.
        """
        while (job := self._job) is not None:
            await asyncio.wait({job})
            if self._landed.get(mail.number) == job.get_name() or self._job is job:
                return await job
        while self._store.session_owned(self.id):  # noqa: ASYNC110 - of another process nothing is heard
            await asyncio.sleep(POLL)
        return self.last_result()

    async def follow_up(self) -> TurnResult | None:
        """Run a turn with the first message that waits; None if there is none."""
        mail = self._mailbox.next()
        return None if mail is None else await self._until(self._begin_with_mail(mail))

    async def close(self) -> None:
        """End the running turn and the commands in the background."""
        self._closed = True
        await self.cancel()
        await self._background.close()

    async def cancel(self) -> bool:
        """End the running turn; False if none runs.  Returns once `turnFinished` is announced."""
        if self._job is None or self._job.done():
            return False
        self._job.cancel()
        await asyncio.wait({self._job})
        return True

    def _begin_with(self, text: str, images: Sequence[Path], turn_id: str) -> asyncio.Task[TurnResult]:
        self._claim()
        try:
            stored = self._stored(images)
        except BaseException:
            self._store.release_session(self.id)
            raise
        return self._begin(text, stored, turn_id)

    def _begin_with_mail(self, mail: Mail) -> asyncio.Task[TurnResult]:
        self._claim()
        self._landed[mail.number] = mail.turn_id
        return self._begin(mail.text, mail.images, mail.turn_id, takes=mail.number)

    def _begin(
        self, text: str, images: Sequence[str], turn_id: str, *, takes: int | None = None
    ) -> asyncio.Task[TurnResult]:
        """Begin a turn in a session that is claimed."""
        try:
            self._journal.catch_up()
            self._journal.end_unfinished()
            self._journal.turn_id = turn_id
            title = self.info.title or self._redactor().whole(" ".join(text.split()))[:TITLE]
            self._save(title=title, status="running")
            self._journal.emit(TurnStarted(text=text, images=list(images)), takes=takes)
        except BaseException:
            self._journal.turn_id = None
            self._store.release_session(self.id)
            raise
        return self._start(turn_id)

    def _start(self, turn_id: str) -> asyncio.Task[TurnResult]:
        job = self._job = asyncio.create_task(self._run(turn_id), name=turn_id)
        job.add_done_callback(self._go_on)
        return job

    def _go_on(self, job: asyncio.Task[TurnResult]) -> None:
        """Begin the next turn with what was said meanwhile; what was said to a cancelled turn waits."""
        ended = job.cancelled() or job.exception() is not None or job.result().status == "cancelled"
        if not ended:
            self._go_on_with_mail()

    def _go_on_with_mail(self) -> None:
        if self._closed or self.info.task_id is not None:
            return
        if (mail := self._mailbox.next()) is not None:
            with contextlib.suppress(PygentError):  # another process was quicker, and will find it
                self._begin_with_mail(mail)

    def _hear(self) -> bool:
        return self._mailbox.hear(self._landed, self._journal.turn_id or "")

    def _stored(self, images: Sequence[Path]) -> list[str]:
        """Images kept in the store; their names."""
        return [self._images.add(data, image_type(data, path.name)) for path, data in _read(images)]

    async def _run(self, turn_id: str) -> TurnResult:
        """The turn from its start to its one end, whatever happens."""
        changes: dict[str, Change] = {}
        usage = [self._journal.usage]

        def emit(event: AnyEvent) -> None:
            if isinstance(event, ChangeMade):
                changes[event.uri] = Change(uri=event.uri, kind=event.kind)
            elif isinstance(event, UsageReported):
                usage[0] = event.usage
            self._journal.emit(event)
            self._look_at_settings(event)

        ending = Ending("failed", "", error=Failure(code="internal", message="The turn ended early."))
        try:
            ending = await self._work(emit)
        except asyncio.CancelledError:
            ending = Ending("cancelled", "")
        except StepTimedOut as error:
            failure = Failure(code="stepTimeout", message=error.message, fix=error.fix)
            ending = Ending("limit", "", error=failure)
        except PygentError as error:
            ending = Ending("limit" if error.code == "limit" else "failed", "", error=failure_of(error))
        except Exception as error:
            log.exception("turn %s", turn_id)
            ending = Ending("failed", "", error=failure_of(error))
        finally:
            ending = replace(ending, reply=self._redactor().whole(ending.reply))
            try:
                await self._end_checkpoint(changes)
            finally:
                self._finish(ending, usage[0])
        return TurnResult(
            session_id=self.id,
            turn_id=turn_id,
            status=ending.status,
            reply=ending.reply,
            changes=list(changes.values()),
            usage=usage[0],
            question=ending.question,
            error=ending.error,
        )

    async def _work(self, emit: Callable[[AnyEvent], None]) -> Ending:
        if (answer := self._journal.transcript.answer) is not None:
            return Ending("completed", answer)  # resumed between the answer and the turn's end
        self.folder.refresh()
        await self.folder.load_tools()
        for problem in self.folder.problems:
            emit(Notice(level="warning", text=problem, code="configInvalid"))
        self.folder.problems = []
        if self.persona.unconfirmed and self.persona.name not in self.folder.named_personas:
            self.folder.named_personas.add(self.persona.name)
            text = f"The persona {self.persona.name!r} comes from files that you have not trusted."
            emit(Notice(level="warning", text=f"{text} The model is told that too.", code="persona"))
        return await (await self._turn(emit)).run()

    def _look_at_settings(self, event: AnyEvent) -> None:
        """Say what a tool did to files that act for the person, before anything else is done with them."""
        goes_on = isinstance(event, ToolStarted) and self._background.running
        if goes_on or isinstance(event, ToolFinished):
            if (told := self.folder.changed_by_agent()) is not None:
                self._journal.emit(Notice(level="warning", text=told, code="notTrusted"))
        elif isinstance(event, ToolStarted):
            self.folder.refresh()

    async def compact(self) -> Compaction:
        """Put a summary in the place of the conversation for the model; its `before` and `tokens` tell.

        Raises PygentError `busy` while a turn runs, and ModelError.
        """
        self._claim()
        try:
            self._journal.catch_up()
            self._journal.end_unfinished()
            await self.folder.load_tools()
            compaction = await self._between_turns()
            await compaction.on_request()
            self._save(usage=self._journal.spent)
        finally:
            self._store.release_session(self.id)
            self._go_on_with_mail()
        return compaction

    async def _end_checkpoint(self, changes: Collection[str]) -> None:
        """Take the last snapshot of the turn, inside it: who cancels meanwhile waits, and twice ends it."""
        last = asyncio.ensure_future(
            self._checkpoints.end({path for uri in changes if (path := path_of(uri))})
        )
        try:
            await asyncio.shield(last)
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({last})
            last.cancel()

    def _finish(self, ending: Ending, usage: Any) -> None:
        try:
            self._journal.emit(
                TurnFinished(status=ending.status, reply=ending.reply, usage=usage, error=ending.error)
            )
        finally:  # where the end can't be stored, the next turn stores that this one broke off
            self._journal.turn_id = None
            self._save(status="idle", usage=self._journal.spent)
            self._store.release_session(self.id)
        self._write_history()

    async def undo(self, turn_id: str | None = None, *, redo: bool = False, preview: bool = False) -> Undone:
        """Take back what a turn changed, or make it again; without an id the last that can be.

        Raises PygentError `busy` while a turn runs, and `notFound`.
        """
        self._claim()
        try:
            self._journal.catch_up()
            found, done = await self._checkpoints.restore(self.events(), turn_id, redo=redo, preview=preview)
            if not preview and any(file.conflict is None for file in done.files):
                self._journal.emit(TurnUndone(turn_id=found, redone=redo))
        finally:
            self._store.release_session(self.id)
        return done

    def recover(self) -> None:
        """End a turn whose process died, so that every turn has its `turnFinished`."""
        if self._store.session_owned(self.id):
            return
        if self._journal.broke_off():
            self._journal.catch_up()
            self._journal.end_unfinished()
            self._save(status="idle", usage=self._journal.spent)
        elif self.info.status != "idle":
            self._save(status="idle")

    @property
    def turn_id(self) -> str | None:
        """The running turn's id; None between turns."""
        return self._journal.turn_id

    def announce(self, event: AnyEvent) -> None:
        """Commit and show an event that belongs to no turn, such as a task's change."""
        self._journal.announce(event)


def _read(images: Sequence[Path]) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in images]
