"""The system message, from the text files beside this module."""

from __future__ import annotations

import functools
import sys
from importlib import resources
from string import Template

import msgspec

from pygent.records import Isolation, Persona

WHERE: dict[Isolation, str] = {
    "docker": "a Docker container",
    "bubblewrap": "a bubblewrap sandbox",
    "local": f"no sandbox, directly on the person's machine ({sys.platform}): be careful",
}
OFFLINE = "There is no network: nothing can be installed or downloaded."


def system_message(
    persona: Persona, *, isolation: Isolation, workdir: str, network: bool, delegates: bool
) -> bytes:
    """The first message of every request, as JSON: who the agent is and where it works.

    The same arguments give the same bytes, so that servers can cache the prefix of the conversation.
    """
    text = Template(_text("system.md")).substitute(
        name=persona.name,
        persona=persona.description or "a coding assistant.",
        workdir=workdir,
        isolation=WHERE[isolation],
        network="" if isolation == "local" or network else OFFLINE,
        delegation=_text("delegation.md") if delegates else "",
    )
    return msgspec.json.encode({"role": "system", "content": text.strip()})


@functools.cache
def _text(name: str) -> str:
    return resources.files("pygent").joinpath("prompts").joinpath(name).read_text("utf-8")
