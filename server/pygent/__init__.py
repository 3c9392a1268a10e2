"""Pygent: an AI coding agent that lives behind any editor.

Importing the package reads no file, no environment and starts nothing; the names of the Python API are
loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygent.api import AsyncPygent, ChatSession, Pygent
    from pygent.classic import (
        AGENT_PRESETS,
        PROMPT_BUILDERS,
        Agent,
        AgentPreset,
        OpenAIModel,
        Persona,
        Runtime,
        TaskManager,
        clear_tools,
        load_config,
        load_snapshot,
        register_task_tools,
        register_tool,
        remove_tool,
        reset_tools,
        set_custom_model,
        set_system_message_builder,
        tool,
    )
    from pygent.classic.models import ChatModel as Model
    from pygent.cli.repl import run_interactive
    from pygent.errors import ModelError as APIError
    from pygent.errors import PygentError

__version__ = "0.1.0"

_CLASSIC = (
    *("AGENT_PRESETS", "PROMPT_BUILDERS", "Agent", "AgentPreset", "OpenAIModel", "Persona", "Runtime"),
    *("TaskManager", "clear_tools", "load_config", "load_snapshot", "register_task_tools", "register_tool"),
    *("remove_tool", "reset_tools", "set_custom_model", "set_system_message_builder", "tool"),
)
_PLACES = {
    **{name: ("pygent.classic", name) for name in _CLASSIC},
    **{name: ("pygent.api", name) for name in ("AsyncPygent", "ChatSession", "Pygent")},
    "Model": ("pygent.classic.models", "ChatModel"),
    "PygentError": ("pygent.errors", "PygentError"),
    "APIError": ("pygent.errors", "ModelError"),
    "run_interactive": ("pygent.cli", "run_interactive"),
}
__all__ = [*_PLACES, "__version__"]  # noqa: PLE0604 - all of them are texts


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'pygent' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
