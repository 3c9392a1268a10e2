"""The exceptions that cross layers.

PygentError            a refusal with a stable code, a sentence and a fix
├── InvalidArgument    a wrong argument of a command; names the field
├── ConfigInvalid      settings that can't be used
├── ModelError         the model server's refusal or failure, after all retries
│   └── ContextOverflow  the conversation is longer than the model takes
└── SandboxUnavailable the sandbox that was asked for can't be had
ToolError              told to the model as the result of its call; never ends a turn
"""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "notFound",
    "busy",
    "notTrusted",
    "noApiKey",
    "modelError",
    "sandboxUnavailable",
    "configInvalid",
    "denied",
    "conflict",
    "unsupported",
    "limit",
]


class PygentError(Exception):
    """A refusal that a person can act on.

    `code` is stable, the message is one sentence, `fix` says what to do about it.
    """

    def __init__(self, code: Code, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.fix = fix


class InvalidArgument(PygentError):
    """An argument of a command is wrong; `field` names it, `expected` says what belongs there."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__("configInvalid", f"Wrong argument `{field}`: expected {expected}.")
        self.field = field
        self.expected = expected


class ConfigInvalid(PygentError):
    """A setting or settings file can't be used."""

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__("configInvalid", message, fix)


class ModelError(PygentError):
    """The model server refused or failed; `status` is the HTTP status where there was one."""

    def __init__(
        self, message: str, fix: str | None = None, *, status: int | None = None, code: Code = "modelError"
    ) -> None:
        super().__init__(code, message, fix)
        self.status = status


class ContextOverflow(ModelError):
    """The conversation is longer than the model takes; a shorter one may pass.

    `limit` and `requested` are tokens, as far as the server named them.
    """

    def __init__(
        self,
        message: str,
        fix: str | None = None,
        *,
        status: int | None = None,
        limit: int | None = None,
        requested: int | None = None,
    ) -> None:
        super().__init__(message, fix, status=status)
        self.limit = limit
        self.requested = requested


class SandboxUnavailable(PygentError):
    """The sandbox that was asked for can't be had; never answered by a weaker one in silence."""

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__("sandboxUnavailable", message, fix)


class ToolError(Exception):
    """A tool could not do what the model asked; the message is the tool's result."""
