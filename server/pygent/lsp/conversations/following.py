"""Places in a text that somebody else edits, too: where they are afterwards, and whether our words got in.

A client that takes versioned edits applies one to exactly the text that it was made for, or refuses.  Others
(Neovim up to 0.12) apply it to whatever stands there now, and tell of both changes later and together; so
what happened is the reading under which the other's change is smallest.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT = (64, 32, 16, 8)
"""Characters before a place by which it is found again in a text that was replaced around it."""


@dataclass(frozen=True, slots=True)
class Change:
    """The characters from `start` to `end` of the old text were replaced by `text`."""

    start: int
    end: int
    text: str

    @property
    def size(self) -> int:
        """How much was taken and put."""
        return self.end - self.start + len(self.text)


def change(old: str, new: str) -> Change:
    """The smallest single change between two texts."""
    start = _same(old, new)
    limit = min(len(old), len(new)) - start
    end = _same(old[len(old) - limit :][::-1], new[len(new) - limit :][::-1])
    return Change(start, len(old) - end, new[start : len(new) - end])


def ending_at(by: Change, old: str, place: int) -> Change:
    """The same change, read as one that takes what stands before a place, if it can be read so.

    When "ab" is taken out of "abab", nobody can tell which.
    """
    shift = by.end - place
    if by.text or not 0 < shift <= by.start:
        return by
    same = old[by.start - shift : by.start] == old[place : by.end]
    return Change(by.start - shift, place, "") if same else by


def _same(one: str, other: str) -> int:
    """The length of the common start."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def moved(place: int, by: Change, old: str) -> int:
    """Where a place is after a change; it stays before what is put in just there.

    If the text around it was replaced, it is found by what stands before it.
    """
    if place <= by.start:
        return place
    if place >= by.end:
        return place + len(by.text) - (by.end - by.start)
    found = _again(place, by, old)
    return by.start if found is None else by.start + found


def _again(place: int, by: Change, old: str) -> int | None:
    """Where in the text of a change that stands which stood before a place inside of it.

    Of several such, the one behind which there is the most of what stood behind the place.
    """
    after = old[place : by.end]
    for length in CONTEXT:
        before = old[max(by.start, place - length) : place]
        if ends := _ends(before, by.text) if before.strip() else []:
            return max(ends, key=lambda end: (_same(by.text[end:], after), end))
    return None


def _ends(words: str, text: str) -> list[int]:
    """Where some words end in a text."""
    found, at = list[int](), text.find(words)
    while at >= 0:
        found.append(at + len(words))
        at = text.find(words, at + 1)
    return found


def taken(place: int, by: Change, old: str, words: str) -> int:
    """How many of the words that end at a place a change took away, as an undo does, not a correction."""
    if not by.start < place <= by.end:
        return 0
    gone = old[by.start : place]
    if by.text and (len(gone) < CONTEXT[-1] or _again(place, by, old) is not None):
        return 0
    limit = min(len(gone), len(words))
    return next((n for n in range(limit) if gone[-1 - n] != words[-1 - n]), limit)


@dataclass(frozen=True, slots=True)
class Insertion:
    """Words of ours on their way: `text` at the index `at`, sent as a line and a character from 0.

    With an `end`, a line and a character too, in the place of what stands up to there.
    """

    at: int
    text: str
    line: int
    character: int
    end: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Landed:
    """Our words are in the new text, from the index `at` to `end` of it.

    `other` is what else changed, as a change of the old text; `astray` words are not where they belong.
    """

    at: int
    end: int
    other: Change
    astray: bool = False

    def moved(self, place: int, old: str) -> int:
        """Where a place of the old text is now; it stays before words that were put in just there."""
        place = moved(place, self.other, old)
        return place if place <= self.at else place + self.end - self.at


def landed(old: str, new: str, sent: Insertion) -> Landed | None:
    """How an insertion got into the new text; None if the new text is best read without it."""
    length = len(sent.text)
    expected = old[: sent.at] + sent.text + old[sent.at :]
    other = ending_at(change(expected, new), expected, sent.at)
    least, best = change(old, new).size, None
    if other.size < least:
        start, end = (moved(place, other, expected) for place in (sent.at, sent.at + length))
        least, best = other.size, Landed(start, end, _without(other, sent))
    if other.size:
        for at in _strays(new, sent):
            rest = ending_at(change(old, new[:at] + new[at + length :]), old, sent.at)
            if rest.size < least:
                least, best = rest.size, Landed(at, at + length, rest, astray=True)
    return best


def _without(other: Change, sent: Insertion) -> Change:
    """A change of the text with our words, as one of the text without them."""
    length = len(sent.text)

    def place(index: int) -> int:
        return index if index <= sent.at else max(sent.at, index - length)

    start, end = place(other.start), place(other.end)
    inside = sent.at <= other.start and other.end <= sent.at + length and (start, end) == (sent.at, sent.at)
    return Change(start, end, "" if inside and other.start > sent.at else other.text)


def _strays(new: str, sent: Insertion) -> list[int]:
    """Where the words are if the client put them at that line and character of a later text."""
    start = 0
    for _ in range(sent.line):
        start = new.find("\n", start) + 1
        if start == 0:  # there is no such line any more
            return [len(new) - len(sent.text)] if new.endswith(sent.text) else []
    at = start + sent.character
    shorter = new.find(sent.text, start, at + len(sent.text) - 1)  # the line may be shorter by now
    return [one for one in (at, shorter) if one >= 0 and new.startswith(sent.text, one)]
