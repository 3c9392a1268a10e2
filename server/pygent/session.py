"""A session: everything that one conversation owns, and the turns that run in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from pygent import history, transcript
from pygent.agent import Ending, StepTimedOut, Turn
from pygent.approvals import Approvals, first_answer
from pygent.checkpoints import Checkpoints, Undone
from pygent.errors import PygentError
from pygent.events import (
    NO_USAGE,
    AnyEvent,
    Approval,
    ApprovalRequested,
    ApprovalResolved,
    Change,
    ChangeMade,
    Client,
    Decision,
    Envelope,
    Failure,
    Isolation,
    Notice,
    Persona,
    Question,
    QuestionAnswered,
    QuestionAsked,
    SessionInfo,
    ToolFinished,
    TurnFinished,
    TurnResult,
    TurnStarted,
    TurnUndone,
    UsageReported,
    new_id,
    now_ms,
)
from pygent.folder import Folder
from pygent.images import Images
from pygent.journal import Journal
from pygent.prompts import system_message
from pygent.redaction import Redactor
from pygent.shadow import Shadow
from pygent.store import Store
from pygent.tasks import Delegation, Limits, failure_of, pick_persona
from pygent.tools import ToolContext, serialise
from pygent.tools.background import Background
from pygent.tools.images import image_type
from pygent.tools.toolbox import Toolbox
from pygent.transcript import INTERRUPTED, Transcript

log = logging.getLogger("pygent.session")
TITLE = 60
"""Characters of a session's title, which is the start of its first message."""


class Session:
    """One conversation.

    `clients` is the live list of those who are shown its events and asked; `watch` hears its events too
    and is never asked.  `limits` are those of a delegated task.
    """

    def __init__(
        self,
        info: SessionInfo,
        *,
        store: Store,
        folder: Folder,
        clients: Sequence[Client],
        approvals: Approvals,
        delegation: Delegation | None = None,
        limits: Limits | None = None,
        watch: Callable[[Envelope], None] = lambda _: None,
        given: str | None = None,
    ) -> None:
        self.info = info
        self.folder = folder
        self._store = store
        self._clients = clients
        self._approvals = approvals
        self._delegation = delegation
        self._limits = limits or Limits(at_once=1)
        self._granted: set[tuple[str, str]] = set()
        self.tools = Toolbox(delegates=delegation is not None)
        self._job: asyncio.Task[TurnResult] | None = None
        self._background = Background()
        self._inbox: deque[str] = deque()
        self._images = Images(folder.launch.state / "images")
        self._journal = Journal(
            info.id,
            info.task_id,
            store=store,
            transcript=Transcript(self._images.url),
            clients=clients,
            watch=watch,
            redactor=self._redactor,
        )
        shadow = Shadow(folder.launch.state / "shadow.git")
        self._checkpoints = Checkpoints(shadow, folder.workspace, self._journal.emit, given)

    # -- turns -----------------------------------------------------------------------------------

    async def chat(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> TurnResult:
        """Run one turn to its end; cancelling the caller cancels the turn, once that is announced.

        Raises PygentError `busy` while another turn runs, here or in another process, and ToolError for an
        image that is none.
        """
        return await self._until(self._begin(text, images, turn_id or new_id("trn")))

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
        job = self._job = asyncio.create_task(self._run(turn_id), name=turn_id)
        return await self._until(job)

    def start(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> str:
        """Run a turn in the background; returns its id at once.  Raises as `chat`."""
        turn_id = turn_id or new_id("trn")
        self._begin(text, images, turn_id)
        return turn_id

    async def steer(self, text: str) -> TurnResult | None:
        """Say something to the running turn, which hears it at its next step; None if none runs.

        Returns when that turn ends.
        """
        if not self.hand_in(text) or self._job is None:
            return None
        return await asyncio.shield(self._job)

    def hand_in(self, text: str) -> bool:
        """Say something to the running turn without waiting; False if none runs here."""
        if self.turn_id is None:
            return False
        self._inbox.append(text)
        return True

    async def close(self) -> None:
        """End the running turn and the commands in the background."""
        await self.cancel()
        await self._background.close()

    async def cancel(self) -> bool:
        """End the running turn; False if none runs.  Returns once `turnFinished` is announced."""
        if self._job is None or self._job.done():
            return False
        self._job.cancel()
        await asyncio.wait({self._job})
        return True

    def _begin(self, text: str, images: Sequence[Path], turn_id: str) -> asyncio.Task[TurnResult]:
        self._claim()
        try:
            stored = [self._images.add(data, image_type(data, path.name)) for path, data in _read(images)]
            self._journal.catch_up()
            self._journal.end_unfinished()
        except BaseException:
            self._store.release_session(self.id)
            raise
        self._journal.turn_id = turn_id
        title = self.info.title or self._redactor().whole(" ".join(text.split()))[:TITLE]
        self._save(title=title, status="running")
        self._journal.emit(TurnStarted(text=text, images=stored))
        self._job = asyncio.create_task(self._run(turn_id), name=turn_id)
        return self._job

    async def _run(self, turn_id: str) -> TurnResult:
        """The turn from its start to its one end, whatever happens."""
        changes: dict[str, Change] = {}
        usage = [NO_USAGE]

        def emit(event: AnyEvent) -> None:
            if isinstance(event, ChangeMade):
                changes[event.uri] = Change(uri=event.uri, kind=event.kind)
            elif isinstance(event, UsageReported):
                usage[0] = msgspec.convert(event, type(NO_USAGE), from_attributes=True)
            self._journal.emit(event)

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
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._checkpoints.end())
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
        for problem in self.folder.problems:
            emit(Notice(level="warning", text=problem, code="configInvalid"))
        self.folder.problems = []
        model, sandbox = await asyncio.gather(
            self.folder.model(),
            self.folder.sandbox(lambda text: emit(Notice(level="info", text=text, code="sandbox"))),
        )
        self.folder.workspace.mount = sandbox.workdir
        tools = self.tools.enabled()
        turn = Turn(
            model=model,
            model_name=self.info.model or self.folder.settings.model,
            system=system_message(
                self.persona,
                isolation=sandbox.kind,
                workdir=sandbox.workdir,
                network=self.folder.settings.sandbox.network,
                delegates=self._delegation is not None,
            ),
            tools=tools,
            tools_json=serialise(list(tools.values())) if tools else None,
            transcript=self._journal.transcript,
            context=self._context(sandbox.kind, emit),
            emit=emit,
            max_steps=self.folder.settings.limits.steps,
            step_timeout=self._limits.step_timeout,
            inbox=self._inbox,
        )
        try:
            return await turn.run()
        finally:
            turn.hear()  # what came too late for this turn is read in the next

    def _finish(self, ending: Ending, usage: Any) -> None:
        self._journal.emit(
            TurnFinished(status=ending.status, reply=ending.reply, usage=usage, error=ending.error)
        )
        self._save(status="idle")
        self._store.release_session(self.id)
        self._journal.turn_id = None
        self._write_history()

    def _context(self, isolation: Isolation, emit: Callable[[AnyEvent], None]) -> ToolContext:
        return ToolContext(
            session_id=self.id,
            task_id=self.info.task_id,
            item_id="",
            settings=self.folder.settings,
            workspace=self.folder.workspace,
            isolation=isolation,
            sandbox=self.folder.sandbox,
            emit=emit,
            approve=self._approve,
            ask=self._ask,
            store_image=self._images.add,
            step_timeout=self._limits.step_timeout,
            delegation=self._delegation,
            personas=self.folder.personas,
            background=self._background,
            outputs=self.outputs,
            checkpoint=self._checkpoints.begin,
        )

    # -- asking people ---------------------------------------------------------------------------

    async def _approve(self, approval: Approval) -> Decision:
        grant = (approval.kind, approval.command or approval.title if approval.kind != "edit" else "")
        if grant in self._granted:
            return Decision(decision="accept")
        approval = msgspec.structs.replace(approval, title=self._labelled(approval.title))
        approval = self._redactor().record(approval)
        self._journal.emit(ApprovalRequested(approval=approval))
        self._save(status="waiting")
        decision, by = await self._approvals.request(
            approval, list(self._clients), self.folder.settings.approvals.timeout
        )
        self._save(status="running")
        if decision.decision == "acceptForSession":
            self._granted.add(grant)
        self._journal.emit(
            ApprovalResolved(
                approval_id=approval.id, decision=decision.decision, by=by, feedback=decision.feedback
            )
        )
        return decision

    async def _ask(self, question: Question) -> str | None:
        question = msgspec.structs.replace(question, prompt=self._labelled(question.prompt))
        question = self._redactor().record(question)
        self._journal.emit(QuestionAsked(question=question))
        self._save(status="waiting")
        answer = await first_answer(question, list(self._clients))
        self._save(status="running")
        if answer is not None:
            self._journal.emit(QuestionAnswered(question_id=question.id, answer=answer))
        return answer

    def _labelled(self, asked: str) -> str:
        """What is asked, with the task's name before it, so that people know who wants it."""
        return asked if self.info.task_id is None else f"[Task: {self.info.title}] {asked}"

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

    # -- reading ---------------------------------------------------------------------------------

    def recover(self) -> None:
        """End a turn whose process died, so that every turn has its `turnFinished`."""
        if not self._store.session_owned(self.id):
            self._journal.catch_up()
            self._journal.end_unfinished()
            if self.info.status != "idle":
                self._save(status="idle")

    @property
    def outputs(self) -> Path:
        """Where whole outputs of this session's commands are kept."""
        return self.folder.launch.state / "outputs" / self.id

    @property
    def turn_id(self) -> str | None:
        """The running turn's id; None between turns."""
        return self._journal.turn_id

    def announce(self, event: AnyEvent) -> None:
        """Commit and show an event that belongs to no turn, such as a task's change."""
        self._journal.announce(event)

    def _redactor(self) -> Redactor:
        return Redactor(self.folder.settings.api_key)

    @property
    def id(self) -> str:
        """The session's id."""
        return self.info.id

    @property
    def last_seq(self) -> int:
        """The number of the last stored event."""
        return self._store.last_seq(self.id)

    def events(self, after: int = 0, limit: int | None = None) -> list[Envelope]:
        """Stored events with a number above `after`."""
        return self._store.events(self.id, after=after, limit=limit)

    def last_result(self) -> TurnResult | None:
        """How the last turn ended, as far as that is stored; None before the first end."""
        for envelope in reversed(self.events()):
            if isinstance(end := envelope.event, TurnFinished):
                return TurnResult(
                    session_id=self.id,
                    turn_id=envelope.turn_id or "",
                    status=end.status,
                    reply=end.reply,
                    changes=[],
                    usage=end.usage,
                    error=end.error,
                )
        return None

    def messages(self) -> list[dict[str, Any]]:
        """The conversation, as `pygent.session.get` gives it."""
        return transcript.conversation(self.events())

    def export(self, form: Literal["md", "json"]) -> str:
        """The conversation as a document."""
        return transcript.export(self.info.title or "Conversation", self.events(), form)

    # -- settings of the session -----------------------------------------------------------------

    @property
    def persona(self) -> Persona:
        """The persona that speaks in this session."""
        return self.info.persona

    def use_persona(self, name: str) -> Persona:
        """Let another persona speak from the next turn on.  Raises PygentError `notFound`."""
        persona = pick_persona(self.folder.personas(), name, 0)
        assert persona is not None
        self._save(persona=persona)
        return persona

    def use_model(self, name: str) -> None:
        """Use another model of the same endpoint from the next turn on."""
        self._save(model=name)

    def rename(self, title: str) -> SessionInfo:
        """Give the session another title."""
        self._save(title=title)
        return self.info

    def _save(self, **changes: Any) -> None:
        self.info = msgspec.structs.replace(self.info, updated_at=now_ms(), **changes)
        self._store.save_session(self.info)

    # -- history file -----------------------------------------------------------------

    def take_over_history(self, events: Sequence[AnyEvent]) -> None:
        """Begin with the conversation of a history file."""
        for event in events:
            if isinstance(event, TurnStarted):
                self._journal.turn_id = new_id("trn")
            self._journal.emit(event)
        self._journal.turn_id = None

    def _write_history(self) -> None:
        path = self.folder.settings.history_file
        if path is None or self.info.task_id is not None:
            return
        try:
            history.write(path, self._journal.transcript.messages)
        except OSError as error:
            text = f"The history file {path} can't be written: {error.strerror}."
            self._journal.emit(Notice(level="error", text=text, code="conflict"))


def _read(images: Sequence[Path]) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in images]
