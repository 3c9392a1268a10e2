"""The text of a conversation document: its sections, and how foreign text is kept from forging one.

All text here has its line ends as \\n, whatever the editor's document has: lines and columns are the same.
A heading counts outside of code fences only, and a fence only if it is closed, so that a fence which somebody
is about to type does not swallow the rest of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pygent.visible import PROSE, visible

HEADING = re.compile(r" {0,3}##[ \t]{1,8}(You|Pygent)[ \t]{0,8}\Z")
ID_LINE = re.compile(r"<!-- pygent: (ses_[0-9a-z]+)\b.*-->[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*\Z)|~{3,})(.*)\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Section:
    """What one side said: `start` is where its heading begins, `body` where the text below it does.

    `text` is stripped and lies from `begin` to `finish`, `end` is where the next section begins.  A document
    without any heading is one section of the person's, with `start` equal to `body`.
    """

    who: Literal["You", "Pygent"]
    line: int
    start: int
    body: int
    end: int
    text: str
    begin: int

    @property
    def finish(self) -> int:
        """Where the text ends, before the blank lines that follow."""
        return self.begin + len(self.text)

    @property
    def headed(self) -> bool:
        """Whether there is a heading."""
        return self.body > self.start


@dataclass(frozen=True, slots=True)
class Document:
    """A conversation document, taken apart; `blocks` are the first and last lines of tool calls.

    `session_id` stands at the index `named_at`, in the first line or in one that somebody has pushed down
    with a title.
    """

    session_id: str | None
    named_at: int
    sections: list[Section]
    blocks: list[tuple[int, int]]

    def yours(self) -> list[Section]:
        """The person's sections."""
        return [section for section in self.sections if section.who == "You"]


def normalised(text: str) -> str:
    """A text with its line ends as \\n, and U+FFFD for each half of a character."""
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def parse(text: str) -> Document:
    """Take a document apart; every text is one."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    fenced = _fenced(lines)
    heads: list[tuple[int, Literal["You", "Pygent"]]] = []
    for number, line in enumerate(lines):
        if number not in fenced and (heading := HEADING.match(line)) is not None:
            heads.append((number, "You" if heading[1] == "You" else "Pygent"))
    above = range(heads[0][0] if heads else 1)
    named = next((n for n in above if n not in fenced and ID_LINE.match(lines[n])), None)
    found = None if named is None else ID_LINE.match(lines[named])
    sections = []
    for index, (number, who) in enumerate(heads):
        end = starts[heads[index + 1][0]] if index + 1 < len(heads) else len(text)
        body = min(starts[number + 1], len(text))
        sections.append(Section(who, number, starts[number], body, end, *_stripped(text, body, end)))
    if not sections:
        first = min(starts[1], len(text)) if found else 0
        whole = _stripped(text, first, len(text))
        sections.append(Section("You", 1 if found else 0, first, first, len(text), *whole))
    blocks = list(_blocks(lines, fenced))
    if found is None or named is None:
        return Document(None, 0, sections, blocks)
    return Document(found[1], starts[named] + found.start(1), sections, blocks)


def _stripped(text: str, start: int, end: int) -> tuple[str, int]:
    """A part of a text without the blank around it, and where it begins; after the heading if it is blank."""
    said = text[start:end]
    stripped = said.strip()
    if not stripped:
        return "", start - text.endswith("\n", 0, start)
    return stripped, start + len(said) - len(said.lstrip())


def _fenced(lines: Sequence[str]) -> set[int]:
    """The lines in code fences, those that open and close them included."""
    inside: set[int] = set()
    hopeless = {"`": 1 << 30, "~": 1 << 30}
    number = 0
    while number < len(lines):
        fence = _opens(lines[number])
        if fence is None or len(fence) >= hopeless[fence[0]]:
            number += 1
            continue
        end = next((n for n in range(number + 1, len(lines)) if _closes(lines[n], fence)), None)
        if end is None:
            hopeless[fence[0]] = len(fence)  # nothing below closes it, nor a longer one
            number += 1
        else:
            inside.update(range(number, end + 1))
            number = end + 1
    return inside


def _opens(line: str) -> str | None:
    found = _FENCE.match(line) if "```" in line or "~~~" in line else None
    return found[1] if found else None


def _closes(line: str, fence: str) -> bool:
    found = line.strip(" \t")
    return len(found) >= len(fence) and not found.strip(fence[0]) and not line.startswith("    ")


def unclosed(text: str) -> str | None:
    """The fence that a text opens and does not close."""
    fence: str | None = None
    for line in text.split("\n"):
        if fence is None:
            fence = _opens(line)
        elif _closes(line, fence):
            fence = None
    return fence


def _blocks(lines: Sequence[str], fenced: set[int]) -> Iterator[tuple[int, int]]:
    opened: int | None = None
    for number, line in enumerate(lines):
        if number in fenced:
            continue
        if line.startswith("<details>"):
            opened = number
        elif opened is not None and (line.startswith("</details>") or HEADING.match(line)):
            if line.startswith("</details>"):
                yield opened, number
            opened = None


# -- foreign text ---------------------------------------------------------------------------------

_HOSTILE = re.compile(
    r"(?<!#)##(?=[ \t]{1,9}(?:you|pygent)[ \t]{0,9}#*$)|<(?=!--[ \t]{0,9}pygent)", re.I | re.M
)
_PARTIAL = re.compile(
    r"(?:(?<!#)##?(?:[ \t]{1,9}[a-z]{0,6}[ \t]{0,9})?|<(?:!(?:-(?:-[ \t]{0,9}[a-z]{0,6})?)?)?|\r)\Z", re.I
)
_HELD = 40
"""Characters that are held back at the most while they may become something hostile."""


def neutral(text: str) -> str:
    """Foreign text that can be no heading and no line of ours; control characters are made visible."""
    return Neutraliser().feed(text, final=True)


class Neutraliser:
    """Makes foreign text harmless as it streams: a backslash stands before what would be taken for ours.

    What may yet become a heading is held back until it has or hasn't.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str, *, final: bool = False) -> str:
        """The part of the text so far that can be shown now."""
        text, self._held = self._held + text, ""
        if not final and (partial := _PARTIAL.search(text, max(0, len(text) - _HELD))) is not None:
            text, self._held = text[: partial.start()], partial[0]
        text = visible(normalised(text), keep=PROSE)
        return _HOSTILE.sub(lambda found: "\\" + found[0], text)


def one_line(text: str, limit: int) -> str:
    """Foreign text as a line of at most so many characters."""
    line = neutral(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def fence_for(text: str) -> str:
    """A code fence that no line of the text can end."""
    return "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
