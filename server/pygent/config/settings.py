"""The settings: one table from which everything else about them is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pygent.records import Persona

Kind = Literal[
    "text",
    "key",
    "url",
    "whole",
    "number",
    "seconds",
    "size",
    "switch",
    "docker",
    "api",
    "path",
    "paths",
    "texts",
    "commands",
    "personas",
    "tools",
    "prices",
    "servers",
]
Taken = Literal["yes", "words", "lower", "on", "more", "alone", "never"]
"""What an untrusted folder may do with a setting: set it, set it as words that are marked as the folder's,
only lower it, only switch it on, only add to a list, give it without an address, or nothing."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`[limits]`: when a turn pauses by itself; tokens are those sent and received, cost as of `Price`.

    `stall_timeout` is when an answer is given up.
    """

    steps: int = 50
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    session_tokens: int | None = None
    session_cost: float | None = None
    stall_timeout: float = 300.0


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens of a model cost, in whatever currency the person thinks in.

    `cached` is for those of the input that the server had in its cache.
    """

    input: float
    output: float
    cached: float


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[answers]`: what is asked of the model's answers; where nothing is said the server's own way."""

    max_tokens: int | None = None
    reasoning_effort: str | None = None


class ApprovalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[approvals]`: how long, in seconds, an approval waits before it is declined."""

    timeout: float = 600.0


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[sandbox]`: what commands may reach and use; sizes in bytes."""

    network: bool = False
    networks: tuple[str, ...] = ()
    memory: int = 2 << 30
    cpus: float = 2.0
    pids: int = 512
    file_size: int = 4 << 30
    disk: int = 8 << 30
    read_only_paths: tuple[Path, ...] = ()
    writable_paths: tuple[Path, ...] = ()
    env: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


class ToolModule(msgspec.Struct, frozen=True, kw_only=True):
    """`[[tools]]`: a module with tools of the person's own, found from `base` if it is a file there."""

    module: str
    base: Path
    confirm: bool = True


class McpServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[mcp_servers.NAME]`: a program, or an address, that offers tools (modelcontextprotocol.io).

    `env` are the variables that the program gets, `token_variable` is the one whose value the address gets;
    `tools` are those that are offered, None for all; `timeout` is the seconds that a call may take.
    """

    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    url: str | None = None
    token_variable: str | None = None
    tools: tuple[str, ...] | None = None
    confirm: bool = True
    timeout: float = 60.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force; each field has the meaning of its row in `TABLE`."""

    api_key: str | None = None
    base_url: str = "https://api.openai.com/v1"
    model: str = "gpt-4.1-mini"
    api: Literal["auto", "chat", "responses"] = "auto"
    ca_bundle: Path | None = None
    image: str = "python:3.12-slim"
    use_docker: Literal["0", "1", "auto"] = "auto"
    max_tasks: int = 3
    history_file: Path | None = None
    workspace: Path | None = None
    step_timeout: float | None = None
    task_timeout: float | None = None
    persona_name: str = "Pygent"
    persona: str = "a sandboxed coding assistant."
    task_personas: tuple[Persona, ...] = ()
    initial_files: tuple[Path, ...] = ()
    snapshot: Path | None = None
    banned_commands: tuple[str, ...] = ()
    banned_apps: tuple[str, ...] = ()
    log_file: Path | None = None
    confirm_bash: bool = True
    confirm_edits: bool = False
    tools: tuple[ToolModule, ...] = ()
    mcp_servers: Mapping[str, McpServer] = msgspec.field(default_factory=dict)
    limits: Limits = Limits()
    context_window: int | None = None
    prices: Mapping[str, Price] = msgspec.field(default_factory=dict)
    answers: AnswerSettings = AnswerSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    sandbox: SandboxSettings = SandboxSettings()


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    `key` is the name in `pygent.toml`, dotted inside a table; `variable` the environment variable;
    `untrusted` what a folder that is not trusted may do with it.
    """

    key: str
    variable: str | None
    kind: Kind
    meaning: str
    untrusted: Taken
    secret: bool = False

    @property
    def default(self) -> Any:
        """The value where no layer sets one."""
        value: Any = Settings()
        for part in self.key.split("."):
            value = getattr(value, part)
        return value


_ROWS: tuple[tuple[str, str | None, Kind, Taken, str], ...] = (
    ("api_key", "OPENAI_API_KEY", "key", "alone", "key for OpenAI or any compatible service"),
    ("base_url", "OPENAI_BASE_URL", "url", "never", "endpoint of the API"),
    ("model", "PYGENT_MODEL", "text", "yes", "model name"),
    (
        "api",
        "PYGENT_API",
        "api",
        "never",
        "how the endpoint is spoken to: `chat` completions, which `auto` means, or `responses`",
    ),
    (
        "ca_bundle",
        "PYGENT_CA_BUNDLE",
        "path",
        "never",
        "certificates that are believed beside the system's, for a private endpoint or proxy",
    ),
    ("image", "PYGENT_IMAGE", "text", "never", "image of the Docker sandbox"),
    (
        "use_docker",
        "PYGENT_USE_DOCKER",
        "docker",
        "never",
        "`0`: local; `1`: Docker or a clear failure; `auto`: Docker if it is there, else local, saying so",
    ),
    ("max_tasks", "PYGENT_MAX_TASKS", "whole", "lower", "delegated tasks that run at once"),
    (
        "history_file",
        "PYGENT_HISTORY_FILE",
        "path",
        "never",
        "JSON file in which the conversation is kept; an existing one is resumed",
    ),
    (
        "workspace",
        "PYGENT_WORKSPACE",
        "path",
        "never",
        "directory that persists as the workspace between sessions",
    ),
    ("step_timeout", "PYGENT_STEP_TIMEOUT", "seconds", "lower", "seconds for each step of a delegated task"),
    ("task_timeout", "PYGENT_TASK_TIMEOUT", "seconds", "lower", "seconds for a delegated task as a whole"),
    ("persona_name", "PYGENT_PERSONA_NAME", "text", "words", "name of the main persona"),
    ("persona", "PYGENT_PERSONA", "text", "words", "description of the main persona"),
    (
        "task_personas",
        "PYGENT_TASK_PERSONAS",
        "personas",
        "words",
        "personas for delegated agents: names, or tables with `name` and `description`",
    ),
    (
        "initial_files",
        "PYGENT_INIT_FILES",
        "paths",
        "never",
        "files or folders copied into the workspace at start",
    ),
    ("snapshot", "PYGENT_SNAPSHOT", "path", "never", "snapshot folder loaded at start"),
    ("banned_commands", "PYGENT_BANNED_COMMANDS", "texts", "more", "commands that may not be run"),
    ("banned_apps", "PYGENT_BANNED_APPS", "texts", "more", "programs that may not appear in any command"),
    ("log_file", "PYGENT_LOG_FILE", "path", "never", "log of the session; by default in the state folder"),
    ("confirm_bash", "PYGENT_CONFIRM_BASH", "switch", "on", "ask before each command"),
    (
        "confirm_edits",
        "PYGENT_CONFIRM_EDITS",
        "switch",
        "on",
        "ask, with the diff, before each change of a file by a tool",
    ),
    (
        "tools",
        None,
        "tools",
        "never",
        "modules with tools of your own: tables with `module`, and `confirm` (ask before each call)",
    ),
    (
        "mcp_servers",
        None,
        "servers",
        "never",
        "MCP servers whose tools are offered: for each name a table with `command` and `args`, or with `url`",
    ),
    ("limits.steps", None, "whole", "lower", "model answers after which a turn pauses"),
    ("limits.tokens", None, "whole", "lower", "tokens, sent and received, after which a turn pauses"),
    ("limits.cost", None, "number", "lower", "cost by `prices` after which a turn pauses"),
    (
        "limits.seconds",
        None,
        "seconds",
        "lower",
        "seconds of work after which a turn pauses; waiting for a person does not count",
    ),
    ("limits.session_tokens", None, "whole", "lower", "tokens after which a session pauses"),
    ("limits.session_cost", None, "number", "lower", "cost after which a session pauses"),
    (
        "context_window",
        None,
        "whole",
        "lower",
        "tokens that the model takes, where its server does not tell or tells wrong",
    ),
    (
        "prices",
        None,
        "prices",
        "never",
        "for each model a table with the price of a million tokens: `input`, `output` and perhaps `cached`",
    ),
    (
        "limits.stall_timeout",
        None,
        "seconds",
        "lower",
        "seconds without a word of an answer after which it is given up and asked for again",
    ),
    ("answers.max_tokens", None, "whole", "lower", "tokens that one answer may have"),
    (
        "answers.reasoning_effort",
        None,
        "text",
        "never",
        "how hard a reasoning model thinks, such as `low` or `high`",
    ),
    (
        "approvals.timeout",
        None,
        "seconds",
        "never",
        "seconds after which an approval nobody answered is declined",
    ),
    ("sandbox.network", None, "switch", "never", "whether commands in the sandbox reach the network"),
    (
        "sandbox.networks",
        None,
        "texts",
        "never",
        "private networks, such as `10.1.0.0/16`, that commands reach too where `network` is on (bubblewrap)",
    ),
    ("sandbox.memory", None, "size", "never", "memory of all processes of the sandbox, such as `2g`"),
    ("sandbox.cpus", None, "number", "never", "processors that commands may use (Docker)"),
    ("sandbox.pids", None, "whole", "never", "processes that may run at once (Docker, bubblewrap)"),
    ("sandbox.file_size", None, "size", "never", "size of a single file that a command writes"),
    ("sandbox.disk", None, "size", "never", "disk space that a command takes, all its files together"),
    (
        "sandbox.read_only_paths",
        None,
        "paths",
        "never",
        "what commands may read and not change, inside the workspace or outside",
    ),
    (
        "sandbox.writable_paths",
        None,
        "paths",
        "never",
        "what commands may change outside the workspace, or inside although it is protected, such as `.git`; "
        "files of secrets that it names can be read, too",
    ),
    (
        "sandbox.env",
        None,
        "texts",
        "never",
        "variables passed to commands, by name or pattern; a pattern never takes a secret",
    ),
    ("sandbox.setup", None, "commands", "never", "commands run once in a new sandbox"),
)

TABLE: dict[str, Setting] = {
    key: Setting(key, variable, kind, meaning, untrusted, secret=key == "api_key")
    for key, variable, kind, untrusted, meaning in _ROWS
}
"""Every setting by its `pygent.toml` key."""

PERSONAS_JSON = "PYGENT_TASK_PERSONAS_JSON"
"""Overrides `PYGENT_TASK_PERSONAS` of the same layer."""

VARIABLES: dict[str, Setting] = {
    **{setting.variable: setting for setting in TABLE.values() if setting.variable},
    PERSONAS_JSON: TABLE["task_personas"],
}
"""Every setting by its environment variable."""
