"""What Tab completes in a conversation: slash commands, their words, and files of the workspace after `@`."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from pygent.gitignore import walk

FILES, SHOWN = 20_000, 50
"""Files that are looked at, and that are offered."""
STALE = 10.0
"""Seconds after which the list of files is made anew."""

Words = Callable[[str], Iterable[tuple[str, str]]]
"""The words that a slash command takes, by its name, each with its meaning."""


class SlashCompleter(Completer):
    """Completes `/` commands at the start of the line, their words after it, and `@` files anywhere."""

    def __init__(self, root: Callable[[], Path], commands: Mapping[str, str], words: Words) -> None:
        self._root = root
        self._commands = commands
        self._words = words
        self._files: tuple[float, Path, list[str]] = (-STALE, Path(), [])

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What could stand here."""
        text = document.text_before_cursor
        word = mention(text)
        if word is not None:
            return (Completion(name, start_position=-len(word)) for name in self._matching(word))
        if not text.startswith("/"):
            return ()
        name, space, rest = text[1:].partition(" ")
        if not space:
            offered: Iterable[tuple[str, str]] = self._commands.items()
            rest = name
        else:
            offered = self._words(name)
        return (
            Completion(one, start_position=-len(rest), display_meta=meaning)
            for one, meaning in offered
            if one.lower().startswith(rest.lower())
        )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """The same; only files are looked for in a thread."""
        if mention(document.text_before_cursor) is not None:
            await asyncio.to_thread(self._listed)
        for one in self.get_completions(document, complete_event):
            yield one

    def _matching(self, begun: str) -> Iterable[str]:
        """Files that the word is found in: those that begin with it first, then those whose name does."""
        wanted = begun.lower()
        found = [name for name in self._listed() if wanted in name.lower()]
        found.sort(
            key=lambda name: (not name.lower().startswith(wanted), not _named(name).startswith(wanted), name)
        )
        return found[:SHOWN]

    def _listed(self) -> list[str]:
        made, root, files = self._files
        if time.monotonic() - made > STALE or root != self._root():
            root = self._root()
            files = [path.relative_to(root).as_posix() for path in itertools.islice(walk(root, root), FILES)]
            self._files = (time.monotonic(), root, files)
        return files


def mention(text: str) -> str | None:
    """What stands after the `@` that the text ends in; None if it ends in none."""
    word = text[max(text.rfind(" "), text.rfind("\n")) + 1 :]
    return word[1:] if word.startswith("@") else None


def _named(name: str) -> str:
    return name.rpartition("/")[2].lower()
