"""`pygent.system_message` of Pygent 1.0."""

from pygent.classic.prompts import build_system_msg, set_system_message_builder

__all__ = ["build_system_msg", "set_system_message_builder"]
