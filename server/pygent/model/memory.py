"""What was learnt about endpoints, kept in the state folder: by address and model, without any secret."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pygent.files import write_chosen
from pygent.model.refusals import shown

FILE = "endpoints.json"
MOST = 200
"""Models that are remembered of one address."""


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one model at one address; `window` in tokens, `source` says who told."""

    learnt: dict[str, str] = {}
    window: int | None = None
    source: str | None = None


_NOTHING = Known()
_Entries = dict[str, dict[str, Known]]
_decoder = msgspec.json.Decoder(_Entries)


class Memory:
    """What is known of the models at one address; without a `state` folder only while the process lives."""

    def __init__(self, state: Path | None, base_url: str) -> None:
        self._path = None if state is None else state / FILE
        self._url = shown(base_url)
        self._models = self._read().get(self._url, {})

    def of(self, model: str) -> Known:
        """What is known of a model."""
        return self._models.get(model, _NOTHING)

    def learn(self, model: str, learnt: Mapping[str, str]) -> None:
        """Keep what is new of it."""
        known = self.of(model)
        if not learnt.items() <= known.learnt.items():
            self._keep(model, msgspec.structs.replace(known, learnt={**known.learnt, **learnt}))

    def measure(self, model: str, window: int, source: str) -> None:
        """Keep the size of the model's context."""
        known = self.of(model)
        if (known.window, known.source) != (window, source):
            self._keep(model, msgspec.structs.replace(known, window=window, source=source))

    def _keep(self, model: str, known: Known) -> None:
        self._models[model] = known
        if self._path is None:
            return
        entries = self._read()  # another process may have learnt in between
        others = {name: old for name, old in entries.get(self._url, {}).items() if name != model}
        entries[self._url] = {**dict(list(others.items())[1 - MOST :]), model: known}
        with contextlib.suppress(OSError):  # it is learnt again, then
            write_chosen(self._path, msgspec.json.format(msgspec.json.encode(entries)), mode=0o600)

    def _read(self) -> _Entries:
        """What the file has; nothing where it is missing, damaged or another version's."""
        if self._path is None:
            return {}
        try:
            return _decoder.decode(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
