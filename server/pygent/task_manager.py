"""`pygent.task_manager` of Pygent 1.0."""

from pygent.classic.tasks import TaskManager

__all__ = ["TaskManager"]
