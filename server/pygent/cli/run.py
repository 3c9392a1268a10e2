"""One request, or one task, without a conversation: for scripts and quick questions."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from pygent.app import App
from pygent.budget import worded
from pygent.cli.asking import CHOICES, HELP, decision_of, forget_typed, show_approval
from pygent.cli.console import Console
from pygent.cli.grammar import UsageError
from pygent.cli.lines import Events, asks_for_task
from pygent.cli.place import Place, place
from pygent.cli.trusting import ask, person_there, refuse_without_key, say_withheld
from pygent.config import Config
from pygent.delegation import DelegateRequest
from pygent.errors import ConfigInvalid, PygentError
from pygent.events import ApprovalRequested, Envelope
from pygent.records import Approval, Decision, Failure, Question, Task, TurnResult
from pygent.session import Session

CODES = {"completed": 0, "failed": 1, "needsInput": 3, "limit": 124, "cancelled": 130}
GO_ON = "Go on where you stopped."
LONGEST_LINE = 65536
"""Bytes that are read of a line; a terminal gives one line at a time, and cuts it far below this."""
FAILED = {"configInvalid": 4, "sandboxUnavailable": 5}


class Headless:
    """A front end that shows events of one session and cannot be asked, unless a person sits there."""

    name = "cli"

    def __init__(self, console: Console, *, json: bool, asks: bool) -> None:
        self._console = console
        self._json = json
        self._asks = asks
        self._asking = asyncio.Lock()
        self.events = Events(console)
        self.session_id = ""
        self.declined = 0
        self.gone: Callable[[], object] = lambda: None

    def emit(self, envelope: Envelope) -> None:
        """Show an event of the session."""
        if envelope.session_id != self.session_id and not asks_for_task(envelope):
            return
        try:
            if self._json:
                self._console.json(envelope)
            elif not (self._asks and isinstance(envelope.event, ApprovalRequested)):
                self.events.show(envelope)
        except BrokenPipeError:
            # Whoever read our output has gone: there is nobody to work for.
            self.session_id = ""
            self.gone()

    async def approve(self, approval: Approval) -> Decision:
        """Ask on the terminal; without one, decline and say which flag allows it."""
        if self._asks:
            return await self._asked(approval)
        self.declined += 1
        flag = {"command": "--no-confirm-bash", "edit": "-e PYGENT_CONFIRM_EDITS=0"}.get(approval.kind)
        way = f"{flag} allows it" if flag else "a terminal or an editor can ask you"
        self._console.say(f"Declined, because nobody can be asked here; {way}.", "yellow")
        return Decision(decision="decline", feedback="Nobody is there to approve it.")

    async def ask(self, question: Question) -> str | None:
        """Ask on the terminal, if there is one."""
        if not self._asks:
            return None
        async with self._asking:
            forget_typed(sys.stdin.fileno())
            return await _read_line(self._console, "> ")

    async def _asked(self, approval: Approval) -> Decision:
        async with self._asking:  # one question at a time: an answer belongs to the one that stands last
            self.events.end()
            show_approval(self._console, approval)
            forget_typed(sys.stdin.fileno())
            while (line := await _read_line(self._console, f"Allow? {CHOICES}")) is not None:
                if (decision := decision_of(line)) is not None:
                    return decision
                self._console.say(HELP, "dim")
        return Decision(decision="cancel")


async def _read_line(console: Console, prompt: str) -> str | None:
    """A whole line of the terminal, without holding up the loop; None at the end of input."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    console.raw(prompt, console.err)

    def readable() -> None:
        loop.remove_reader(sys.stdin.fileno())
        ready.set_result(None)

    loop.add_reader(sys.stdin.fileno(), readable)
    try:
        await ready
    except asyncio.CancelledError:
        console.raw("\n", console.err)  # somebody else has answered: what comes is no part of this line
        raise
    finally:
        loop.remove_reader(sys.stdin.fileno())
    data = os.read(sys.stdin.fileno(), LONGEST_LINE)
    if not data.endswith(b"\n"):
        console.raw("\n", console.err)
        return None
    return data.decode(sys.stdin.encoding, "replace")


def refuse_invalid(config: Config) -> None:
    """Raise ConfigInvalid for the first error of the settings: a script must not run on half of them."""
    errors = [problem for problem in config.diagnostics if problem.severity == "error"]
    if errors:
        raise ConfigInvalid(errors[0].message, errors[0].fix)


def say_place(console: Console, where: Place) -> None:
    """Tell where the agent works and what of the settings is withheld."""
    if where.temporary is not None:
        console.say(f"Workspace: {where.temporary} (temporary: removed at the end; --cwd works here)", "dim")
    else:
        console.say(f"Workspace: {where.folder.workspace.root}", "dim")
    for problem in where.folder.config.diagnostics:
        if problem.severity != "hint":
            console.say(problem.message, "yellow")
    say_withheld(console, where.folder.config)


def open_session(app: App, where: Place, given: argparse.Namespace) -> Session:
    """The session that the flags ask for, with its tools.  Raises PygentError."""
    session = None
    if given.resume == "latest":
        session = app.sessions.latest(where.folder)
        if session is None:
            raise PygentError("notFound", "There is no session of this folder to resume.", "pygent sessions")
    elif given.resume:
        session = app.sessions.find(given.resume)
    if session is None:
        session = app.sessions.new(where.folder, persona=given.persona)
    elif given.persona:
        session.use_persona(given.persona)
    for name in given.omit_tool:
        session.tools.switch(name, False)
    return session


async def run(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent run`: exit codes as the protocol page says."""
    words = getattr(given, "text", None) or ([] if given.resume else ["-"])
    text = read_text(words) if words else None
    asks = words != ["-"] and person_there()
    with place(given, environ, functools.partial(ask, console) if asks else None) as where:
        refuse_invalid(where.folder.config)
        say_place(console, where)
        refuse_without_key(where.folder.config)
        person = Headless(console, json=given.json, asks=asks)
        where.app.attach(person)
        try:
            session = open_session(where.app, where, given)
            person.session_id = session.id
            result = await _turn(session, person, text or go_on(session))
        finally:
            await where.app.close()
        return _report(console, person, result, json=given.json)


def go_on(session: Session) -> str:
    """What is said to go on with a session when the person says nothing.  Raises UsageError."""
    last = session.last_result()
    if last is None or last.status in ("completed", "needsInput"):
        done = "nothing was said yet" if last is None else "its last turn is completed"
        if last is not None and last.status == "needsInput":
            done = "the agent waits for an answer"
        raise UsageError(f"there is no request, and {done}: pygent --resume {session.id} run '…'")
    return GO_ON


async def _turn(session: Session, person: Headless, text: str) -> TurnResult:
    """A turn; when we are cancelled it is ended in good order and its end returned."""
    job = asyncio.ensure_future(session.chat(text))
    person.gone = job.cancel
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await session.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await job
        raise


def _report(console: Console, person: Headless, result: TurnResult, *, json: bool) -> int:
    person.events.end()
    if json:
        console.json({"type": "result", **msgspec.to_builtins(result)})
    if result.error is not None:
        console.error(result.error.message, result.error.fix)
    if result.question is not None:
        console.say(f"Answer with: pygent --resume {result.session_id} run '…'", "yellow")
    console.say(f"{worded(result.usage)} · session {result.session_id}", "dim")
    if person.declined and result.status in ("completed", "failed"):
        return 3
    return _code(result.status, result.error)


def _code(status: str, error: Failure | None) -> int:
    return FAILED.get(error.code, CODES[status]) if error is not None else CODES[status]


def read_text(words: list[str]) -> str:
    """The request; `-` reads standard input.  Raises UsageError if there is none."""
    text = sys.stdin.read() if words == ["-"] else " ".join(words)
    text = text.encode("utf-8", "replace").decode()  # an argument may hold bytes that are no text
    if not text.strip():
        raise UsageError("there is no request")
    return text


async def delegate(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent delegate`: the task runs while this process does; its events go to standard error."""
    text = read_text(given.text)
    asks = given.text != ["-"] and person_there()
    with place(given, environ, functools.partial(ask, console) if asks else None) as where:
        refuse_invalid(where.folder.config)
        say_place(console, where)
        refuse_without_key(where.folder.config)
        request = DelegateRequest(
            text,
            where.folder,
            persona=given.persona,
            files=given.file,
            timeout=given.timeout,
            step_timeout=given.step_timeout,
        )
        try:
            return await follow(where, lambda: where.app.tasks.delegate(request), given, console, asks=asks)
        finally:
            await where.app.close()


async def follow(
    where: Place,
    queue: Callable[[], Awaitable[Task]],
    given: argparse.Namespace,
    console: Console,
    *,
    asks: bool = False,
) -> int:
    """Queue a task and show what it does until it ends; its exit code."""
    person = Headless(console, json=given.json, asks=asks)
    where.app.attach(person)
    task = await queue()
    person.session_id = task.session_id
    console.say(f"Task {task.id} ({task.persona.name}) in {task.workspace}", "dim")
    return _end_of_task(console, person, await _wait(where.app, task), json=given.json)


async def _wait(app: App, task: Task) -> Task:
    try:
        while not app.tasks.settled(task):
            (task,) = await app.tasks.wait([task.id], None)
    except asyncio.CancelledError:
        return await app.tasks.cancel(task.id)
    return task


def _end_of_task(console: Console, person: Headless, task: Task, *, json: bool) -> int:
    person.events.end()
    if json:
        console.json({"type": "result", "task": msgspec.to_builtins(task)})
    if task.error is not None:
        console.error(task.error.message, task.error.fix)
    if task.status == "waiting":
        console.error(f"The task asks: {task.waiting_for}", f"pygent tasks send {task.id} '…' answers it.")
    changed = f"; changed: {', '.join(task.changed_files)}" if task.changed_files else ""
    console.say(f"Task {task.status} after {task.steps} steps{changed} · {worded(task.usage)}", "dim")
    if task.changed_files:
        console.say(f"Take its changes over with: pygent tasks apply {task.id}", "dim")
    codes: dict[str, Any] = {"completed": 0, "cancelled": 130, "timedOut": 124, "waiting": 3}
    return int(codes.get(task.status, 3 if person.declined else 1))
