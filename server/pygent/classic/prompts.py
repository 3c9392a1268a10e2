"""System messages of one's own, and the builders that come with Pygent."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from pygent.classic.persona import Persona
from pygent.prompts import style, system_text

Builder = Callable[[Persona, "list[str] | None"], str]
_global: list[Builder] = []
base: ContextVar[str] = ContextVar("base")
"""Pygent's own text for the session whose message is being built."""


def set_system_message_builder(builder: Builder | None) -> None:
    """Let a function `(persona, disabled_tools)` make every agent's system message; None ends that."""
    _global[:] = [] if builder is None else [builder]


def global_builder() -> Builder | None:
    """What `set_system_message_builder` set."""
    return _global[0] if _global else None


def build_system_msg(persona: Persona, disabled_tools: list[str] | None = None) -> str:
    """Pygent's own system message: who it is, where it works, and how.

    The tools are not listed in it: servers are sent them apart.
    """
    text = base.get(None)
    return text or system_text(
        persona.record(), isolation="docker", workdir="/workspace", network=False, delegates=True
    )


def _styled(name: str) -> Builder:
    def builder(persona: Persona, disabled_tools: list[str] | None = None) -> str:
        return f"{build_system_msg(persona, disabled_tools)}\n\n{style(name)}"

    builder.__doc__ = f"Pygent's own system message in the style `{name}`."
    return builder


PROMPT_BUILDERS: dict[str, Builder] = {
    name: _styled(name) for name in ("autonomous", "assistant", "reviewer")
}
