"""Pygent: an AI coding agent that lives behind any editor.

Importing the package reads no file, no environment and starts nothing; the names of the Python API are
loaded when they are first used.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and any(word.startswith("pygent") for word in sys.orig_argv[1:]):
    # `python -m pygent…` looks for modules in the working directory first, which may be a stranger's folder.
    sys.path[:1] = [entry for entry in sys.path[:1] if entry != os.getcwd()]  # noqa: PTH109 - without pathlib

from pygent.lazily import lazily

TYPE_CHECKING = False  # checkers know the name; importing typing would cost what `--version` takes
if TYPE_CHECKING:
    from pygent.api import AsyncPygent, Chat, ChatSession, Pygent
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
    from pygent.cli import run_interactive
    from pygent.errors import ModelError as APIError
    from pygent.errors import PygentError

__version__ = "0.1.0"

_CLASSIC = (
    *("AGENT_PRESETS", "PROMPT_BUILDERS", "Agent", "AgentPreset", "OpenAIModel", "Persona", "Runtime"),
    *("TaskManager", "clear_tools", "load_config", "load_snapshot", "register_task_tools", "register_tool"),
    *("remove_tool", "reset_tools", "set_custom_model", "set_system_message_builder", "tool"),
)
_PLACES = {
    **dict.fromkeys(_CLASSIC, "pygent.classic"),
    **dict.fromkeys(("AsyncPygent", "Chat", "ChatSession", "Pygent"), "pygent.api"),
    "Model": "pygent.classic:ChatModel",
    "PygentError": "pygent.errors",
    "APIError": "pygent.errors:ModelError",
    "run_interactive": "pygent.cli",
}
__getattr__ = lazily("pygent", _PLACES)
