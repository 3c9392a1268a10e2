"""Undo and redo: the workspace before and after what a turn changed, and the way between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pygent.errors import PygentError
from pygent.events import AnyEvent, Checkpoint, Envelope, Notice, TurnUndone
from pygent.records import Wire
from pygent.shadow import Shadow
from pygent.snapshots import unsaved
from pygent.takeover import Takeover
from pygent.workspace import Workspace

PATIENCE = 20.0
"""Seconds that a snapshot may take; a turn whose workspace is too large for that can't be undone."""


class UndoneFile(Wire, frozen=True, kw_only=True):
    """A file that undo or redo touches; with `conflict` it was left as it is."""

    uri: str
    action: str
    conflict: str | None = None


class Undone(Wire, frozen=True, kw_only=True):
    """What undo or redo did, or with `preview` would do; `restored` if every file could be."""

    files: list[UndoneFile]
    restored: bool


class Checkpoints:
    """The checkpoints of one session's turns.  `emit` stores an event of the running turn.

    `given` is the snapshot that a workspace was just made from, so that it need not be taken again.
    """

    def __init__(
        self,
        shadow: Shadow,
        workspace: Workspace,
        emit: Callable[[AnyEvent], None],
        given: str | None = None,
    ) -> None:
        self._shadow = shadow
        self._workspace = workspace
        self._emit = emit
        self._given = given
        self._before: str | None = None
        self._unsaved: Mapping[Path, str] = {}
        self._tried = False
        self._given_up = False

    async def begin(self) -> None:
        """Remember the workspace as it is, before the turn's first change."""
        if not self._tried:
            self._tried = True
            given, self._given = self._given, None
            self._unsaved = unsaved(self._workspace)
            self._before = given or await self._take()

    async def end(self, edited: Collection[Path] = ()) -> None:
        """Remember it as the turn left it, if anything is different.

        Of the files that its tools `edited` what is open and not saved counts: that is where they edited.
        """
        before, self._before, self._tried = self._before, None, False
        after = None if before is None else await self._take()
        if before is None or after is None:
            return
        before = await self._with_buffers(before, self._unsaved, edited)
        after = await self._with_buffers(after, unsaved(self._workspace), edited)
        if before != after:
            self._emit(Checkpoint(before=before, after=after))

    async def _with_buffers(self, tree: str, buffers: Mapping[Path, str], edited: Collection[Path]) -> str:
        texts = {path: text for path, text in buffers.items() if path in edited}
        return await self._shadow.over(tree, self._workspace.root, texts) if texts else tree

    async def restore(
        self, events: Iterable[Envelope], turn_id: str | None, *, redo: bool, preview: bool
    ) -> tuple[str, Undone]:
        """Take a turn's changes back, or make them again; without an id those of the last that can be.

        What a person changed since is merged or kept.  Returns the turn's id.  Raises PygentError `notFound`.
        """
        made, undone = _history(events)
        able = undone if redo else [one for one in made if one not in undone]
        wanted = turn_id or (able[-1] if able else "")
        if wanted not in able:
            what = "been undone" if redo else "changed files and is not undone"
            raise PygentError("notFound", f"There is no turn that has {what}.")
        point = made[wanted]
        here, there = (point.before, point.after) if redo else (point.after, point.before)
        entries = await self._shadow.entries(here, there)
        done = await Takeover(self._shadow, self._workspace, named=True, preview=preview).run(entries)
        reasons = {conflict.path: conflict.reason for conflict in done.conflicts}
        files = [
            UndoneFile(
                uri=(self._workspace.root / entry.path).as_uri(),
                action=entry.kind,
                conflict=reasons.get(entry.path),
            )
            for entry in entries
        ]
        return wanted, Undone(files=files, restored=not reasons)

    async def _take(self) -> str | None:
        if self._given_up:
            return None
        try:
            return await self._shadow.take(self._workspace.root, PATIENCE)
        except PygentError as error:
            why = error.message
            if error.code == "limit":
                self._given_up = True
                why = f"a snapshot takes longer than {PATIENCE:g} s; is something large not in .gitignore?"
        self._emit(Notice(level="warning", text=f"This turn can't be undone: {why}", code="snapshot"))
        return None


def _history(events: Iterable[Envelope]) -> tuple[dict[str, Checkpoint], list[str]]:
    """The checkpoints by turn, and the turns that are undone now, the latest last."""
    made: dict[str, Checkpoint] = {}
    undone: list[str] = []
    for envelope in events:
        if isinstance(event := envelope.event, Checkpoint):
            made[envelope.turn_id or ""] = event
        elif isinstance(event, TurnUndone):
            if event.turn_id in undone:
                undone.remove(event.turn_id)
            if not event.redone:
                undone.append(event.turn_id)
    return made, undone
