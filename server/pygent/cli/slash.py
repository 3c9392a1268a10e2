"""The slash commands of a conversation."""

from __future__ import annotations

SLASH = {
    "help": ("[command]", "what there is, or one of it"),
    "cmd": ("COMMAND", "run a command in the sandbox yourself"),
    "cp": ("SOURCE [DEST]", "copy a file of this machine into the workspace"),
    "new": ("", "begin a new conversation"),
    "tools": ("[NAME on|off]", "list the tools, or switch one"),
    "banned": ("", "list the banned commands and programs"),
    "confirm-bash": ("on|off", "ask before each command, or don't"),
    "tasks": ("", "list the delegated tasks"),
    "delegate": ("[@PERSONA] TEXT", "give work to a background agent"),
    "model": ("[NAME]", "say or change the model"),
    "persona": ("[NAME]", "list the personas, or let another speak"),
    "cost": ("", "the tokens of this session"),
    "save": ("DIR", "save a snapshot (comes with a later version)"),
    "undo": ("", "take back what the last turn changed"),
    "redo": ("", "make it again"),
    "compact": ("", "summarise what was said (comes with a later version)"),
    "exit": ("", "leave; also Ctrl-D"),
}
