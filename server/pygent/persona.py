"""`pygent.persona` of Pygent 1.0."""

from pygent.classic.persona import Persona

__all__ = ["Persona"]
