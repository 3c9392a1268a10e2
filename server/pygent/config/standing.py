"""The settings of a folder as they change, and which of its bytes the person has trusted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pygent.config import sources
from pygent.config.load import Config, config_files, load
from pygent.config.look import Look
from pygent.config.named import cover
from pygent.config.trust import Trust


@dataclass(frozen=True, slots=True)
class Layers:
    """What settings come from beside the folder's files; `flags` may be changed."""

    environ: Mapping[str, str]
    home: Path
    flags: Mapping[str, object]
    config_file: Path | None = None


class Standing:
    """How the person stands to a folder: its bytes that they trusted, and what lies there now.

    `word` is that what lies there now is trusted, as an editor says each time that it starts; it does not
    cover what a command of the agent left.  `sure` is the same word by `--trust`, which does.  Both hold for
    this process.  What changes later has no effect until it is accepted, and what was trusted stays in force.
    """

    def __init__(
        self, root: Path, layers: Layers, trust: Trust, *, word: bool = False, sure: bool = False
    ) -> None:
        self._root = root
        self._layers = layers
        self._trust = trust
        self._word = word
        self._sure = sure
        self._accepted: Look | None = None
        self._pinned = self._config_file()
        self._own: object = None
        self.look = Look(root)

    def load(self, previous: Config | None, **layers: Any) -> Config:
        """Look at the folder and read the settings; `layers` are the editor's and the snapshot's."""
        layers = {**layers, "previous": previous, "texts": self._pinned}
        self._own, self.look = self._stamps(), Look(self._root)
        config = self._read(trusted=True, look=self.look, **layers)
        cover(config, self.look)
        self.look.sealed = True
        if self._is_trusted_now():
            self._accepted, self._word, self._sure = self.look, False, False
        if self._accepted is None and not self.look.marks and not self.look.refused:
            return replace(config, trusted=False)
        if self.trusted and not self.look.refused:
            return config
        return self._read(trusted=self.trusted, look=self.look, accepted=self._accepted, **layers)

    def preview(self, config: Config, texts: Mapping[Path, str], **layers: Any) -> Config:
        """The settings as they would be with these texts in place of their files."""
        layers = {**layers, "previous": config, "texts": {**self._pinned, **texts}}
        return self._read(trusted=self.trusted, look=self.look, accepted=self._accepted, **layers)

    @property
    def trusted(self) -> bool:
        """Whether the person trusts what lies in the folder, as it was when it was looked at last."""
        return self._accepted is not None and self._accepted.marks == self.look.marks

    @property
    def accepted(self) -> Look | None:
        """What the person trusted in this folder."""
        return self._accepted

    @property
    def is_current(self) -> bool:
        """Whether no file of the settings was changed since it was read."""
        return self.look.is_current and self._own == self._stamps()

    def differs(self, key: str, config: Config) -> list[str]:
        """The files that a setting in force names and that are other ones now than those trusted."""
        if self._accepted is not None and self._accepted.is_current:
            return []
        now, proven = Look(self._root), {} if self._accepted is None else self._accepted.marks
        cover(config, now)
        before = set() if self._accepted is None else self._accepted.named.get(key, set())
        names = before | now.named.get(key, set())
        return sorted(name for name in names if now.marks.get(name) != proven.get(name))

    def give_word(self) -> None:
        """Trust what lies in the folder at the next look, unless something was trusted before."""
        self._word = self._accepted is None

    def changed_since(self, look: Look) -> list[str]:
        """The files that are other ones than at an earlier look."""
        before, now = look.marks, self.look.marks
        return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))

    def accept(self, look: Look, *, keep: bool) -> None:
        """Trust what the person was shown, and with `keep` also at later starts.  Raises OSError."""
        self._accepted = look
        if keep or self._trust.suspects(self._root, look.marks):
            self._trust.set(self._root, look.marks)

    def revoke(self) -> None:
        """Trust the folder no longer.  Raises OSError."""
        self._accepted, self._word, self._sure = None, False, False
        self._trust.set(self._root, None)

    def suspect(self, names: Iterable[str]) -> None:
        """Remember that a command of the agent made these files what they are now."""
        left = {name: self.look.marks[name] for name in names if name in self.look.marks}
        with contextlib.suppress(OSError):  # where the state can't be written, this process still knows
            self._trust.suspect(self._root, left)

    def _is_trusted_now(self) -> bool:
        if self._trust.is_trusted(self._root, self.look.marks):
            return True
        return self._sure or (self._word and not self._trust.suspects(self._root, self.look.marks))

    def _read(self, **layers: Any) -> Config:
        own = self._layers
        return load(
            self._root,
            environ=own.environ,
            home=own.home,
            flags=own.flags,
            config_file=own.config_file,
            **layers,
        )

    def _config_file(self) -> dict[Path, str]:
        """The text of `--config` as it is at the start, where commands could change the file."""
        path = self._layers.config_file
        if path is None or Look(self._root).inside(path) is None:
            return {}
        text = sources.read(path)
        return {path: text} if isinstance(text, str) else {}

    def _stamps(self) -> list[object]:
        """What changes with the person's own files."""
        found: list[object] = []
        for path in config_files(None, self._layers.home, self._layers.config_file):
            try:
                status = path.stat()
            except OSError as error:
                found.append((path, error.errno))
            else:
                found.append((path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))
        return found
