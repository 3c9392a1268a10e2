"""Which folders a person trusts: by real path and by the contents of each file that acts for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pygent.files import write_chosen

Marks = dict[str, str]
_decoder = msgspec.json.Decoder(dict[str, Marks])


class Trust:
    """The record of trusted folders in the state folder.

    Trust is in the files' bytes as they were: a changed, new or removed one ends it (CVE-2025-54136 is what
    happens otherwise).  Trust in a folder does not extend to folders in it.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "trust.json"
        self._suspects = state / "changed-by-commands.json"

    def is_trusted(self, folder: Path, marks: Mapping[str, str]) -> bool:
        """Whether a person trusted the folder with just these files as they are (`Look.marks`)."""
        return self.entries().get(str(folder)) == marks

    def set(self, folder: Path, marks: Mapping[str, str] | None) -> None:
        """Record the person's word; None takes it back.  Raises OSError."""
        _put(self._path, folder, marks)
        if marks is not None and str(folder) in _read(self._suspects):
            _put(self._suspects, folder, None)

    def entries(self) -> dict[str, Marks]:
        """Trusted folders, each with the hashes of its files; nothing if the record is unreadable."""
        return _read(self._path)

    def suspect(self, folder: Path, marks: Mapping[str, str]) -> None:
        """Remember what a command of the agent left, so that no later start takes it for the person's."""
        _put(self._suspects, folder, {**_read(self._suspects).get(str(folder), {}), **marks})

    def suspects(self, folder: Path, marks: Mapping[str, str]) -> list[str]:
        """Those of the files that still are as a command of the agent left them."""
        left = _read(self._suspects).get(str(folder), {})
        return sorted(name for name, mark in left.items() if marks.get(name) == mark)


def _read(path: Path) -> dict[str, Marks]:
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _put(path: Path, folder: Path, marks: Mapping[str, str] | None) -> None:
    entries = _read(path)
    if marks is None:
        entries.pop(str(folder), None)
    else:
        entries[str(folder)] = dict(marks)
    write_chosen(path, msgspec.json.format(msgspec.json.encode(entries)), mode=0o600)
