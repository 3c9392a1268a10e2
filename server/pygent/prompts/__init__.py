"""The system message, from the text files beside this module."""

from __future__ import annotations

import functools
import json
import sys
from importlib import resources
from string import Template

from pygent.records import Isolation, Persona
from pygent.visible import visible

WHERE: dict[Isolation, str] = {
    "docker": "a Docker container",
    "bubblewrap": "a bubblewrap sandbox",
    "landlock": "a sandbox of Landlock and seccomp",
    "local": f"no sandbox, directly on the person's machine ({sys.platform}): be careful",
}
OFFLINE = "There is no network: nothing can be installed or downloaded."


LONGEST_NAME, LONGEST_DESCRIPTION = 100, 2000
"""Characters of a persona that the person has not confirmed."""


def system_text(
    persona: Persona, *, isolation: Isolation, workdir: str, network: bool, delegates: bool
) -> str:
    """What the model is told first: who it is and where it works.

    The same arguments give the same text, so that servers can cache the prefix of the conversation.
    """
    text = Template(_text("system.md")).substitute(
        introduction=_introduction(persona),
        workdir=workdir,
        isolation=WHERE[isolation],
        network="" if isolation == "local" or network else OFFLINE,
        delegation=_text("delegation.md") if delegates else "",
    )
    return text.strip()


def _introduction(persona: Persona) -> str:
    """Who the model is; words that the person has not confirmed are quoted, and can't leave the quotes."""
    if not persona.unconfirmed:
        return f"You are {persona.name}, {persona.description or 'a coding assistant.'}"
    name, description = quoted(persona.name, LONGEST_NAME), quoted(persona.description, LONGEST_DESCRIPTION)
    return Template(_text("unconfirmed.md")).substitute(name=name, description=description).strip()


def quoted(text: str, longest: int) -> str:
    """Foreign words as a JSON string on one line, with every character visible."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return visible(json.dumps(cut, ensure_ascii=False), keep="")


def style(name: str) -> str:
    """A paragraph on how to work: `autonomous`, `assistant` or `reviewer`.  Raises FileNotFoundError."""
    return _text(f"{name}.md").strip()


@functools.cache
def _text(name: str) -> str:
    return resources.files("pygent").joinpath("prompts").joinpath(name).read_text("utf-8")
