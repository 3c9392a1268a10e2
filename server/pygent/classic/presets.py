"""Agents for common work, ready-made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pygent.classic.agent import Agent
from pygent.classic.prompts import PROMPT_BUILDERS, Builder
from pygent.tools import Tool
from pygent.tools.user import of_program

DELEGATION = ("delegate_task", "delegate_persona_task", "list_personas", "task_status", "collect_file")


@dataclass
class AgentPreset:
    """A way to work: a system message, and the names of the tools for it (all of them if None)."""

    builder: Builder
    tools: Sequence[str] | None = None
    include_task_tools: bool = False

    def create_agent(self, **kwargs: Any) -> Agent:
        """An agent that works so; the keywords are those of `Agent`."""
        agent = Agent(**{"system_message_builder": self.builder, **kwargs})
        if self.tools is not None:
            agent.tools = self._tools
        return agent

    def _tools(self) -> dict[str, Tool]:
        allowed = {*(self.tools or ()), *(DELEGATION if self.include_task_tools else ())}
        return {name: tool for name, tool in of_program().items() if name in allowed}


_READING = ("bash", "read_file", "grep", "glob", "read_image", "stop")
AGENT_PRESETS: dict[str, AgentPreset] = {
    "autonomous": AgentPreset(
        PROMPT_BUILDERS["autonomous"], (*_READING, "write_file", "edit_file", "update_plan")
    ),
    "assistant": AgentPreset(
        PROMPT_BUILDERS["assistant"], (*_READING, "write_file", "edit_file", "update_plan", "ask_user")
    ),
    "reviewer": AgentPreset(PROMPT_BUILDERS["reviewer"], _READING),
}
"""By name: works alone to the end; works together with the person; reads and judges."""
