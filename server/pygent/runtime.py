"""`pygent.runtime` of Pygent 1.0."""

from pygent.classic.runtime import Runtime

__all__ = ["Runtime"]
