"""What commands must not change or read in the workspace, while one runs and after it.

What is there when a command starts is mounted read-only or hidden.  Such a mount ends when the host puts
another file in that place (rename(2) detaches the mounts of other namespaces), which every editor does that
saves a file: a command that runs then is ended.  What could not be mounted is compared afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pygent import files, programs
from pygent.protected import acts
from pygent.sandbox.marks import Marks
from pygent.sandbox.profile import Profile
from pygent.sandbox.survey import Entry, Identity, Survey, Taken

MOST_MOUNTS = 200
"""Mounts of protected entries for one command; each costs 0.1 ms and a file handle."""
MOST_NAMED = 20
"""Names in one report."""
REST, LONGEST_PAUSE = 3, 0.05
"""How many times as long as a check took the next one waits, and seconds that it waits at most."""
ASK = 0.25
"""Seconds between two looks beside a running command where the kernel tells nothing."""


@dataclass(slots=True, eq=False)
class _Running:
    taken: Taken
    identities: frozenset[Identity]
    background: bool
    end: Callable[[str], None]
    on_notice: Callable[[str], None] | None


class Guards:
    """The guards of one workspace; `confined` says that its sandbox mounts what is `kept`."""

    def __init__(self, profile: Profile, *, confined: bool = True) -> None:
        self._root = profile.root
        self._confined = confined
        self._survey = Survey(profile.root, self._given_up)
        self._marks = Marks(profile.root)
        self._first = asyncio.Lock()
        self._seen: dict[Identity, int] = {}
        self._running: list[_Running] = []
        self._last: Mapping[str, Entry] | None = None
        self._heard: int | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        within = [path for path in profile.limits.read_only_paths if profile.root in path.parents]
        self._named = [self._name(path) for path in [*within, *programs.own_files(profile.root)]]
        self._writable = {
            self._name(path) for path in profile.limits.writable_paths if profile.root in path.parents
        }

    async def look(self) -> Taken:
        """What there is now.  The first look reads the whole tree."""
        async with self._first:
            if self._last is None:
                self._last = await asyncio.to_thread(self._survey.look)
        return self._take(self._survey.look())

    def became(self, taken: Taken) -> str | None:
        """What became of protected files since `taken`, in words for people and the model."""
        entries = self._survey.look()
        changes: dict[str, list[str]] = {}
        for name in sorted(taken.there | entries.keys()):
            if not self._is_opened(name) and (verb := self._became(name, entries.get(name), taken)):
                changes.setdefault(verb, []).append(f"{name} ({acts(name.rpartition('/')[2])})")
        if not changes:
            return None
        said = "; ".join(f"{verb} {_listed(names)}" for verb, names in changes.items())
        return (
            f"While it ran, files changed with which others act outside of the sandbox: {said}. "
            "Look at them before you open the folder in an editor, use git or push."
        )

    @contextlib.contextmanager
    def watching(
        self,
        taken: Taken,
        end: Callable[[str], None],
        *,
        background: bool,
        on_notice: Callable[[str], None] | None,
    ) -> Iterator[None]:
        """Call `end` with a reason as soon as something that the command must not touch is within its reach.

        What a command itself makes can't be told from what a person puts there: new secrets end only what
        runs in the background.  `on_notice` hears what became of protected files: of what runs in the
        background at once, of others at their end.
        """
        running = _Running(taken, frozenset(taken.mounted.values()), background, end, on_notice)
        self._running.append(running)
        self._last = {}
        if len(self._running) == 1:
            self._begin()
        try:
            self._check()
            yield
        finally:
            self._running.remove(running)
            if not self._running:
                self._end()
            self._tell(running)

    def close(self) -> None:
        """Look no more."""
        self._survey.close()

    def _take(self, entries: Mapping[str, Entry]) -> Taken:
        kept = self._named_now()
        hidden: dict[str, Identity] = {}
        for name in self._in_turn(entries):
            entry = entries[name]
            if self._is_opened(name) or len(kept) + len(hidden) >= MOST_MOUNTS:
                continue
            if entry.type == stat.S_IFLNK:
                name, found = self._behind(name)  # noqa: PLW2901 - what is held is what the link names
                if found is None or self._is_opened(name):
                    continue
                identity = found
            else:
                identity = entry.identity
            if entry.kind == "code":
                kept[name] = identity
            elif entry.kind == "secret":
                hidden[name] = identity
                kept.pop(name, None)  # a stranger's settings may name it in read_only_paths
        held = {*kept, *hidden} if self._confined else set(hidden)
        loose = {name: entry for name, entry in entries.items() if name not in held}
        return Taken(
            kept,
            hidden,
            tuple(sorted(name for name in self._writable if _below(name, kept))),
            self._marks.of(loose),
            frozenset(entries),
        )

    def _in_turn(self, entries: Mapping[str, Entry]) -> list[str]:
        """Secrets first, then what has been there for longest: what a command makes displaces no guard."""
        for name in sorted(entries, key=lambda name: (name.count("/"), name)):
            self._seen.setdefault(entries[name].identity, len(self._seen))
        return sorted(
            entries, key=lambda name: (entries[name].kind != "secret", self._seen[entries[name].identity])
        )

    def _named_now(self) -> dict[str, Identity]:
        """What the settings name, and our own code, as far as it is there and no link."""
        found = {}
        for name in self._named:
            there = None if self._is_opened(name) else files.status(self._root / name, self._root)
            if there is not None and stat.S_IFMT(there.st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                found[name] = (there.st_dev, there.st_ino)
        return found

    def _behind(self, name: str) -> tuple[str, Identity | None]:
        """What a link in the workspace names, if that lies there too."""
        try:
            target = (self._root / name).resolve()
        except (OSError, RuntimeError):  # swapped meanwhile, or a loop of links
            return name, None
        if self._root not in target.parents:
            return name, None
        there = files.status(target, self._root)
        plain = there is not None and stat.S_IFMT(there.st_mode) in (stat.S_IFREG, stat.S_IFDIR)
        return self._name(target), (there.st_dev, there.st_ino) if plain and there is not None else None

    def _became(self, name: str, entry: Entry | None, taken: Taken) -> str | None:
        """A verb for what became of one entry; None if nothing did."""
        link = " as a link" if entry is not None and entry.type == stat.S_IFLNK else ""
        if entry is None:
            return "removed"
        if name not in taken.there:
            return f"created{link}"
        if name in taken.loose:
            if self._marks.of({name: entry}).get(name) == taken.loose[name]:
                return None
            return "replaced by a link" if link else "changed"
        if name not in taken.mounted or entry.identity == taken.mounted[name]:
            return None
        return "replaced by a link" if link else "replaced"

    def _is_opened(self, name: str) -> bool:
        return any(name == one or name.startswith(one + "/") for one in self._writable)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _begin(self) -> None:
        self._listen()
        if self._survey.handle is None:
            self._asking = asyncio.create_task(self._ask())

    def _end(self) -> None:
        self._unlisten()
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _listen(self) -> None:
        self._pause = None
        if (handle := self._survey.handle) is not None:
            self._heard = handle
            asyncio.get_running_loop().add_reader(handle, self._hear)

    def _unlisten(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._heard is not None:
            asyncio.get_running_loop().remove_reader(self._heard)
            self._heard = None

    def _given_up(self) -> None:
        if self._running:
            self._unlisten()
            self._asking = asyncio.create_task(self._ask())

    def _hear(self) -> None:
        """Check, and then leave the loop to others for a while: a command can make changes without end."""
        loop = asyncio.get_running_loop()
        self._unlisten()
        began = loop.time()
        self._check()
        if self._running and self._survey.handle is not None:
            self._pause = loop.call_later(min(LONGEST_PAUSE, REST * (loop.time() - began)), self._listen)

    async def _ask(self) -> None:
        loop, pause = asyncio.get_running_loop(), ASK
        while True:
            await asyncio.sleep(pause)
            began = loop.time()
            self._check()
            pause = max(ASK, REST * (loop.time() - began))

    def _check(self) -> None:
        """End what runs beside an entry that it must not touch and that nothing holds any more."""
        entries = self._survey.look()
        named = {name: Entry("code", identity, 0) for name, identity in self._named_now().items()}
        if (entries := {**entries, **named}) == self._last:
            return
        self._last = entries
        for running in list(self._running):
            found = (_exposed(name, entry, running) for name, entry in entries.items())
            if self._confined and (reason := next(filter(None, found), None)):
                running.end(reason)
            if running.background:
                self._tell(running)

    def _tell(self, running: _Running) -> None:
        if running.on_notice is not None and (text := self.became(running.taken)):
            running.on_notice(text)
            now = self._take(self._survey.look())
            running.taken = replace(running.taken, loose=now.loose, there=now.there)


def _exposed(name: str, entry: Entry, running: _Running) -> str | None:
    """Why a command must end because of an entry; None if it need not."""
    if entry.kind == "told" or entry.identity in running.identities:
        return None
    if name in running.taken.mounted:
        return (
            f"It was ended because {name} was replaced while it ran, as editors do that save a file, and "
            "commands must not touch it. Run it again."
        )
    if running.background and entry.kind == "secret" and name not in running.taken.there:
        return (
            f"It was ended because {name}, which may hold secrets, came up while it ran. Run it again; "
            "sandbox.writable_paths may name the file if commands are meant to use it."
        )
    return None


def _below(name: str, kept: Mapping[str, Identity]) -> bool:
    return any(name.startswith(one + "/") for one in kept)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    shown = ", ".join(names[:MOST_NAMED]) + more
    return "".join(sign if sign.isprintable() else f"\\u{{{ord(sign):x}}}" for sign in shown)
