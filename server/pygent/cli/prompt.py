"""The line at the bottom of the terminal: it stays while the agent works, and what is said goes above."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from pygent import files
from pygent.cli.asking import forget_typed
from pygent.cli.completer import mention

PASTED_LINES, PASTED_CHARACTERS = 8, 1000
"""A paste above this is shown as one word; what it stands for is sent."""
TOGETHER = 0.02
"""Seconds for which lines are gathered before they are written."""
QUIET = {"bottom-toolbar": "noreverse fg:ansibrightblack"}
_FOLDED = re.compile(r"\[paste (\d+): [^\]]*\]")


class Above:
    """A stream whose whole lines are written above the prompt, those of a moment together.

    The terminal stays in raw mode meanwhile, unlike with prompt_toolkit's own stream, so that no key that is
    pressed while the agent writes is echoed or lost.
    """

    encoding = property(lambda self: self._app.output.encoding())

    def __init__(self, app: Application[str]) -> None:
        self._app = app
        self._waiting = ""
        self._soon: asyncio.TimerHandle | None = None

    def isatty(self) -> bool:
        """It is a terminal."""
        return True

    def write(self, text: str) -> None:
        """Take text; it is written when its line is whole."""
        self._waiting += text
        if "\n" in text and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(TOGETHER, self._print_lines)

    def flush(self) -> None:
        """Whole lines come by themselves."""

    def print(self) -> None:
        """Write everything now, a line that is not ended too."""
        if self._waiting and not self._waiting.endswith("\n"):
            self._waiting += "\n"
        self._print_lines()

    def _print_lines(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        lines, newline, self._waiting = self._waiting.rpartition("\n")
        if not newline:
            return
        if self._app.is_running:  # a line that was just entered still stands there
            self._app.renderer.erase()
        self._app.output.write_raw(lines + newline)
        self._app.output.flush()
        if self._app.is_running and not self._app.is_done:
            self._app.renderer.request_absolute_cursor_position()
            self._app.invalidate()


class Prompt:
    """Reads lines, with completion, history and editing.

    `label` is what stands before the line, `live` what is drawn above it, both asked at each redraw;
    `toolbar` what stands below.  Ctrl-C is told to `interrupted`, which says whether there was anything to
    cancel; if there was not it clears the line, and the next one leaves.
    """

    echoes = False

    def __init__(
        self,
        history: Path,
        completer: Completer,
        *,
        label: Callable[[int], str],
        live: Callable[[int, int], str],
        toolbar: Callable[[int], str],
        interrupted: Callable[[], bool],
        colour: bool,
    ) -> None:
        self._label, self._live, self._toolbar = label, live, toolbar
        self._interrupted = interrupted
        self._pastes: dict[str, str] = {}
        self._drafts: list[Document] = []
        self._armed = False
        self._completer = completer
        self._session = PromptSession[str](
            self._message,
            history=_private(history),
            completer=completer,
            complete_while_typing=Condition(self._offers),
            reserve_space_for_menu=6,
            key_bindings=self._keys(),
            multiline=True,
            prompt_continuation="  ",
            bottom_toolbar=lambda: self._toolbar(self.columns),
            style=Style.from_dict(QUIET),
            color_depth=ColorDepth.DEPTH_4_BIT if colour else ColorDepth.DEPTH_1_BIT,
            enable_suspend=True,
            enable_open_in_editor=True,
            erase_when_done=True,
        )
        self._session.default_buffer.on_text_changed += self._disarm
        self.above: Any = Above(self._session.app)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what is typed between two lines from being echoed and changed by the terminal."""
        with self._session.app.input.raw_mode():
            yield

    async def read(self) -> str:
        """The next line, pastes unfolded.  Raises EOFError to leave."""
        text = await self._session.prompt_async(set_exception_handler=False)
        self._pastes.clear()
        return str(text)

    def redraw(self) -> None:
        """Show what `live` and `label` say now."""
        self._session.app.invalidate()

    def set_aside(self) -> None:
        """Keep what is being typed for later: something else is asked first.

        No key that was pressed before the question stands on the screen is left to answer it.
        """
        app = self._session.app
        forget_typed(app.input.fileno())
        clear_typeahead(app.input)
        app.key_processor.empty_queue()
        self.above.print()
        self._drafts.append(self._session.default_buffer.document)
        self._session.default_buffer.set_document(Document())

    def restore(self) -> None:
        """Go on with what was typed before the question."""
        self._session.default_buffer.set_document(self._drafts.pop())
        self.redraw()

    def close(self) -> None:
        """Write out what waits, above the line that is gone."""
        self.above.print()

    @property
    def columns(self) -> int:
        """How wide the terminal is now."""
        return int(self._session.app.output.get_size().columns)

    def _message(self) -> ANSI:
        size = self._session.app.output.get_size()
        live = self._live(size.columns, max(1, size.rows // 2 - 2))
        return ANSI((live + "\n" if live else "") + self._label(size.columns))

    def _offers(self) -> bool:
        text = self._session.default_buffer.document.text_before_cursor
        return (text.startswith("/") and "\n" not in text) or mention(text) is not None

    def _disarm(self, _: object) -> None:
        self._armed = False

    # -- keys ------------------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        keys.add("enter")(self._enter)
        keys.add("tab")(self._tab)
        keys.add("escape", "enter")(_new_line)
        keys.add("c-j")(self._enter)
        keys.add(Keys.BracketedPaste)(self._paste)
        keys.add("c-c")(self._interrupt)
        keys.add("<sigint>")(self._interrupt)
        return keys

    def _enter(self, event: KeyPressEvent) -> None:
        """Send; but take the chosen completion, and go on after a backslash at the end of the line."""
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None
        elif buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            whole = _FOLDED.sub(lambda found: self._pastes.get(found[0], found[0]), buffer.text)
            buffer.set_document(Document(whole))
            buffer.validate_and_handle()

    def _tab(self, event: KeyPressEvent) -> None:
        """Take the next completion; the only one at once, also where the menu is still being made."""
        buffer = event.current_buffer
        if buffer.complete_state is not None:
            buffer.complete_next()
            return
        asked = self._completer.get_completions(buffer.document, CompleteEvent(completion_requested=True))
        found = list(itertools.islice(asked, 2))
        if len(found) == 1:
            buffer.apply_completion(found[0])
        else:
            buffer.start_completion(insert_common_part=True)

    def _paste(self, event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + 1
        if lines > PASTED_LINES or len(text) > PASTED_CHARACTERS:
            size = f"{lines} lines" if lines > 1 else f"{len(text)} characters"
            folded = f"[paste {len(self._pastes) + 1}: {size}]"
            self._pastes[folded] = text
            text = folded
        event.current_buffer.insert_text(text)

    def _interrupt(self, event: KeyPressEvent) -> None:
        if self._armed:
            event.app.exit(exception=EOFError)
            return
        if not self._interrupted():
            event.current_buffer.reset()
        self._armed = True


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")


def _private(path: Path) -> FileHistory:
    """What a person has typed, in a file that is theirs alone."""
    os.close(files.private(path, append=True))
    return FileHistory(str(path))
