"""`pygent.models` of Pygent 1.0."""

from pygent.classic.models import ChatModel as Model
from pygent.classic.models import OpenAIModel, set_custom_model

__all__ = ["Model", "OpenAIModel", "set_custom_model"]
