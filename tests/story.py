"""A Pygent in this process with a scripted model: what the tests of sessions, tasks and tools share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pygent.app import App
from pygent.events import Envelope
from pygent.folder import Folder
from pygent.records import Approval, Decision, Question
from pygent.replay import ReplayServer, Reply, Script, ScriptedCall

KEY = "sk-key-of-the-story"


class Person:
    """A front end that records, and answers as it is told."""

    name = "test"

    def __init__(self, decision: Decision | None = None, answer: str | None = None) -> None:
        self.envelopes: list[Envelope] = []
        self.approvals: list[Approval] = []
        self.decision = decision
        self.answer = answer
        self._heard = asyncio.Event()

    def emit(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self._heard.set()

    async def approve(self, approval: Approval) -> Decision | None:
        self.approvals.append(approval)
        return self.decision

    async def ask(self, question: Question) -> str | None:
        return self.answer

    def of(self, kind: type) -> list[Any]:
        """The events of a kind, in order."""
        return [envelope.event for envelope in self.envelopes if isinstance(envelope.event, kind)]

    async def until(self, kind: type, **fields: Any) -> Any:
        """Wait for an event of a kind with these fields."""
        while True:
            for event in self.of(kind):
                if all(getattr(event, name) == value for name, value in fields.items()):
                    return event
            self._heard.clear()
            await asyncio.wait_for(self._heard.wait(), 30)


class Story:
    """One App over one folder and one scripted server."""

    def __init__(self, app: App, folder: Folder, person: Person, server: ReplayServer) -> None:
        self.app, self.folder, self.person, self.server = app, folder, person, server

    def last_result(self, number: int = -1) -> str:
        """What the model was last told of a call."""
        results = [
            message["content"]
            for message in self.server.requests[number]["messages"]
            if message["role"] == "tool"
        ]
        return str(results[-1])


@contextlib.asynccontextmanager
async def story(
    workspace: Path,
    *replies: Reply,
    person: Person | None = None,
    state: Path | None = None,
    script: dict[str, Any] | None = None,
    **flags: object,
) -> AsyncIterator[Story]:
    """Open a story; `flags` are settings by key, `script` what else the script says."""
    async with ReplayServer(Script(replies=list(replies), **(script or {}))) as server:
        environ = {**os.environ, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
        settings = {"use_docker": "0", "confirm_bash": False, **flags}
        app = App(environ=environ, home=Path(os.environ["HOME"]), flags=settings, state=state)
        person = person or Person()
        app.attach(person)
        try:
            yield Story(app, app.sessions.folder(workspace), person, server)
        finally:
            await app.close()


def call(name: str, /, **arguments: Any) -> Reply:
    """A reply that calls one tool."""
    return Reply(tool_calls=[ScriptedCall(name=name, arguments=arguments)])
