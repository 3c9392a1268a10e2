"""What goes to the terminal: the answer to standard output, everything else to standard error."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import msgspec

from pygent.redaction import process
from pygent.visible import PROSE, visible

STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
PLAIN = str.maketrans(
    {
        "●": "*",
        "◇": "o",
        "│": "|",
        "└": "`-",
        "…": "...",
        "·": "-",
        "✓": "ok",
        "✗": "x",
        "─": "-",
        "•": "*",
    }
)
"""What stands for a character where the terminal's encoding has none for it (cp1252, ASCII)."""


@dataclass(slots=True)
class Console:
    """Two streams, whether they take colours, and where lines are broken, if not by the terminal."""

    out: TextIO
    err: TextIO
    colour: bool
    columns: Callable[[], int] | None = None
    parted: bool = False
    """Whether an empty line was written last."""

    @classmethod
    def standard(cls, environ: Mapping[str, str]) -> Console:
        """The process's own streams, which take any character from now on.

        Colours on a terminal, or with FORCE_COLOR; never with NO_COLOR (no-color.org) or TERM=dumb.
        """
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
        forced = environ.get("FORCE_COLOR", "0") not in ("", "0")
        return cls(sys.stdout, sys.stderr, (forced or sys.stderr.isatty()) and not plain)

    def style(self, text: str, *styles: str) -> str:
        """The text in colour where there are colours."""
        if not self.colour or not text or not styles:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def say(self, text: str, *styles: str) -> None:
        """A line for the person."""
        text = process.whole(safe(text))
        lines = [text] if self.columns is None else wrapped(text, self.columns())
        self.raw("".join(self.style(line, *styles) + "\n" for line in lines), self.err)

    def exact(self, text: str, *styles: str) -> None:
        """A line that a person decides about, which is broken by the terminal alone.

        `text` is visible already; what the terminal's encoding has no character for is spelt, too.
        """
        self.err.write(self.style(_encodable(text, self.err), *styles) + "\n")
        self.err.flush()
        self.parted = False

    def error(self, text: str, fix: str | None = None) -> None:
        """A line that says what went wrong, and one that says what to do."""
        self.say(f"pygent: {text}", "red")
        if fix:
            self.say(f"  {fix}")

    def answer(self, text: str) -> None:
        """A piece of the answer."""
        self.raw(safe(text), self.out)

    def json(self, value: Any) -> None:
        """A value as a line of JSON."""
        value = process.value(msgspec.to_builtins(value, enc_hook=str))
        try:
            line = msgspec.json.encode(value).decode()
        except UnicodeEncodeError:  # the name of a file that is no UTF-8
            line = json.dumps(value, ensure_ascii=False)
            line = line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self.raw(f"{line}\n", self.out)

    def data(self, data: bytes) -> None:
        """Bytes for another program, as they are."""
        self.out.flush()
        self.out.buffer.write(data)
        self.out.buffer.flush()

    def raw(self, text: str, stream: TextIO) -> None:
        """Text that is ours, with its colours, in the characters that the stream has."""
        stream.write(fitting(text, stream))
        stream.flush()
        self.parted = text.endswith("\n\n") or text == "\n"

    def table(self, rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
        """Rows under headings, in columns; on a terminal each row is one line, cut where it ends."""
        from wcwidth import wcswidth  # noqa: PLC0415 - only for tables

        cells = [[safe(cell).replace("\n", " ") for cell in row] for row in [headings, *rows]]
        widths = [max(wcswidth(row[n]) for row in cells) for n in range(len(headings))]
        terminal = self.out.isatty()
        columns = shutil.get_terminal_size().columns if terminal else None
        for number, row in enumerate(cells):
            padded = (cell + " " * (width - wcswidth(cell)) for cell, width in zip(row, widths, strict=True))
            line = "  ".join(padded).rstrip()
            if columns is not None:
                line = cut(line, columns)
            self.raw((self.style(line, "bold") if terminal and number == 0 else line) + "\n", self.out)


def cut(line: str, columns: int) -> str:
    """As much of a line as fits into so many columns, with a mark where something was left out."""
    from wcwidth import wcswidth, wcwidth  # noqa: PLC0415 - only on terminals

    if wcswidth(line) <= columns:
        return line
    kept, room = "", columns - 1
    for char in line:
        room -= max(0, wcwidth(char))
        if room < 0:
            break
        kept += char
    return kept + "…"


def wrapped(text: str, columns: int) -> list[str]:
    """Lines that are broken between words, further ones below the start of the first."""
    from wcwidth import wcswidth  # noqa: PLC0415 - only on terminals

    lines = []
    for whole in text.split("\n"):
        line, indent = whole, whole[: len(whole) - len(whole.lstrip(" │>●?-"))]
        begin = indent if "│" in indent else " " * len(indent)
        while wcswidth(line) > columns > len(begin) + 10:
            fits = cut(line, columns + 1)[:-1]
            at = fits.rfind(" ")
            at = at if at > len(indent) else len(fits)
            lines.append(line[:at])
            line = begin + line[at:].lstrip(" ")
        lines.append(line)
    return lines


def fitting(text: str, stream: TextIO) -> str:
    """Text with plain characters where the stream's encoding lacks ours."""
    if (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf"):
        return text
    return text.translate(PLAIN)


def safe(text: str) -> str:
    """Text in which control characters are spelt: a model must not write to the terminal's own controls."""
    return visible(text, keep=PROSE)


def _encodable(text: str, stream: TextIO) -> str:
    """Text with `\\u{…}` for what the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        pieces = (char if _fits(char, encoding) else f"\\u{{{ord(char):x}}}" for char in text)
        return "".join(pieces)
    return text


def _fits(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def named(path: str) -> str:
    """A path on one line; an odd one as shells take it: `$'a\\nb'`."""
    if path.isprintable():
        return path
    quoted = path.replace("\\", "\\\\").replace("'", "\\'")
    data = "".join(char if char.isprintable() else repr(char)[1:-1] for char in quoted)
    escaped = re.sub(r"\\udc([0-9a-f]{2})", r"\\x\1", data)
    return f"$'{escaped}'"


def brief(value: Any) -> str:
    """A value of a setting or record on one line."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def ago(at: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(time.time() - at / 1000))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
