"""Banned commands and programs, matched on the words a shell would see.

A convenience, not a boundary: a program can be copied, renamed or reached through an interpreter.  What
keeps a command from doing harm is the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MAX_DEPTH = 20
WRAPPERS = frozenset(
    [
        *("builtin", "busybox", "chroot", "command", "doas", "env", "exec", "ionice", "nice", "nohup"),
        *("parallel", "setsid", "stdbuf", "sudo", "time", "timeout", "watch", "xargs"),
    ]
)
"""Programs that run the command in their arguments."""
SHELLS = frozenset(["ash", "bash", "dash", "ksh", "sh", "zsh"])
KEYWORDS = frozenset(
    [
        *("!", "{", "}", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function"),
        *("if", "in", "select", "then", "until", "while"),
    ]
)

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?\+?=")
_BLANK = re.compile(r"[ \t]+|\\\n")
_OPERATOR = re.compile(r"&&|\|\||;;&|;;|;&|\|&|[;&|\n()]")
_REDIRECTION = re.compile(r"(?:[0-9]+|\{\w+\})?(?:&>>|&>|<<<|<<-|<<|<>|<&|>&|>>|>\||<(?!\()|>(?!\())")
_PLAIN = re.compile(r"[^\s\\'\"`$;&|()<>]+")


class Unparsable(ValueError):
    """Text that no shell would take, or that is nested beyond reason."""


def banned(command: str, commands: Sequence[str], apps: Sequence[str]) -> str | None:
    """Why a command may not run; None if it may.

    An entry of `commands` is a program or the first words of a command (`git push`), wherever in the text a
    command can stand: pipelines, lists, substitutions, `bash -c`, behind `env`, `xargs` and the like.  An
    entry of `apps` may not appear as a word, or its last path component, anywhere.  Text that can't be
    parsed is refused while anything is banned.
    """
    if not commands and not apps:
        return None
    try:
        found = list(simple_commands(command))
    except Unparsable as error:
        return f"it could not be checked against the banned commands: {error}"
    for words in found:
        for app in apps:
            if any(app in (word, _base(word)) for word in words):
                return f"the program {app} is banned"
        for entry in commands:
            if any(_begins(start, entry.split()) for start in _starts(words)):
                return f"the command {entry} is banned"
    return None


def simple_commands(text: str, depth: int = 0) -> Iterator[list[str]]:
    """The words of each simple command in a shell text, substitutions and `sh -c` texts included.

    Raises Unparsable.
    """
    if depth > MAX_DEPTH:
        raise Unparsable("it is nested too deeply")
    scanner = _Scanner(text)
    for words in scanner.commands():
        yield words
        for inner in _shell_texts(words):
            yield from simple_commands(inner, depth + 1)
    for inner in scanner.nested:
        yield from simple_commands(inner, depth + 1)


def _base(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _begins(words: Sequence[str], entry: Sequence[str]) -> bool:
    return bool(entry) and [_base(word) if n == 0 else word for n, word in enumerate(words)][
        : len(entry)
    ] == [_base(word) if n == 0 else word for n, word in enumerate(entry)]


def _starts(words: list[str]) -> Iterator[list[str]]:
    """Where the command begins: at its first word and, behind a wrapper, at every later one."""
    at = 0
    while at < len(words) and (_ASSIGNMENT.match(words[at]) or words[at] in KEYWORDS):
        at += 1
    if at < len(words):
        yield words[at:]
        if _base(words[at]) in WRAPPERS or (_base(words[at]) == "find" and "-exec" in words):
            yield from (words[later:] for later in range(at + 1, len(words)))


def _shell_texts(words: list[str]) -> Iterator[str]:
    """The texts that a shell, `eval` or `trap` among the words is told to run."""
    for at, word in enumerate(words):
        if _base(word) in SHELLS:
            for later in range(at + 1, len(words) - 1):
                if re.fullmatch(r"-[a-z]*c[a-z]*", words[later]):
                    yield words[later + 1]
        elif word in ("eval", "trap"):
            yield " ".join(words[at + 1 :])


class _Scanner:
    """Splits a text at the places where a shell would."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.nested: list[str] = []
        self._heredocs: list[tuple[str, bool]] = []

    def commands(self) -> Iterator[list[str]]:
        """The words of each simple command at this level."""
        words: list[str] = []
        while self.at < len(self.text):
            if self._skip_blank():
                continue
            if found := _REDIRECTION.match(self.text, self.at):
                self.at = found.end()
                self._target(found.group())
            elif found := _OPERATOR.match(self.text, self.at):
                self.at = found.end()
                if words:
                    yield words
                words = []
                if found.group() == "\n":
                    self._skip_heredocs()
            else:
                words.append(self._word())
        if words:
            yield words

    def _skip_blank(self) -> bool:
        """Move over blanks or a comment; False if neither stands here."""
        if found := _BLANK.match(self.text, self.at):
            self.at = found.end()
        elif self.text[self.at] == "#":
            self.at = self._line_end()
        else:
            return False
        return True

    def _line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _target(self, operator: str) -> None:
        """The word behind a redirection; of a here-document, its end is remembered."""
        while found := _BLANK.match(self.text, self.at):
            self.at = found.end()
        begin = self.at
        word = self._word() if self.at < len(self.text) else ""
        if operator.endswith(("<<", "<<-")) and not operator.endswith("<<<"):
            quoted = any(mark in self.text[begin : self.at] for mark in "'\"\\")
            self._heredocs.append((word, quoted))

    def _skip_heredocs(self) -> None:
        for delimiter, quoted in self._heredocs:
            body: list[str] = []
            while self.at < len(self.text):
                end = self._line_end()
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if line.lstrip("\t") == delimiter:
                    break
                body.append(line)
            if not quoted:
                self.nested += _Scanner("\n".join(body)).substitutions()
        self._heredocs.clear()

    def substitutions(self) -> list[str]:
        """The command substitutions in a text that is otherwise data."""
        while self.at < len(self.text):
            if self.text[self.at] in "`$":
                self._dollar() if self.text[self.at] == "$" else self._backticks()
            else:
                self.at += 2 if self.text[self.at] == "\\" else 1
        return self.nested

    def _word(self) -> str:
        parts: list[str] = []
        begin = self.at
        while self.at < len(self.text):
            if found := _PLAIN.match(self.text, self.at):
                parts.append(found.group())
                self.at = found.end()
                continue
            part = self._special()
            if part is None:
                break
            parts.append(part)
        if self.at == begin:
            self.at += 1
        return "".join(parts)

    def _special(self) -> str | None:
        """A quoted or substituted part of a word; None where the word ends."""
        here = self.text[self.at]
        if here == "\\":
            self.at += 2
            escaped = self.text[self.at - 1 : self.at]
            return "" if escaped == "\n" else escaped
        if here == "'":
            return self._until("'")
        if here == '"':
            return self._double()
        if here == "`":
            return self._backticks()
        if here == "$":
            return self._dollar()
        if here in "<>" and self.text[self.at + 1 : self.at + 2] == "(":
            self.at += 1
            self.nested.append(self._parenthesis())
            return ""
        return None

    def _until(self, mark: str) -> str:
        end = self.text.find(mark, self.at + 1)
        if end < 0:
            raise Unparsable(f"a {mark} is not closed")
        inner, self.at = self.text[self.at + 1 : end], end + 1
        return inner

    def _double(self) -> str:
        parts: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            here = self.text[self.at]
            if here == '"':
                self.at += 1
                return "".join(parts)
            if here == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif here == "`":
                parts.append(self._backticks())
            elif here == "$":
                parts.append(self._dollar())
            else:
                parts.append(here)
                self.at += 1
        raise Unparsable('a " is not closed')

    def _backticks(self) -> str:
        end = self.at + 1
        while end < len(self.text) and self.text[end] != "`":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise Unparsable("a ` is not closed")
        self.nested.append(re.sub(r"\\([`$\\])", r"\1", self.text[self.at + 1 : end]))
        self.at = end + 1
        return ""

    def _dollar(self) -> str:
        following = self.text[self.at + 1 : self.at + 2]
        if following == "(":
            self.at += 1
            self.nested.append(self._parenthesis())
            return ""
        if following == "'":
            self.at += 1
            return _ansi(self._ansi_quoted())
        if following == "{":
            return self._braces()
        self.at += 1
        return "$" if following != '"' else ""

    def _ansi_quoted(self) -> str:
        begin = self.at + 1
        end = begin
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise Unparsable("a ' is not closed")
        self.at = end + 1
        return self.text[begin:end]

    def _braces(self) -> str:
        begin = self.at
        depth = 0
        while self.at < len(self.text):
            here = self.text[self.at]
            if here in "`$" and self.text[self.at : self.at + 2] != "${":
                self._backticks() if here == "`" else self._dollar()
                continue
            depth += {"{": 1, "}": -1}.get(here, 0)
            self.at += 2 if here == "\\" else 1
            if depth == 0 and here == "}":
                return self.text[begin : self.at]
        raise Unparsable("a ${ is not closed")

    def _parenthesis(self) -> str:
        """The text between here, an opening parenthesis, and the one that closes it."""
        begin, depth = self.at + 1, 0
        while self.at < len(self.text):
            here = self.text[self.at]
            if here in "'\"\\":
                self._special()
                continue
            depth += {"(": 1, ")": -1}.get(here, 0)
            self.at += 1
            if depth == 0:
                return self.text[begin : self.at - 1]
        raise Unparsable("a ( is not closed")


def _ansi(text: str) -> str:
    """The value of `$'…'`."""
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text
