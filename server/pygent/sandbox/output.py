"""What a command prints, made fit for a person, a model and a log alike."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pygent import files
from pygent.redaction import Redactor
from pygent.sandbox import OnOutput
from pygent.visible import OUTPUT, visible

HEAD = TAIL = 16 * 1024
"""Characters of the start and of the end that the model is shown of a longer output."""
LIVE = 1024 * 1024
"""Characters that are shown while the command runs."""
FULL = 64 * 1024 * 1024
"""Bytes of output that are kept in the file; of more, only the end is looked at."""

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|(?=\n)|\Z)"  # OSC, DCS: titles, links; never across a line
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)?\Z")
_MOVING = re.compile("[\r\x1b\x9b]")


class Cleaner:
    """Bytes to plain text, a piece at a time.

    Terminal escapes go, other characters that can't be seen are shown as `\\u{…}`; a line that overwrites
    itself with `\\r` keeps its last state.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._begun = False

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """The clean text of a further piece; an unfinished escape or `\\r` line waits for the next."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if _MOVING.search(text):
            text = self._clean(text, final)
        if text:
            self._begun = not text.endswith("\n")
        return visible(text, keep=OUTPUT)

    def _clean(self, text: str, final: bool) -> str:
        unfinished = None if final else _UNFINISHED.search(text, max(0, len(text) - 4096))
        if unfinished:
            text, self._held = text[: unfinished.start()], unfinished.group()
        lines = _ESCAPE.sub("", text).split("\n")
        if "\r" in lines[-1] and not final:
            self._held = lines.pop() + self._held
            lines.append("")
        kept = [self._last_state(line, first=number == 0) for number, line in enumerate(lines)]
        return "\n".join(kept)

    def _last_state(self, line: str, *, first: bool) -> str:
        if "\r" not in line:
            return line
        state = line.rstrip("\r").rpartition("\r")[2]
        return "\n" + state if first and self._begun and "\r" in line.rstrip("\r") else state


class Output:
    """The output of one command: shown as it comes, capped for the model, whole in a file.

    The file is made in `folder` only for an output that the model is not shown in full.  `secret` appears
    in none of them.
    """

    def __init__(
        self, folder: Path, name: str, on_output: OnOutput | None, secret: str | None = None
    ) -> None:
        self._path = folder / f"{name}.txt"
        self._on_output = on_output
        self._cleaner = Cleaner()
        self._redactor = Redactor(secret)
        self._head: list[str] = []
        self._tail = ""
        self._chars = 0
        self._bytes = 0
        self._beyond = bytearray()
        self._file: BinaryIO | None = None
        self._lost: str | None = None
        """Why the whole is not in a file."""

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        self._bytes += len(data)
        if self._bytes > FULL:
            self._beyond = (self._beyond + data)[-4 * TAIL :]
        else:
            self._take(self._redactor.feed(self._cleaner.feed(data)))

    def finish(self) -> tuple[str, str | None]:
        """The text for the model, and the path of the file where that is not all."""
        rest = b"\n[...]\n" + bytes(self._beyond) if self._beyond else b""
        self._take(self._redactor.feed(self._cleaner.feed(rest, final=True), final=True))
        if self._chars <= HEAD + TAIL:
            return "".join(self._head), None
        if self._file is not None:
            with self._keeping():
                self._file.close()
        left_out = self._chars - HEAD - TAIL
        lost = f"; the whole could not be kept: {self._lost}" if self._lost else ""
        gap = f"\n[… {left_out} characters left out of {self._bytes} bytes in all{lost} …]\n"
        return "".join(self._head)[:HEAD] + gap + self._tail[-TAIL:], None if self._lost else str(self._path)

    def _take(self, text: str) -> None:
        if not text:
            return
        if self._on_output is not None and self._chars < LIVE:
            self._on_output(text)
        self._chars += len(text)
        if self._chars > HEAD + TAIL:
            with self._keeping():
                self._keep(text)
        if self._chars - len(text) < HEAD + TAIL:
            self._head.append(text)
        self._tail = (self._tail + text)[-TAIL:]

    def _keep(self, text: str) -> None:
        if self._lost is not None:
            return
        if self._file is None:
            files.private_folder(self._path.parent)
            self._file = os.fdopen(files.private(self._path), "wb")
            text = "".join([*self._head, text])
        self._file.write(text.encode("utf-8", "replace"))

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """A full disk costs the file, not what the model and people are shown."""
        try:
            yield
        except OSError as error:
            self._lost = error.strerror or str(error)
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
