"""`pygent.agent_presets` of Pygent 1.0."""

from pygent.classic.presets import AGENT_PRESETS, AgentPreset

__all__ = ["AGENT_PRESETS", "AgentPreset"]
