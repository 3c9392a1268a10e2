"""The system message, from the text files beside this module."""

from __future__ import annotations

import functools
import sys
from importlib import resources
from string import Template

from pygent.records import Isolation, Persona

WHERE: dict[Isolation, str] = {
    "docker": "a Docker container",
    "bubblewrap": "a bubblewrap sandbox",
    "landlock": "a sandbox of Landlock and seccomp",
    "local": f"no sandbox, directly on the person's machine ({sys.platform}): be careful",
}
OFFLINE = "There is no network: nothing can be installed or downloaded."


def system_text(
    persona: Persona, *, isolation: Isolation, workdir: str, network: bool, delegates: bool
) -> str:
    """What the model is told first: who it is and where it works.

    The same arguments give the same text, so that servers can cache the prefix of the conversation.
    """
    text = Template(_text("system.md")).substitute(
        name=persona.name,
        persona=persona.description or "a coding assistant.",
        workdir=workdir,
        isolation=WHERE[isolation],
        network="" if isolation == "local" or network else OFFLINE,
        delegation=_text("delegation.md") if delegates else "",
    )
    return text.strip()


def style(name: str) -> str:
    """A paragraph on how to work: `autonomous`, `assistant` or `reviewer`.  Raises FileNotFoundError."""
    return _text(f"{name}.md").strip()


@functools.cache
def _text(name: str) -> str:
    return resources.files("pygent").joinpath("prompts").joinpath(name).read_text("utf-8")
