"""The folders and live sessions of a process, found again by their ids."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pygent import history
from pygent.approvals import Approvals
from pygent.equipment import Custom
from pygent.errors import PygentError
from pygent.events import (
    ChangeMade,
    Checkpoint,
    Client,
    Envelope,
    Forked,
    Notice,
    TurnFinished,
    TurnStarted,
)
from pygent.folder import Folder, Launch
from pygent.logs import Logs
from pygent.paths import path_of
from pygent.records import Persona, SessionInfo, new_id, now_ms
from pygent.saved import Kept
from pygent.session import Session
from pygent.store import Store
from pygent.tasks import Delegation, Limits, pick_persona
from pygent.workspace import Documents


class Sessions:
    """What is open in this process.

    `delegation` gives a session what its delegation tools may do; it is set by the tasks above this layer.
    `documents` are the open buffers of editors, set by their front end.
    """

    def __init__(
        self, launch: Launch, store: Store, logs: Logs, approvals: Approvals, clients: Sequence[Client]
    ) -> None:
        self.launch = launch
        self.delegation: Callable[[str, Folder], Delegation | None] = lambda *_: None
        self.custom: Callable[[SessionInfo], Custom] = lambda _: Custom()
        """What a program that embeds Pygent puts in the place of a session's own."""
        self.documents: Documents | None = None
        self._store = store
        self._logs = logs
        self._approvals = approvals
        self._clients = clients
        self._folders: dict[Path, Folder] = {}
        self._live: dict[str, Session] = {}

    async def close(self) -> None:
        """Cancel every turn, end every sandbox and connection."""
        await asyncio.gather(*(session.close() for session in self._live.values()))
        await asyncio.gather(*(folder.close() for folder in self._folders.values()))

    def folder(
        self,
        root: Path,
        *,
        editor: Mapping[str, object] | None = None,
        trusted: bool | None = None,
    ) -> Folder:
        """A workspace folder, opened at the first call; later the same, with what the editor says anew.

        Raises PygentError for a folder that can't be a workspace.
        """
        key = Path(os.path.realpath(root))
        folder = self._folders.get(key)
        if folder is None:
            folder = self._folders[key] = Folder(key, self.launch, editor=editor, trusted=trusted)
            folder.workspace.documents = self.documents
            self._log(folder)
        elif editor is not None or trusted is not None:
            folder.update(editor=editor, trusted=trusted)
        return folder

    def home(self, info: SessionInfo) -> Folder:
        """The workspace folder that a session belongs to.  Raises as `folder`."""
        return self.folder(path_of(info.folder_uri or "") or Path(info.workspace))

    def _log(self, folder: Folder) -> None:
        path, root = folder.settings.log_file, folder.workspace.root
        if path is not None and (problem := self._logs.add(path, root)):
            folder.problems.append(problem)

    def new(
        self,
        folder: Folder,
        *,
        persona: str | Persona | None = None,
        model: str | None = None,
        title: str | None = None,
        snapshot: tuple[Path, Kept] | None = None,
    ) -> Session:
        """Begin a conversation; it takes over the history file if there is one, or what a snapshot has.

        `snapshot` is one that is loaded now, with what it says of the session; the one of the settings is
        taken over by the first session of its folder.

        Raises PygentError `notFound` for an unknown persona.
        """
        main, *_ = folder.personas()
        path, kept = snapshot or folder.take_snapshot() or (None, Kept(format=0))
        wanted = persona or kept.persona
        chosen = pick_persona(folder.personas(), wanted, 0) if wanted else main
        if chosen is not None and persona is None and chosen not in folder.personas():
            chosen = msgspec.structs.replace(chosen, unconfirmed=True)  # a snapshot may come from anybody
        session = self.open(new_info(folder, chosen or main, title or kept.title, model=model), folder)
        session.tools.off.update(session.tools.known().keys() & set(kept.tools_off))
        self._store.save_session(session.info)
        self._take_over_history(session, path, first=snapshot is not None)
        return session

    def fork(self, session_id: str, before_turn_id: str | None = None) -> Session:
        """A copy of a conversation that goes its own way, from before a turn or from the last turn's end.

        The two share nothing that changes, but the workspace.  Raises PygentError `notFound`, and
        `unsupported` for a task's.
        """
        info = self._store.session(session_id)
        if info.task_id is not None:
            raise PygentError("unsupported", "The conversation of a task can't be forked.", "Retry the task.")
        envelopes = self._store.events(session_id)
        before = _fork_point(envelopes, before_turn_id)
        begun = any(isinstance(one.event, TurnStarted) for one in envelopes if one.seq < before)
        fork = msgspec.structs.replace(
            info,
            id=new_id("ses"),
            title=f"{info.title} (fork)" if begun else "",
            created_at=now_ms(),
            updated_at=now_ms(),
            status="idle",
            usage=None,
        )
        self._store.copy_events(session_id, fork, before=before)
        outputs = self.launch.state / "outputs"
        if (outputs / session_id).is_dir():
            shutil.copytree(outputs / session_id, outputs / fork.id, symlinks=True)
        session = self.open(fork, self.home(fork))
        live = self._live.get(session_id)
        if live is not None:
            session.tools.off |= live.tools.off
        changed = any(
            isinstance(one.event, ChangeMade | Checkpoint) for one in envelopes if one.seq >= before
        )
        session.announce(Forked(session_id=session_id, turn_id=before_turn_id, changed=changed))
        return session

    def get(self, session_id: str) -> Session:
        """A session, live or resumed from the store.  Raises PygentError `notFound`."""
        session = self._live.get(session_id)
        if session is None:
            info = self._store.session(session_id)
            folder = self.home(info)
            if info.task_id is not None:
                if not Path(info.workspace).exists():  # it is made when the task starts
                    raise PygentError("busy", "The task has not begun yet.", "pygent tasks shows its place.")
                folder = Folder(Path(info.workspace), self.launch, parent=folder)
            session = self.open(info, folder)
            if info.task_id is None:  # a task's turn is taken up again, not ended
                session.recover()
        return session

    def find(self, word: str) -> Session:
        """A conversation by its id, or by how that begins or ends.  Raises PygentError `notFound`."""
        found = self._store.session_ids(word)
        if len(found) == 1:
            return self.get(found[0])
        what = "several sessions" if found else "no session"
        raise PygentError(
            "notFound", f"There is {what} with {word!r} in the id.", "List them: pygent sessions."
        )

    def live(self, session_id: str) -> Session | None:
        """A session if it is open in this process."""
        return self._live.get(session_id)

    def latest(self, folder: Folder) -> Session | None:
        """The folder's last used conversation."""
        page, _ = self._store.sessions(folder_uri=folder.uri, limit=1)
        return self.get(page[0].id) if page else None

    def page(self, **query: Any) -> tuple[list[SessionInfo], str | None]:
        """A page of conversations as `Store.sessions` gives it; one whose process died shows as idle."""
        page, cursor = self._store.sessions(**query)
        return [
            info
            if info.status == "idle" or self._store.session_owned(info.id)
            else msgspec.structs.replace(info, status="idle")
            for info in page
        ], cursor

    def running(self) -> list[Session]:
        """The sessions with a turn that runs, the latest last."""
        running = [session for session in self._live.values() if session.turn_id is not None]
        return sorted(running, key=lambda session: session.turn_id or "")

    async def delete(self, session_id: str) -> bool:
        """Forget a session and end what it left running; False if there is none.

        Raises PygentError `busy` while a turn runs in it.
        """
        if self._store.session_owned(session_id):
            raise PygentError("busy", "A turn is running in this session.", "Cancel it first.")
        session = self._live.pop(session_id, None)
        if session is not None:
            await session.close()
        found = self._store.delete_session(session_id)
        if found:
            shutil.rmtree(self.launch.state / "outputs" / session_id, ignore_errors=True)
        return found

    def open(
        self,
        info: SessionInfo,
        folder: Folder,
        limits: Limits | None = None,
        watch: Callable[[Envelope], None] = lambda _: None,
        given: str | None = None,
    ) -> Session:
        """Bring a recorded session to life; `watch` hears its events, `given` is as of `Checkpoints`."""
        session = self._live[info.id] = Session(
            info,
            store=self._store,
            folder=folder,
            clients=self._clients,
            approvals=self._approvals,
            delegation=None if info.task_id is not None else self.delegation(info.id, folder),
            limits=limits,
            watch=watch,
            given=given,
            custom=self.custom(info),
        )
        return session

    def leave(self, session_id: str) -> None:
        """Keep no longer in memory a session that has ended; its record stays."""
        self._live.pop(session_id, None)

    def _take_over_history(self, session: Session, snapshot: Path | None, *, first: bool) -> None:
        """Begin with the history file's conversation, or with the snapshot's, which may come first."""
        settings = session.folder.settings
        saved = None if snapshot is None else snapshot / "history.json"
        path = (saved if first else None) or settings.history_file or saved
        if path is None:
            return
        if path == settings.history_file and saved is not None and not path.exists():
            path = saved
        folder = session.folder
        root = history.root_of(path, *([snapshot] if snapshot else []), folder.root, folder.workspace.root)
        try:
            session.take_over_history(history.read(path, root, history.Written(self.launch.state)))
        except PygentError as error:
            aside = history.set_aside(path, root) if path == settings.history_file else path
            text = f"{error.message} It is kept as {aside}; the conversation starts anew."
            session.announce(Notice(level="error", text=text, code="conflict"))


def _fork_point(envelopes: Sequence[Envelope], turn_id: str | None) -> int:
    """The number of the first event that a fork leaves out.  Raises PygentError `notFound`."""
    starts = {one.turn_id: one.seq for one in envelopes if isinstance(one.event, TurnStarted)}
    if turn_id is not None and turn_id not in starts:
        raise PygentError("notFound", f"There is no turn {turn_id} in this session.")
    if turn_id is not None:
        return starts[turn_id]
    ended = {one.turn_id for one in envelopes if isinstance(one.event, TurnFinished)}
    running = [seq for turn, seq in starts.items() if turn not in ended]
    return min(running, default=envelopes[-1].seq + 1 if envelopes else 1)


def new_info(
    folder: Folder,
    persona: Persona,
    title: str,
    *,
    model: str | None = None,
    task_id: str | None = None,
    place: Path | None = None,
) -> SessionInfo:
    """The record of a session to be."""
    now = now_ms()
    return SessionInfo(
        id=new_id("ses"),
        title=title,
        created_at=now,
        updated_at=now,
        workspace=str(place or folder.workspace.root),
        folder_uri=folder.uri,
        persona=persona,
        model=model,
        task_id=task_id,
        status="idle",
    )
