"""A new `pygent.toml`: every setting with its meaning and default, behind comment marks."""

from __future__ import annotations

from pygent.config.settings import TABLE, Setting
from pygent.config.values import size_text
from pygent.config.write import literal

_HEAD = """\
# Settings of Pygent; take the mark away from what you change.  `pygent config` shows what is in force.
# A key for the API never stands here: put OPENAI_API_KEY into .env or the environment.
"""
_EXAMPLES = {
    "ca_bundle": '"certificates.pem"',
    "history_file": '"history.json"',
    "workspace": '"workspace"',
    "snapshot": '"snapshot"',
    "log_file": '"pygent.log"',
    "step_timeout": "120",
    "task_timeout": "1800",
    "task_personas": '["tester - runs tests"]',
    "context_window": "128000",
    "prices": '{"gpt-4.1-mini" = {input = 0.4, output = 1.6}}',
    "mcp_servers": '{clock = {command = "uvx", args = ["mcp-server-time"]}}',
    "tools": '[{module = "mytools"}]',
    "limits.tokens": "200000",
    "limits.cost": "1",
    "limits.seconds": "1800",
    "limits.session_tokens": "2000000",
    "limits.session_cost": "10",
    "answers.max_tokens": "8000",
    "answers.reasoning_effort": '"low"',
}
"""Values for settings that have no default."""


def sample() -> str:
    """The file's text; it is valid as it is, and with every mark taken away."""
    plain = [one for one in TABLE.values() if "." not in one.key and not one.secret]
    top = [_entry(setting, setting.key) for setting in plain]
    parts = ["".join([_HEAD, *top])]
    for table in dict.fromkeys(key.partition(".")[0] for key in TABLE if "." in key):
        inside = [one for one in TABLE.values() if one.key.startswith(f"{table}.")]
        parts.append("".join([f"[{table}]\n", *(_entry(one, one.key.partition(".")[2]) for one in inside)]))
    return "\n".join(parts)


def _entry(setting: Setting, name: str) -> str:
    value = _EXAMPLES.get(setting.key)
    if value is None and setting.default not in (None, (), {}):
        default = size_text(setting.default) if setting.kind == "size" else setting.default
        value = literal(default)
    none = "; none by default" if setting.default in (None, (), {}) else ""
    return f"\n# {setting.meaning}{none}\n# {name} = {value or '[]'}\n"
