"""A session: everything that one conversation owns, and the turns that run in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pygent import files
from pygent.agent import Ending, StepTimedOut
from pygent.checkpoints import Undone
from pygent.compaction import Compaction
from pygent.equipment import Equipped
from pygent.errors import PygentError, ToolError
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
from pygent.tools.images import MAX_IMAGE, image_type
from pygent.transcript import INTERRUPTED

log = logging.getLogger("pygent.session")
TITLE = 60
"""Characters of a session's title, which is the start of its first message."""
POLL = 0.5
"""Seconds between looks at a turn of another process."""
BUSY = {
    "turn": ("A turn is running in this session.", "Wait for it or cancel it."),
    "undo": ("An undo is running in this session.", "Try again in a moment."),
    "compaction": ("The conversation is being compacted.", "Try again in a moment."),
}
"""What a request is refused with, by what holds the session."""


class Session(Equipped):
    """One conversation, and the turns that run in it; made of what `Equipped` takes."""

    def __init__(self, info: SessionInfo, **parts: Any) -> None:
        super().__init__(info, **parts)
        self._held_by: Literal["turn", "undo", "compaction"] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._job: asyncio.Task[TurnResult] | None = None
        """The running turn, or the last one."""
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
        self.start(text, images=images, turn_id=turn_id)
        return await self.running_turn()

    async def running_turn(self) -> TurnResult:
        """Wait for the turn that was started last; cancelling the caller cancels the turn."""
        assert self._job is not None
        return await self._until(self._job)

    async def _until(self, job: asyncio.Task[TurnResult]) -> TurnResult:
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.cancel()
            await asyncio.wait({job})
            raise

    def _claim(self, holder: Literal["turn", "undo", "compaction"]) -> None:
        """Hold the session.  Raises PygentError `busy` while it is held, here or in another process."""
        if self._held_by is not None or not self._store.claim_session(self.id):
            raise PygentError("busy", *BUSY[self._held_by or "turn"])
        self._held_by = holder
        self._idle.clear()

    def _release(self) -> None:
        """Let go of the session.  `_start_next` follows where messages can have been queued meanwhile."""
        self._held_by = None
        self._idle.set()
        self._store.release_session(self.id)

    @contextlib.contextmanager
    def _holding(self, holder: Literal["undo", "compaction"]) -> Iterator[None]:
        """Hold the session between turns, then start a turn with what was queued meanwhile."""
        self._claim(holder)
        try:
            yield
        finally:
            self._release()
            self._start_next()

    async def resume(self) -> TurnResult | None:
        """Go on with a turn whose process died, after its last finished step; None if there is no such.

        A call that was under way is told to the model as interrupted.  Raises PygentError `busy`.
        """
        self._claim("turn")
        self._journal.catch_up()
        turn_id = self._journal.unfinished
        if turn_id is None:
            self._release()
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
        self._claim("turn")
        try:
            stored = self._stored(images)
        except BaseException:
            self._release()
            raise
        self._begin(text, stored, turn_id)
        return turn_id

    def post(self, text: str, *, steers: bool, images: Sequence[Path] = ()) -> Mail | None:
        """Queue a message while the session is held, here or in another process; None if it is idle.

        It joins the running turn at its next step, or with `steers` false, or where an undo or a compaction
        runs, begins the next one.  It is kept when the process dies.  Raises ToolError for an image that is
        none.
        """
        if not self._store.session_owned(self.id):
            return None
        stored = self._stored(images)
        return self._mailbox.post(self._redactor().whole(text), steers=steers, images=stored)

    async def outcome(self, mail: Mail) -> TurnResult | None:
        """How the turn ended that a queued message joined or began.

        A turn that is cancelled before it takes the message is the answer, too: the message waits on.
        None if another process took it and left no result.
        """
        while True:
            if self._job is not None and not self._job.done():
                job = self._job
                await asyncio.wait({job})
                if self._landed.get(mail.number) == job.get_name() or _was_cancelled(job):
                    return await job
            elif self._held_by is not None:
                await self._idle.wait()
            elif (turn_id := self._landed.get(mail.number)) is not None:
                return self.result_of(turn_id)
            elif self._store.session_owned(self.id):  # of another process nothing is heard
                await asyncio.sleep(POLL)
            else:
                return self.last_result()

    async def result(self, turn_id: str) -> TurnResult | None:
        """How a turn ended, once it has; None for one that never began."""
        if self._job is not None and self._job.get_name() == turn_id:
            await asyncio.wait({self._job})
            return await self._job
        while (result := self.result_of(turn_id)) is None and self._store.session_owned(self.id):  # noqa: ASYNC110
            await asyncio.sleep(POLL)  # a turn of another process tells nothing here
        return result

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

    def _begin_with_mail(self, mail: Mail) -> asyncio.Task[TurnResult]:
        self._claim("turn")
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
            self._release()
            raise
        return self._start(turn_id)

    def _start(self, turn_id: str) -> asyncio.Task[TurnResult]:
        job = self._job = asyncio.create_task(self._run(turn_id), name=turn_id)
        job.add_done_callback(self._turn_ended)
        return job

    def _turn_ended(self, job: asyncio.Task[TurnResult]) -> None:
        """Start the next turn; what was queued behind a cancelled one waits for the person."""
        if not _was_cancelled(job) and job.exception() is None:
            self._start_next()

    def _start_next(self) -> None:
        """Start a turn with the first queued message, if there is one."""
        if self._closed or self.info.task_id is not None:
            return
        if (mail := self._mailbox.next()) is not None:
            with contextlib.suppress(PygentError):  # another process was quicker, and will find it
                self._begin_with_mail(mail)

    def _hear(self) -> bool:
        return self._mailbox.hear(self._landed, self._journal.turn_id or "")

    def _stored(self, images: Sequence[Path]) -> list[str]:
        """Images kept in the store; their names."""
        found = [(path, self._image(path)) for path in images]
        return [self._images.add(data, image_type(data, path.name)) for path, data in found]

    def _image(self, path: Path) -> bytes:
        """An image of the workspace, or one that the person has elsewhere.  Raises ToolError."""
        workspace, path = self.folder.workspace, Path(os.path.normpath(path.absolute()))
        if workspace.root in path.parents:
            return workspace.read_bytes(workspace.resolve(str(path)), MAX_IMAGE)
        try:
            data = files.read_chosen(path, MAX_IMAGE)
        except OSError as error:
            raise ToolError(f"{path} can't be read: {error.strerror}.") from error
        if len(data) > MAX_IMAGE:
            raise ToolError(f"{path} has more than the {MAX_IMAGE} bytes that an image may have.")
        return data

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
        with self._holding("compaction"):
            self._journal.catch_up()
            self._journal.end_unfinished()
            await self.folder.load_tools()
            compaction = await self._between_turns()
            await compaction.on_request()
            self._save(usage=self._journal.spent)
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
            try:
                self._save(status="idle", usage=self._journal.spent)
            finally:
                self._release()
        self._write_history()

    async def undo(self, turn_id: str | None = None, *, redo: bool = False, preview: bool = False) -> Undone:
        """Take back what a turn changed, or make it again; without an id the last that can be.

        Raises PygentError `busy` while a turn runs, and `notFound`.
        """
        with self._holding("undo"):
            self._journal.catch_up()
            found, done = await self._checkpoints.restore(self.events(), turn_id, redo=redo, preview=preview)
            if not preview and any(file.conflict is None for file in done.files):
                self._journal.emit(TurnUndone(turn_id=found, redone=redo))
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


def _was_cancelled(job: asyncio.Task[TurnResult]) -> bool:
    return job.cancelled() or (job.exception() is None and job.result().status == "cancelled")
