"""`pygent.prompt_library` of Pygent 1.0."""

from pygent.classic.prompts import PROMPT_BUILDERS

__all__ = ["PROMPT_BUILDERS"]
