"""A session: everything that one conversation owns, and the turns that run in it."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal, TypeVar

import msgspec

from pygent import history, transcript
from pygent.agent import Ending, StepTimedOut, Turn
from pygent.approvals import Approvals, first_answer
from pygent.deltas import Deltas
from pygent.errors import PygentError
from pygent.events import (
    EPHEMERAL,
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
    TurnFinished,
    TurnResult,
    TurnStarted,
    UsageReported,
    new_id,
    now_ms,
)
from pygent.folder import Folder
from pygent.logs import log_event
from pygent.redaction import Redactor
from pygent.store import Store
from pygent.tasks import Delegation, Limits, failure_of, pick_persona
from pygent.tools import Tool, ToolContext, ToolInfo, builtin_tools, serialise
from pygent.tools.images import image_type
from pygent.transcript import Transcript

log = logging.getLogger("pygent.session")
Shown = TypeVar("Shown")
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
    ) -> None:
        self.info = info
        self.folder = folder
        self.turn_id: str | None = None
        self._store = store
        self._clients = clients
        self._approvals = approvals
        self._delegation = delegation
        self._limits = limits or Limits(at_once=1)
        self._watch = watch
        self._granted: set[tuple[str, str]] = set()
        self._disabled: set[str] = set()
        self._job: asyncio.Task[TurnResult] | None = None
        self._deltas = Deltas(self._show, self._redactor)
        self._transcript = Transcript(self._image_url)
        self._seq = 0

    # -- turns -----------------------------------------------------------------------------------

    async def chat(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> TurnResult:
        """Run one turn to its end; cancelling the caller cancels the turn, once that is announced.

        Raises PygentError `busy` while another turn runs, here or in another process, and ToolError for an
        image that is none.
        """
        job = self._begin(text, images, turn_id or new_id("trn"))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.cancel()
            await asyncio.wait({job})
            raise

    def start(self, text: str, *, images: Sequence[Path] = (), turn_id: str | None = None) -> str:
        """Run a turn in the background; returns its id at once.  Raises as `chat`."""
        turn_id = turn_id or new_id("trn")
        self._begin(text, images, turn_id)
        return turn_id

    async def cancel(self) -> bool:
        """End the running turn; False if none runs.  Returns once `turnFinished` is announced."""
        if self._job is None or self._job.done():
            return False
        self._job.cancel()
        await asyncio.wait({self._job})
        return True

    def _begin(self, text: str, images: Sequence[Path], turn_id: str) -> asyncio.Task[TurnResult]:
        if self.turn_id is not None or not self._store.claim_session(self.id):
            raise PygentError("busy", "A turn is running in this session.", "Wait for it or cancel it.")
        try:
            stored = [self._store_image(data, image_type(data, path.name)) for path, data in _read(images)]
            self._catch_up()
        except BaseException:
            self._store.release_session(self.id)
            raise
        self.turn_id = turn_id
        title = self.info.title or self._redactor().whole(" ".join(text.split()))[:TITLE]
        self._save(title=title, status="running")
        self._emit(TurnStarted(text=text, images=stored))
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
            self._emit(event)

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
        for problem in self.folder.problems:
            emit(Notice(level="warning", text=problem, code="configInvalid"))
        self.folder.problems = []
        model, sandbox = await asyncio.gather(
            self.folder.model(),
            self.folder.sandbox(lambda text: emit(Notice(level="info", text=text, code="sandbox"))),
        )
        self.folder.workspace.mount = sandbox.workdir
        tools = self._enabled()
        turn = Turn(
            model=model,
            model_name=self.info.model or self.folder.settings.model,
            system=self._system(sandbox.kind, sandbox.workdir),
            tools=tools,
            tools_json=serialise(list(tools.values())) if tools else None,
            transcript=self._transcript,
            context=self._context(sandbox.kind, emit),
            emit=emit,
            max_steps=self.folder.settings.limits.steps,
            step_timeout=self._limits.step_timeout,
        )
        return await turn.run()

    def _finish(self, ending: Ending, usage: Any) -> None:
        self._emit(TurnFinished(status=ending.status, reply=ending.reply, usage=usage, error=ending.error))
        self._save(status="idle")
        self._store.release_session(self.id)
        self.turn_id = None
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
            store_image=self._store_image,
            step_timeout=self._limits.step_timeout,
            delegation=self._delegation,
            personas=self.folder.personas,
        )

    def _system(self, isolation: Isolation, workdir: str) -> bytes:
        settings = self.folder.settings
        where = {
            "docker": "a Docker container",
            "bubblewrap": "a bubblewrap sandbox",
            "local": f"no sandbox, directly on the person's machine ({sys.platform}): be careful",
        }
        text = Template(_prompt("system.md")).substitute(
            name=self.persona.name,
            persona=self.persona.description or "a coding assistant.",
            workdir=workdir,
            isolation=where[isolation],
            network=""
            if isolation == "local" or settings.sandbox.network
            else "There is no network: nothing can be installed or downloaded.",
            delegation="" if self._delegation is None else _prompt("delegation.md"),
        )
        return msgspec.json.encode({"role": "system", "content": text.strip()})

    # -- asking people ---------------------------------------------------------------------------

    async def _approve(self, approval: Approval) -> Decision:
        grant = (approval.kind, approval.command or approval.title if approval.kind != "edit" else "")
        if grant in self._granted:
            return Decision(decision="accept")
        approval = self._redacted(approval)
        self._emit(ApprovalRequested(approval=approval))
        self._save(status="waiting")
        decision, by = await self._approvals.request(
            approval, list(self._clients), self.folder.settings.approvals.timeout
        )
        self._save(status="running")
        if decision.decision == "acceptForSession":
            self._granted.add(grant)
        self._emit(
            ApprovalResolved(
                approval_id=approval.id, decision=decision.decision, by=by, feedback=decision.feedback
            )
        )
        return decision

    async def _ask(self, question: Question) -> str | None:
        question = self._redacted(question)
        self._emit(QuestionAsked(question=question))
        self._save(status="waiting")
        answer = await first_answer(question, list(self._clients))
        self._save(status="running")
        if answer is not None:
            self._emit(QuestionAnswered(question_id=question.id, answer=answer))
        return answer

    # -- events ----------------------------------------------------------------------------------

    def _emit(self, event: AnyEvent) -> None:
        """Commit an event and only then show it; pieces of text are gathered for a moment instead."""
        if isinstance(event, EPHEMERAL):
            self._deltas.add(event)
            return
        self._deltas.flush()
        event = self._redacted(event)
        envelope = self._store.append(
            self.id, self._seq + 1, event, turn_id=self.turn_id, task_id=self.info.task_id
        )
        self._seq = envelope.seq
        self._transcript.apply(event)
        log_event(envelope)
        self._tell(envelope)

    def _redactor(self) -> Redactor:
        return Redactor(self.folder.settings.api_key)

    def _redacted(self, value: Shown) -> Shown:
        """The value without the API key, which no event, record or message may hold."""
        redactor, encoded = self._redactor(), msgspec.json.encode(value).decode()
        clean = redactor.whole(encoded)
        return value if clean == encoded else msgspec.json.decode(clean, type=type(value))

    def _show(self, event: AnyEvent) -> None:
        self._tell(
            Envelope(
                session_id=self.id,
                seq=self._seq,
                at=now_ms(),
                event=event,
                turn_id=self.turn_id,
                task_id=self.info.task_id,
            )
        )

    def _tell(self, envelope: Envelope) -> None:
        for client in self._clients:
            client.emit(envelope)
        self._watch(envelope)

    def announce(self, event: AnyEvent) -> None:
        """Commit and show an event that belongs to no turn, such as a task's change."""
        if self.turn_id is None:
            self._catch_up()
        self._emit(event)

    def _catch_up(self) -> None:
        """Fold in what was stored since, by another process or before this one; end a turn that died."""
        envelopes = self._store.events(self.id, after=self._seq)
        for envelope in envelopes:
            self._transcript.apply(envelope.event)
        if envelopes:
            self._seq = envelopes[-1].seq
        turns = [envelope for envelope in envelopes if isinstance(envelope.event, TurnStarted | TurnFinished)]
        if turns and isinstance(turns[-1].event, TurnStarted):
            self.turn_id = turns[-1].turn_id
            failure = Failure(code="interrupted", message="The program ended during this turn.")
            self._emit(TurnFinished(status="failed", reply="", usage=NO_USAGE, error=failure))
            self.turn_id = None

    def recover(self) -> None:
        """End a turn whose process died, so that every turn has its `turnFinished`."""
        if not self._store.session_owned(self.id):
            self._catch_up()
            if self.info.status != "idle":
                self._save(status="idle")

    # -- reading ---------------------------------------------------------------------------------

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

    def tools(self) -> list[ToolInfo]:
        """Every tool, and whether the model is offered it in this session."""
        return [
            ToolInfo(
                name=tool.name,
                description=tool.description,
                parameters=tool.parameters,
                enabled=tool.name not in self._disabled,
                source=tool.source,
            )
            for tool in self._known().values()
        ]

    def enable_tool(self, name: str, enabled: bool) -> None:
        """Offer a tool to the model or not, from the next turn on.  Raises PygentError `notFound`."""
        if name not in self._known():
            known = ", ".join(self._known())
            raise PygentError("notFound", f"There is no tool {name!r}.", f"Known tools: {known}.")
        (self._disabled.discard if enabled else self._disabled.add)(name)

    def _known(self) -> dict[str, Tool]:
        tools = builtin_tools()
        if self._delegation is not None:
            return tools
        return {name: tool for name, tool in tools.items() if not tool.delegates}

    def _enabled(self) -> dict[str, Tool]:
        return {name: tool for name, tool in self._known().items() if name not in self._disabled}

    def _save(self, **changes: Any) -> None:
        self.info = msgspec.structs.replace(self.info, updated_at=now_ms(), **changes)
        self._store.save_session(self.info)

    # -- history file and images -----------------------------------------------------------------

    def take_over_history(self, events: Sequence[AnyEvent]) -> None:
        """Begin with the conversation of a history file."""
        for event in events:
            if isinstance(event, TurnStarted):
                self.turn_id = new_id("trn")
            self._emit(event)
        self.turn_id = None

    def _write_history(self) -> None:
        path = self.folder.settings.history_file
        if path is None or self.info.task_id is not None:
            return
        try:
            history.write(path, self._transcript.messages)
        except OSError as error:
            text = f"The history file {path} can't be written: {error.strerror}."
            self._emit(Notice(level="error", text=text, code="conflict"))

    def _store_image(self, data: bytes, kind: str) -> str:
        name = f"{hashlib.sha256(data).hexdigest()}.{kind}"
        folder = self.folder.launch.state / "images"
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_bytes(data)
        return name

    def _image_url(self, name: str) -> str | None:
        path = self.folder.launch.state / "images" / Path(name).name
        if not path.is_file():
            return None
        return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _read(images: Sequence[Path]) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in images]


@functools.cache
def _prompt(name: str) -> str:
    return resources.files("pygent").joinpath("prompts").joinpath(name).read_text("utf-8")
