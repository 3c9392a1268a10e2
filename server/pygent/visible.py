"""Text of others as a person can see it: what a screen hides, joins or reorders is spelt as `\\u{…}`.

Sources: Unicode 16 categories (C*, Zl, Zp, Zs) as `str.isprintable` has them; `Default_Ignorable_Code_Point`
of DerivedCoreProperties.txt, which Python's tables lack; UAX #9 and UTS #55 on text that turns the order of
what is read (CVE-2021-42574); UTS #39 on look-alikes, of which only the blank ones are covered: a Cyrillic
letter that looks like a Latin one is shown as it is.
"""

from __future__ import annotations

import functools
import re

BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Category Zs without the space: blanks that a shell takes for parts of a word."""
OUTPUT = "\n\t\\" + BLANKS
"""What stays in the output of programs: `tree` draws with no-break spaces, and source code that holds an
escape of its own must reach the model as it is."""
PROSE = OUTPUT + "\u200c\u200d\ufe0f"
"""What stays in what a model says: some scripts and emoji need joiners.  Never for what is decided on."""

NAME = "\\\u200c\u200d\ufe0f" + BLANKS
"""What stays in the name of a file that the model must be able to give back: never the end of a line."""
MOST_KEPT = 20_000
"""Characters that are remembered with what stands for them; of a million, hostile output could hold all."""
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0"  # default-ignorable, not Cf
    "\U000e0100-\U000e01ef"  # variation selectors, not Cf
    "\u2800\ufffc\U00016fe4\U0001d159"  # drawn as nothing by common fonts: Braille, object, filler, notehead
)
_UNSEEN_PRINTABLE = re.compile(f"[{_UNSEEN}]")
_ESCAPE = re.compile(r"\\(?=u\{)")


def visible(text: str, *, keep: str = "\n\t") -> str:
    """The text with each character that can't be seen as `\\u{…}`, those of `keep` excepted.

    Two texts that differ are shown differently, because the backslash of a `\\u{` that stands in the text is
    spelt too, unless `keep` has the backslash.
    """
    if "\\" not in keep and "\\u{" in text:
        text = _ESCAPE.sub(r"\\u{5c}", text)
    if _is_plain(text, keep):
        return text
    return text.translate(_table(keep))


def _is_plain(text: str, keep: str) -> bool:
    """Whether nothing is to be spelt; may say no where a blank of `keep` is all there is."""
    bare = text.replace("\n", "") if "\n" in keep else text
    if "\t" in keep:
        bare = bare.replace("\t", "")
    return bare.isprintable() and (bare.isascii() or _UNSEEN_PRINTABLE.search(bare) is None)


class _Table(dict[int, str]):
    """What stands for each character, found out when it is first met."""

    def __init__(self, keep: str) -> None:
        super().__init__({ord(char): char for char in keep})

    def __missing__(self, code: int) -> str:
        char = chr(code)
        plain = char.isprintable() and _UNSEEN_PRINTABLE.match(char) is None
        shown = char if plain else f"\\u{{{code:x}}}"
        if len(self) < MOST_KEPT:
            self[code] = shown
        return shown


@functools.cache
def _table(keep: str) -> _Table:
    return _Table(keep)
