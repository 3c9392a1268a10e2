"""The root of a process: its store, sessions, tasks and clients.

Front ends make one `App`, attach themselves as clients, and call plain methods of its parts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path

from pygent.approvals import Approvals
from pygent.delegation import Tasks
from pygent.events import Client
from pygent.folder import Launch
from pygent.logs import Logs
from pygent.paths import owned, state_folder
from pygent.records import Task
from pygent.session_tasks import SessionTasks
from pygent.sessions import Sessions
from pygent.store import Store


class AcceptedMessages:
    """The turns of messages to which clients gave an id, so that one that is sent twice runs once.

    A client sends a message again within minutes if ever; the last thousand are kept.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._turns: dict[str, tuple[str, str]] = {}
        self._limit = limit

    def get(self, message_id: str | None) -> tuple[str, str] | None:
        """The session and turn of a message that was accepted; None for another, or for one without an id."""
        return self._turns.get(message_id or "")

    def add(self, message_id: str | None, session_id: str, turn_id: str) -> None:
        """Note that a message was accepted, and where."""
        if message_id:
            self._turns[message_id] = (session_id, turn_id)
            if len(self._turns) > self._limit:
                del self._turns[next(iter(self._turns))]


class App:
    """Everything that one process of Pygent has.

    `environ` is the process environment, read once by the front end; `flags` are settings of the command
    line by their `pygent.toml` key; they may be changed, and a folder that is reloaded sees it.  `trust` is
    as of `Launch`.
    Raises PygentError when the store can't be opened.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        home: Path,
        state: Path | None = None,
        flags: MutableMapping[str, object] | None = None,
        config_file: Path | None = None,
        trust: bool = False,
    ) -> None:
        self.launch = Launch(
            dict(environ),
            home,
            Path(os.path.realpath(state_folder() if state is None else owned(state))),
            {} if flags is None else flags,
            config_file and config_file.absolute(),
            trust,
        )
        self.store = Store(self.launch.state)
        self.logs = Logs()
        self.logs.add(self.launch.state / "pygent.log")
        self.approvals = Approvals(self.store)
        self.clients: list[Client] = []
        self.sessions = Sessions(self.launch, self.store, self.logs, self.approvals, self.clients)
        self.tasks = Tasks(self.sessions, self.store, self.approvals, self.clients)
        self.sessions.delegation = lambda session_id, folder: SessionTasks(self.tasks, session_id, folder)
        self._cleaning: asyncio.Task[None] | None = None
        self.messages = AcceptedMessages()

    def attach(self, client: Client) -> None:
        """Show a front end every event from now on, and ask it."""
        self.clients.append(client)

    def detach(self, client: Client) -> None:
        """Leave a front end alone."""
        self.clients.remove(client)

    def preload(self) -> None:
        """Import what the first turn needs; to be called in a thread once the front end is up."""
        from pygent.model.client import preload  # noqa: PLC0415 - half a second

        preload()

    def stay(self, folders: Collection[str]) -> list[Task]:
        """For front ends that stay: go on with these folders' interrupted tasks, and clean up meanwhile.

        `folders` are URIs.  Returns the tasks that this process has taken up.
        """
        if self._cleaning is None:
            self._cleaning = asyncio.create_task(self.tasks.clean(), name="clean-up")
        return self.tasks.recover(folders)

    async def close(self) -> None:
        """Cancel turns, mark tasks, end every sandbox and connection."""
        if self._cleaning is not None:
            self._cleaning.cancel()
        await self.tasks.close()
        await self.sessions.close()
        self.store.close()
        self.logs.close()
