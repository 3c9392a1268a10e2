"""The Python API of Pygent 1.0 over the same core as everything else.

Scripts that were written for the documented API of Pygent 1.0 run unchanged; what they did that was not
safe (paths out of the workspace, a weaker sandbox in silence, keys in snapshots) is refused instead.
"""

from pygent.classic.agent import Agent
from pygent.classic.messages import Message, ToolCall, ToolCallFunction, parse_message
from pygent.classic.models import ChatModel, OpenAIModel, set_custom_model
from pygent.classic.persona import Persona
from pygent.classic.presets import AGENT_PRESETS, AgentPreset
from pygent.classic.process import load_config, load_snapshot
from pygent.classic.prompts import PROMPT_BUILDERS, build_system_msg, set_system_message_builder
from pygent.classic.runtime import Runtime
from pygent.classic.tasks import TaskManager, register_task_tools
from pygent.tools.user import clear_tools, register_tool, remove_tool, reset_tools, tool

__all__ = [
    "AGENT_PRESETS",
    "PROMPT_BUILDERS",
    "Agent",
    "AgentPreset",
    "ChatModel",
    "Message",
    "OpenAIModel",
    "Persona",
    "Runtime",
    "TaskManager",
    "ToolCall",
    "ToolCallFunction",
    "build_system_msg",
    "clear_tools",
    "load_config",
    "load_snapshot",
    "parse_message",
    "register_task_tools",
    "register_tool",
    "remove_tool",
    "reset_tools",
    "set_custom_model",
    "set_system_message_builder",
    "tool",
]
