"""`pygent.openai_compat` of Pygent 1.0."""

from pygent.classic.messages import (
    ChatCompletion,
    Choice,
    Message,
    ToolCall,
    ToolCallFunction,
    chat,
    parse_message,
)

__all__ = ["ChatCompletion", "Choice", "Message", "ToolCall", "ToolCallFunction", "chat", "parse_message"]
