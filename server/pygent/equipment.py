"""What the turns of a session work with: its events, tools, model, consent, checkpoints and limits."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pygent import history
from pygent.agent import Turn
from pygent.approvals import Approvals
from pygent.budget import Budget
from pygent.checkpoints import Checkpoints
from pygent.compaction import Compaction
from pygent.consent import Consent
from pygent.context import Meter
from pygent.conversation import Conversation
from pygent.events import AnyEvent, Client, Compacted, Emit, Envelope, Notice, TurnStarted
from pygent.folder import Folder
from pygent.images import Images
from pygent.journal import Journal
from pygent.model import Model
from pygent.prompts import system_text
from pygent.records import Isolation, SessionInfo, new_id
from pygent.redaction import Redactor
from pygent.sandbox import NO_SANDBOX, Sandbox
from pygent.shadow import Shadow
from pygent.store import Store
from pygent.tasks import Delegation, Limits
from pygent.tools import Tool, ToolContext, serialise
from pygent.tools.background import Background
from pygent.tools.toolbox import Toolbox
from pygent.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Custom:
    """What a program puts in the place of a session's own.

    `model` answers instead of the endpoint's; `system` makes the system message of Pygent's text; `tools`
    gives the tools that there are; `steps` is the limit of the next turns, `step_timeout` that of each of
    their steps, in seconds.
    """

    model: Model | None = None
    system: Callable[[str], str] | None = None
    tools: Callable[[], Mapping[str, Tool]] | None = None
    steps: int | None = None
    step_timeout: float | None = None


class Equipped(Conversation):
    """A conversation with everything that its turns need.

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
        custom: Custom = Custom(),
    ) -> None:
        super().__init__(info, store, folder)
        self.custom = custom
        self._delegation = delegation
        self._limits = limits or Limits(at_once=1)
        self.tools = Toolbox(delegates=delegation is not None, source=self._tools)
        self._background = Background()
        self._meter = Meter()
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
        self._consent = Consent(
            self._journal,
            approvals,
            clients,
            task=info.title if info.task_id is not None else None,
            redactor=self._redactor,
            timeout=lambda: folder.settings.approvals.timeout,
            show=lambda status: self._save(status=status),
        )
        shadow = Shadow(folder.launch.state / "shadow.git")
        self._checkpoints = Checkpoints(shadow, folder.workspace, self._journal.emit, given)

    @property
    def outputs(self) -> Path:
        """Where whole outputs of this session's commands are kept."""
        return self.folder.launch.state / "outputs" / self.id

    async def _turn(self, emit: Emit) -> Turn:
        """A turn, ready to run.  Raises ModelError and SandboxUnavailable."""
        model, sandbox = await asyncio.gather(
            self._model(),
            self._sandbox(emit),
        )
        self.folder.workspace.mount = sandbox.workdir
        tools = self.tools.enabled()
        system = self._system(sandbox.kind, sandbox.workdir)
        tools_json = serialise(list(tools.values())) if tools else None
        budget = self._budget(emit)
        return Turn(
            model=model,
            model_name=budget.model,
            system=system,
            tools=tools,
            tools_json=tools_json,
            transcript=self._journal.transcript,
            context=self._context(sandbox.kind, emit),
            emit=emit,
            budget=budget,
            compaction=self._compaction(model, budget, len(system) + len(tools_json or b"")),
            step_timeout=self.custom.step_timeout or self._limits.step_timeout,
            hear=self._hear,
        )

    async def _sandbox(self, emit: Emit) -> Sandbox:
        """The folder's sandbox; people are told of it, and warned where it isolates less than before."""

        def report(text: str) -> None:
            if not text.startswith(NO_SANDBOX):  # comes as a warning
                emit(Notice(level="info", text=text, code="sandbox"))

        sandbox = await self.folder.sandbox(report)
        if (text := self.folder.step_down()) is not None:
            emit(Notice(level="warning", text=text, code="sandbox"))
        return sandbox

    async def _between_turns(self) -> Compaction:
        """The room of the next turn's prompts, without a sandbox for it."""
        tools = list(self.tools.enabled().values())
        system = self._system("local", str(self.folder.workspace.root))
        fixed = len(system) + (len(serialise(tools)) if tools else 0)
        return self._compaction(await self._model(), self._budget(self._journal.emit), fixed)

    def _budget(self, emit: Emit) -> Budget:
        settings = self.folder.settings
        limits = settings.limits
        if self.custom.steps is not None:
            limits = msgspec.structs.replace(limits, steps=self.custom.steps)
        return Budget(
            limits=limits,
            prices=settings.prices,
            model=self.info.model or settings.model,
            session_id=self.id,
            meter=self._meter,
            emit=emit,
            before=self._journal.spent,
            usage=self._journal.usage,
            steps=self._journal.steps,
        )

    def _compaction(self, model: Model, budget: Budget, fixed: int) -> Compaction:
        return Compaction(
            model=model,
            model_name=budget.model,
            transcript=self._journal.transcript,
            meter=self._meter,
            emit=budget.emit,
            fixed=fixed,
            spend=budget.spend,
            configured=self.folder.settings.context_window,
        )

    async def _model(self) -> Model:
        return self.custom.model or await self.folder.model()

    def _tools(self) -> Mapping[str, Tool]:
        return self.folder.tools() if self.custom.tools is None else self.custom.tools()

    def _system(self, isolation: Isolation, workdir: str) -> bytes:
        text = system_text(
            self.persona,
            isolation=isolation,
            workdir=workdir,
            network=self.folder.settings.sandbox.network,
            delegates=self._delegation is not None,
        )
        content = text if self.custom.system is None else self.custom.system(text)
        return msgspec.json.encode({"role": "system", "content": content})

    def _context(self, isolation: Isolation, emit: Callable[[AnyEvent], None]) -> ToolContext:
        return ToolContext(
            session_id=self.id,
            task_id=self.info.task_id,
            item_id="",
            settings=self.folder.settings,
            workspace=self.folder.workspace,
            isolation=isolation,
            sandbox=functools.partial(self._sandbox, emit),
            emit=emit,
            approve=self._consent.approve,
            ask=self._consent.ask,
            store_image=self._images.add,
            step_timeout=self._limits.step_timeout,
            delegation=self._delegation,
            personas=self.folder.personas,
            background=self._background,
            outputs=self.outputs,
            checkpoint=self._checkpoints.begin,
        )

    def _hear(self) -> bool:
        """Take what was said since the last step into the conversation; whether there was anything."""
        raise NotImplementedError

    def _redactor(self) -> Redactor:
        return Redactor(*self.folder.secrets)

    def take_over_history(self, events: Sequence[AnyEvent]) -> None:
        """Begin with the conversation of a history file."""
        for event in events:
            if isinstance(event, TurnStarted):
                self._journal.turn_id = new_id("trn")
            self._journal.emit(event)
        self._journal.turn_id = None

    def whole_conversation(self) -> Sequence[bytes]:
        """The messages with everything that only the model is no longer sent."""
        if not self._journal.transcript.compacted:
            return self._journal.transcript.messages
        whole = Transcript(self._images.url)
        for envelope in self.events():
            if not isinstance(envelope.event, Compacted):
                whole.apply(envelope.event, envelope.seq)
        return whole.messages

    def _write_history(self) -> None:
        path = self.folder.settings.history_file
        if path is None or self.info.task_id is not None:
            return
        try:
            root = history.root_of(path, self.folder.root, self.folder.workspace.root)
            history.write(path, self.whole_conversation(), root, history.Written(self.folder.launch.state))
        except OSError as error:
            text = f"The history file {path} can't be written: {error.strerror}."
            self._journal.emit(Notice(level="error", text=text, code="conflict"))
