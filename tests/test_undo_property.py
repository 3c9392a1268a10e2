"""Whatever a person and an agent do to the same files, no line that a person typed is lost."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.checkpoints import Checkpoints
from pygent.errors import PygentError
from pygent.events import AnyEvent, Envelope, TurnUndone
from pygent.shadow import Shadow
from pygent.takeover import Takeover
from pygent.workspace import Workspace

FILES = ("a", "sub/b")
place = st.integers(0, 9)
name = st.sampled_from(FILES)
edits = st.lists(st.tuples(name, place, st.sampled_from(["add", "change", "drop"])), min_size=1, max_size=4)
TYPE = st.tuples(st.just("type"), name, place)
ACTIONS = st.one_of(
    *(TYPE, st.tuples(st.just("turn"), edits), st.tuples(st.just("undo")), st.tuples(st.just("redo"))),
    *(TYPE, st.tuples(st.just("task"), edits), st.tuples(st.just("apply"))),
)
ROUND = st.tuples(st.tuples(st.just("turn"), edits), TYPE, st.tuples(st.sampled_from(["undo", "apply"])))
STORY = st.tuples(st.lists(ROUND, min_size=1, max_size=2), st.lists(ACTIONS, min_size=2, max_size=6)).map(
    lambda parts: [*(action for one in parts[0] for action in one), *parts[1]]
)
"""Always a turn, typing after it and a way back, then anything."""


class World:
    """A workspace with its checkpoints, and a task's copy of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "work"
        (self.root / "sub").mkdir(parents=True)
        for number, file in enumerate(FILES):
            (self.root / file).write_text("".join(f"given {number}{line}\n" for line in range(8)))
        self.workspace = Workspace(self.root)
        self.shadow = Shadow(folder / "shadow.git")
        self.events: list[Envelope] = []
        self.checkpoints = Checkpoints(self.shadow, self.workspace, self.keep)
        self.copies = folder / "copies"
        self.task: tuple[str, str] | None = None
        self.typed: dict[str, set[str]] = {}
        self.turn = 0

    def keep(self, event: AnyEvent) -> None:
        self.events.append(
            Envelope(session_id="s", seq=len(self.events), at=0, event=event, turn_id=f"t{self.turn}")
        )

    def type(self, file: str, at: int) -> None:
        line = f"typed {sum(map(len, self.typed.values()))}"
        lines = self.lines(self.root / file)
        lines.insert(at % (len(lines) + 1), line)
        self.write(self.root / file, lines)
        self.typed.setdefault(file, set()).add(line)

    def work(self, root: Path, edits: list[tuple[str, int, str]]) -> None:
        """What an agent does: never to a person's own lines."""
        self.turn += 1
        for number, (file, at, how) in enumerate(edits):
            lines = self.lines(root / file)
            if lines and how == "drop" and not any(line.startswith("typed") for line in lines):
                (root / file).unlink()
                continue
            at %= len(lines) + 1
            if how == "change" and at < len(lines) and not lines[at].startswith("typed"):
                lines[at] = f"agent {self.turn}.{number}"
            else:
                lines.insert(at, f"agent {self.turn}.{number}")
            self.write(root / file, lines)

    @staticmethod
    def write(path: Path, lines: list[str]) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))

    @staticmethod
    def lines(path: Path) -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    async def act(self, action: str, *given: object) -> None:
        """One step of the story."""
        if action == "type":
            self.type(*given)  # type: ignore[arg-type]
        elif action == "turn":
            await self.checkpoints.begin()
            self.work(self.root, *given)  # type: ignore[arg-type]
            await self.checkpoints.end()
        elif action == "task":
            copy = self.copies / str(len(list(self.copies.glob("*"))))
            base = await self.shadow.whole(self.root, {})
            await self.shadow.check_out(base, copy)
            self.work(copy, *given)  # type: ignore[arg-type]
            self.task = (base, await self.shadow.take(copy))
        elif action == "apply" and self.task is not None:
            entries = await self.shadow.entries(*self.task)
            await Takeover(self.shadow, self.workspace, named=False, preview=False).run(entries)
        elif action in ("undo", "redo"):
            await self.restore(redo=action == "redo")

    async def restore(self, *, redo: bool) -> None:
        try:
            turn, _ = await self.checkpoints.restore(self.events, None, redo=redo, preview=False)
        except PygentError:
            return
        self.keep(TurnUndone(turn_id=turn, redone=redo))

    def check(self) -> None:
        for file, lines in self.typed.items():
            lost = lines - set(self.lines(self.root / file))
            assert not lost, f"{lost} gone from {file}"


@settings(max_examples=60, deadline=None)
@given(STORY)
def test_no_line_that_a_person_typed_is_lost(actions: list[tuple[object, ...]]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder).resolve())
            for action, *given in actions:
                await world.act(str(action), *given)
                world.check()

    asyncio.run(play())
