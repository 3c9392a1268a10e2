"""The question whether a folder's files are trusted, and what is said where nobody can answer it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pygent.cli.asking import forget_typed
from pygent.cli.config import location
from pygent.cli.console import Console, brief
from pygent.config import TABLE, Config, Value, wire
from pygent.errors import ConfigInvalid

SHOWN = 12
"""Files of one setting that are named; of more, their number."""


def foreign(config: Config) -> list[Value]:
    """What a folder wants and gets only when it is trusted; what a snapshot wants it never gets."""
    return [value for value in config.withheld if value.origin.layer != "snapshot"]


def lines(values: Sequence[Value], config: Config) -> Iterator[str]:
    """What trusting a folder changes: its settings, with the files that are trusted with them."""
    for value in values:
        yield f"  {value.key} = {brief(wire(value))}  ({location(value.origin)})"
        names = sorted(config.named.get(value.key, ()))
        for name in names[:SHOWN]:
            yield f"      with the file {name} as it is now"
        if len(names) > SHOWN:
            yield f"      and {len(names) - SHOWN} more files"


def ask(console: Console, config: Config) -> bool:
    """Show what trusting the folder changes and ask for it; whatever is no clear answer is asked again."""
    console.say(f"The settings files of {config.folder} want what only a trusted folder gets:", "yellow")
    for line in lines(foreign(config), config):
        console.say(line)
    console.say("Such settings can run programs on this machine and send what you write elsewhere.", "yellow")
    with _interruptible():
        forget_typed(sys.stdin.fileno())
        while True:
            console.raw("Trust these files as they are now? [yes/no]: ", console.err)
            line = sys.stdin.readline()
            word = line.strip().lower()
            if word in ("yes", "y"):
                return True
            if word in ("no", "n") or not line:
                return False
            console.say("Answer yes or no.")


def person_there() -> bool:
    """Whether a person can be asked here."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a wait for a line, also where an event loop takes the signal."""
    before: Any = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def say_withheld(console: Console, config: Config) -> None:
    """Name what is ignored because nobody can be asked, and how to accept it."""
    if foreign(config):
        text = "--trust accepts these settings for one run, `pygent trust` until the files change."
        console.say(text, "yellow")


def refuse_without_key(config: Config) -> None:
    """Raise ConfigInvalid where there is no key but the folder's, or none for the folder's address."""
    settings, withheld = config.settings, {value.key for value in foreign(config)}
    default = settings.base_url == TABLE["base_url"].default
    if settings.api_key is None and default and withheld & {"api_key", "base_url"}:
        names = " and ".join(sorted(withheld & {"api_key", "base_url"}))
        text = f"There is no API key but by this folder's files ({names}), which you have not trusted."
        fix = "Look at them: `pygent config`. Accept them with --trust for one run, or with `pygent trust`."
        raise ConfigInvalid(text, fix)
