"""Keeping secrets out of everything that is shown, stored or sent.

Whoever prints a value writes it in their own way: as JSON, as Python's repr, percent-encoded, as HTML, in
base64.  A secret is found in each of them, also where escapes are escaped again.
"""

from __future__ import annotations

import base64
import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

MASK = "[key]"
SHORTEST = 8
"""Characters below which a key is a placeholder such as `none`, and hiding it would garble plain text."""
LONGEST_ESCAPE = 40
"""Characters that one character's escape may have: `&amp;amp;amp;#x00201c;` and the like."""
HEAD = 4
"""So many of a secret's characters are seldom in a text by chance."""

Record = TypeVar("Record", bound=msgspec.Struct)

_SLASHES = r"\\\\{0,7}"
"""What stands before an escaped character: a backslash, doubled each time that the text was escaped again."""
_SHORT = {"\n": "n", "\r": "r", "\t": "t", "\0": "0", "\a": "a", "\b": "b", "\f": "f", "\v": "v", "\x1b": "e"}
_NAMES = {'"': "quot", "&": "amp", "<": "lt", ">": "gt", "'": "apos"}
_UNFINISHED = re.compile(r"[\\%&][\w#{}\\%&;]*\Z")
"""An escape of which the rest may come with the next piece."""
_USERINFO = re.compile(r"(?<=://)[^/\s@'\"]+@")


def stripped(secret: str) -> str:
    """A secret without what nobody sees at its ends: blanks, line ends, byte order marks."""
    begin, end = 0, len(secret)
    while begin < end and _unseen(secret[begin]):
        begin += 1
    while end > begin and _unseen(secret[end - 1]):
        end -= 1
    return secret[begin:end]


def _unseen(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cf"


def parts(secret: str) -> list[str]:
    """What of a value must not be seen: the whole and, of several lines, each; none that is too short."""
    found = [secret, *secret.splitlines()]
    return [part for one in dict.fromkeys(map(stripped, found)) if len(part := one) >= SHORTEST]


def without_userinfo(text: str) -> str:
    """Text whose addresses have neither name nor password in them."""
    return _USERINFO.sub("", text) if "://" in text else text


class _Forms:
    """The ways in which one secret is written.

    `whole` matches it with any of its characters escaped; `encoded` are texts that stand for all of it,
    wherever it begins in what was encoded, by what each of them begins with.
    """

    def __init__(self, secret: str) -> None:
        self._each = _characters(secret)
        self.whole = re.compile("".join(self._each))
        self.encoded: dict[str, list[str]] = {}
        for one in sorted(_encoded(secret)):
            intro = next((mark for mark in ("\\", "%", "&") if one.startswith(mark)), "")
            self.encoded.setdefault(intro, []).append(one)

    def holds(self, text: str) -> bool:
        """Whether the secret is in a text."""
        return self.whole.search(text) is not None or any(one in text for one in self._likely(text))

    def masked(self, text: str) -> str:
        """The text without the secret."""
        text = self.whole.sub(MASK, text)
        for one in self._likely(text):
            text = text.replace(one, MASK)
        return text

    def _likely(self, text: str) -> Iterator[str]:
        return (one for intro, forms in self.encoded.items() if intro in text for one in forms)

    def begins(self, text: str) -> int:
        """Where in the text its end begins that may be the secret's beginning; its length if nowhere."""
        start = max(0, len(text) - self._reaches_back[0])
        unfinished = _UNFINISHED.search(text, max(start, len(text) - LONGEST_ESCAPE))
        end = unfinished.start() if unfinished else len(text)
        # Further from the end there must be more than one of its characters, which are quickly looked for.
        near = max(start, end - self._reaches_back[1])
        found = min(
            self._candidate(self._head, text, start, end), self._candidate(self._first, text, near, end)
        )
        return min(found, *(_overlap(text, one) for one in self._likely(text)), end)

    @functools.cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(one) for one in self._each]

    @functools.cached_property
    def _first(self) -> re.Pattern[str]:
        return self._patterns[0]

    @functools.cached_property
    def _head(self) -> re.Pattern[str]:
        return re.compile("".join(self._each[:HEAD]))

    @functools.cached_property
    def _reaches_back(self) -> tuple[int, int]:
        """The most characters that the secret may be written with, and its first ones."""
        sizes = [1 if len(one) == 1 else LONGEST_ESCAPE for one in self._each]
        return sum(sizes), sum(sizes[:HEAD])

    def _candidate(self, pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
        """The first place from which the secret's characters go to the end; the text's length if none."""
        while (found := pattern.search(text, start, end)) is not None:
            if self._reaches(text, found.start(), end):
                return found.start()
            start = found.start() + 1
        return len(text)

    def _reaches(self, text: str, at: int, end: int) -> bool:
        for one in self._patterns:
            if at >= end:
                return True
            if (found := one.match(text, at)) is None:
                return False
            at = found.end()
        return False


@functools.lru_cache(maxsize=64)
def _wanted(secret: str) -> tuple[str, ...]:
    short = stripped(secret)
    return (f"Bearer {short}",) if 0 < len(short) < SHORTEST else tuple(parts(secret))


@functools.lru_cache(maxsize=64)
def _forms(secret: str) -> _Forms:
    return _Forms(secret)


def _characters(secret: str) -> list[str]:
    """A pattern for each character, for each run of backslashes and for each run of blanks."""
    runs = re.findall(r"\\+|\s+|.", secret, re.S)
    return [_blanks(run) if run.isspace() else _character(run[0], len(run)) for run in runs]


def _blanks(run: str) -> str:
    return f"(?:{'|'.join(map(_alternatives, dict.fromkeys(run)))}|\\s|\\+){{1,{len(run)}}}"


def _character(char: str, times: int) -> str:
    if char.isascii() and char.isalnum():
        return char * times  # nobody escapes these one by one; all of them is in `_encoded`
    if char == "\\":
        return rf"(?:\\{{{times},{8 * times}}}|(?:{_escapes(char)}){{{times}}})"
    return f"(?:{_alternatives(char)})"


def _alternatives(char: str) -> str:
    # Each branch begins with a plain character: `re` then looks for these alone first, which is quick.
    return f"{re.escape(char)}|{_escapes(char)}"


@functools.lru_cache(maxsize=512)
def _escapes(char: str) -> str:
    """The patterns of what stands for a character, as each language and format escapes it."""
    code, data = ord(char), char.encode("utf-8", "surrogatepass")
    units = char.encode("utf-16-be", "surrogatepass").hex()
    backslashed = [
        _SHORT.get(char, "") or ("" if char.isalnum() else re.escape(char)),
        rf"u\{{0{{0,6}}{_digits(f'{code:x}')}\}}",
        f"U{_digits(f'{code:08x}')}",
        f"x{_digits(f'{code:02x}')}" if code < 0x100 else "",
        f"{code:03o}" if code < 0x80 else "",
    ]
    numbers = f"#(?:0{{0,6}}{code}|[xX]0{{0,6}}{_digits(f'{code:x}')});?"
    named = f"|{_NAMES[char]};" if char in _NAMES else ""
    return "|".join(
        [
            "".join(f"%(?:25){{0,3}}{_digits(f'{byte:02x}')}" for byte in data),
            rf"{_SLASHES}(?:{'|'.join(filter(None, backslashed))})",
            "".join(f"{_SLASHES}u{_digits(units[at : at + 4])}" for at in range(0, len(units), 4)),
            *([] if code < 0x80 else ["".join(f"{_SLASHES}x{_digits(f'{byte:02x}')}" for byte in data)]),
            f"&(?:amp;){{0,3}}(?:{numbers}{named})",
        ]
    )


def _digits(number: str) -> str:
    """Hexadecimal digits in either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in number)


def _encoded(secret: str) -> set[str]:
    """The secret in base64, at each of the three places where it may begin there, and all in numbers."""
    data, codes = secret.encode("utf-8", "surrogatepass"), [ord(char) for char in secret]
    found = {data.hex()}
    found |= {"".join(form % byte for byte in data) for form in ("%%%02x", "\\x%02x")}
    found |= {"".join(form % code for code in codes) for form in ("\\u%04x", "&#x%x;")}
    found |= {one.upper().replace("X", "x").replace("\\U", "\\u") for one in found}
    found.add("".join(f"&#{code};" for code in codes))
    found |= {one.replace("\\", "\\\\").replace("&", "&amp;").replace("%", "%25") for one in found}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + data).decode()
        end = 8 * (shift + len(data)) // 6  # what follows has a part in the last character
        plain = text[(0, 2, 3)[shift] : end]
        found |= {plain, plain.replace("+", "-").replace("/", "_")}
        found |= {quote(plain), quote(plain, safe=""), plain.replace("/", "\\/")}
    return found


class Redactor:
    """Takes secrets out of text that comes in pieces, also where a cut goes through one."""

    def __init__(self, *secrets: str | None) -> None:
        self._forms: dict[str, _Forms] = {}
        self._held = ""
        self.hide(*secrets)

    def hide(self, *secrets: str | None) -> None:
        """Take these out, too, from now on; a placeholder only where it is sent as a key."""
        for secret in filter(None, secrets):
            self._forms |= {part: _forms(part) for part in _wanted(secret)}

    def holds(self, text: str) -> bool:
        """Whether a secret is in a text."""
        return any(forms.holds(text) for forms in self._forms.values())

    def whole(self, text: str) -> str:
        """A whole text without the secrets.  Cut it afterwards: a part of a secret is not found."""
        for forms in self._forms.values():
            text = forms.masked(text)
        return text

    def record(self, value: Record) -> Record:
        """A record without the secrets: itself where it holds none."""
        if not self._forms or not self.holds(msgspec.json.encode(value).decode()):
            return value
        return msgspec.convert(self.value(msgspec.to_builtins(value)), type(value))

    def value(self, value: Any) -> Any:
        """A built-in value without the secrets, in its keys, too."""
        if isinstance(value, str):
            return self.whole(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return value

    def feed(self, text: str, *, final: bool = False) -> str:
        """The next piece; what could be a secret's beginning waits for the piece after it."""
        if not self._forms:
            return text
        text, self._held = self.whole(self._held + text), ""
        if not final:
            at = min(forms.begins(text) for forms in self._forms.values())
            text, self._held = text[:at], text[at:]
        return text


def _overlap(text: str, wanted: str) -> int:
    """Where in the text its end begins that is the beginning of another; its length if nowhere."""
    at = text.find(wanted[:HEAD], max(0, len(text) - len(wanted) + 1))
    while at >= 0 and not wanted.startswith(text[at:]):
        at = text.find(wanted[:HEAD], at + 1)
    short = (size for size in range(HEAD - 1, 0, -1) if wanted.startswith(text[-size:]))
    return at if at >= 0 else len(text) - next(short, 0)


process = Redactor()
"""The secrets that this process has read, from wherever: logs, errors and tracebacks never show them."""
