"""Which folders a person trusts: by real path and by the contents of each settings file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pygent.files import write_chosen

_decoder = msgspec.json.Decoder(dict[str, dict[str, str]])


class Trust:
    """The record of trusted folders in the state folder.

    Trust is in the files' bytes as they were: a changed, new or removed one ends it (CVE-2025-54136 is what
    happens otherwise).  Trust in a folder does not extend to folders in it.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "trust.json"

    def is_trusted(self, folder: Path, files: Sequence[Path]) -> bool:
        """Whether a person trusted the folder with just these files as they are."""
        return self.entries().get(str(folder)) == _hashes(folder, files)

    def set(self, folder: Path, trusted: bool, files: Sequence[Path]) -> None:
        """Record the person's word.  Raises OSError."""
        entries = self.entries()
        if trusted:
            entries[str(folder)] = _hashes(folder, files)
        else:
            entries.pop(str(folder), None)
        write_chosen(self._path, msgspec.json.format(msgspec.json.encode(entries)), mode=0o600)

    def entries(self) -> dict[str, dict[str, str]]:
        """Trusted folders, each with the hashes of its files; nothing if the record is unreadable."""
        try:
            return _decoder.decode(self._path.read_bytes())
        except (OSError, ValueError):
            return {}


def _hashes(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """The hashes of those of the files that lie in the folder; others are the person's own."""
    inside = [path for path in files if folder in path.parents and path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in inside}
