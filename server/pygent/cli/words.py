"""What the commands of the command line are for, in words: from these come help, pages and completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Word:
    """A command: one line for lists, what its help says, its actions, and examples with their meaning."""

    summary: str
    description: str
    examples: tuple[tuple[str, str], ...]
    actions: Mapping[str, str] = field(default_factory=dict)


COMMANDS: dict[str, Word] = {
    "run": Word(
        "run one request and exit",
        "Run one request to its end. The answer goes to standard output, everything else to standard error. "
        "Commands are asked about on a terminal; without one they are declined unless --no-confirm-bash "
        "allows them. The word `run` may be left out.",
        (
            ('pygent --cwd run "make the tests pass"', "work in the current folder"),
            ("git diff | pygent --cwd run -", "the request comes from standard input"),
            ('pygent --cwd --no-confirm-bash --json run "bump the version"', "for a script"),
        ),
    ),
    "delegate": Word(
        "give work to a background agent",
        "Let a background agent work in a copy of the folder. This process shows what it does and stays "
        "until it ends; nothing in your folder changes until you take it over with `pygent tasks apply`.",
        (
            (
                'pygent delegate --cwd "write tests for parser.py" --persona tester',
                "a persona of pygent.toml",
            ),
            ('pygent delegate --cwd --file a.py --file b.py "compare them"', "give only these files"),
            ("pygent tasks apply TASK", "take over what it changed"),
        ),
    ),
    "tasks": Word(
        "list, follow, compare and take over tasks",
        "What background agents do and have done, of every process. A task is named by its id or a part of "
        "it. Without an action the tasks are listed; on a terminal the list follows those that run.",
        (
            ("pygent tasks", "every task"),
            ("pygent tasks log -f TASK", "follow one"),
            ("pygent tasks diff TASK", "what it changed"),
            ("pygent tasks apply TASK --path src/a.py", "take one file over"),
            ('pygent tasks send TASK "use pytest"', "say something to it"),
        ),
        {
            "list": "the table of tasks (without an action: this)",
            "show": "everything known about a task, and what it said at last",
            "log": "what it did; -f goes on until it ends",
            "wait": "until tasks have ended: 0 completed, 1 failed, 3 one asks something, 124 still running",
            "cancel": "end tasks that run or wait",
            "retry": "begin anew with what the task was given",
            "diff": "what it changed, as a unified diff",
            "apply": "merge its changes into the folder; conflicts are named and left alone",
            "collect": "copy a file of it here: --path FILE [--dest FILE]",
            "send": "say something to it; one that has ended goes on",
            "delete": "forget tasks and remove their folders",
        },
    ),
    "approvals": Word(
        "answer what waits for your consent",
        "What tasks and sessions of every process want to do and wait for, each with the exact command or "
        "change. An approval is named by its id or the end of it; whoever answers first decides.",
        (
            ("pygent approvals", "what waits"),
            ("pygent approvals allow ID", "this once"),
            ("pygent approvals allow ID --for-session", "and whenever the same is asked in its session"),
            ('pygent approvals deny ID "use git mv"', "the reason is told to the agent"),
        ),
        {
            "list": "what waits, in full (without an action: this)",
            "allow": "let it happen",
            "deny": "don't; words after the id are told to the agent",
        },
    ),
    "sessions": Word(
        "list conversations, newest first",
        "The conversations of the current folder, to go on with by `pygent --resume SESSION`.",
        (("pygent sessions", "of this folder"), ("pygent sessions --all --limit 5", "of every folder")),
    ),
    "config": Word(
        "show the settings with their origin, check them, or begin a file",
        "Every setting in force, with the layer, file and line that set it. The exit code is 4 if one of "
        "them is wrong.",
        (
            ("pygent config", "what is in force, and why"),
            ("pygent config check", "only what is wrong"),
            ("pygent config init", "a pygent.toml with every setting behind a comment mark"),
        ),
        {
            "show": "every setting with its origin (without an action: this)",
            "check": "say what is wrong, and give hints",
            "init": "write a new pygent.toml, or the file after --config; --force overwrites one",
            "schema": "print the JSON Schema of pygent.toml",
        },
    ),
    "personas": Word(
        "list the personas",
        "The main persona, and those that tasks may have. They stand in pygent.toml under [[task_personas]].",
        (
            ("pygent personas", "their names and descriptions"),
            ('pygent --persona tester --cwd "…"', "let one of them speak"),
        ),
    ),
    "sandbox": Word(
        "say how commands are isolated, or run one",
        "How the agent's commands are isolated here, and why; or one command of your own in that sandbox, "
        "which ends with the command's exit code.",
        (
            ("pygent sandbox", "what is used here"),
            ("pygent sandbox run -- ls -la", "run a command in it"),
            ("pygent --no-docker sandbox", "without Docker"),
        ),
        {"status": "what is used and why (without an action: this)", "run": "run a command in it"},
    ),
    "doctor": Word(
        "check the set-up and say how to mend it",
        "Looks at everything that a turn needs: settings, trust, key, endpoint, model, sandbox, snapshots, "
        "terminal. The exit code is 1 if something fails.",
        (("pygent doctor", "check this folder"), ("pygent doctor --json", "for a script")),
    ),
    "demo": Word(
        "see everything at work, without a key or network",
        "An agent mends a small project with the help of a background agent. A model server on this machine "
        "replays a recorded conversation; the HTTP client, the agent, its sandbox and the edits are real.",
        (
            ("pygent demo", "no key, no network, no Docker needed"),
            ("pygent demo --keep shop", "keep the project and look at it"),
            ("pygent demo --live", "let the real model do it (needs a key)"),
        ),
    ),
    "trust": Word(
        "trust the settings of a folder",
        "A folder's pygent.toml and .env may come from anybody, so until you trust them they can set only "
        "what is harmless. The command shows what they would set and, on a terminal, asks. Trust ends when "
        "one of these files changes, or a file of the folder that they name.",
        (
            ("pygent trust", "the current folder"),
            ("pygent trust --list", "which folders are trusted"),
            ("pygent trust --revoke ../other", "no longer"),
        ),
    ),
    "completion": Word(
        "print a completion script for bash, zsh or fish",
        "A script that lets your shell complete commands, flags and files.",
        (
            ('eval "$(pygent completion bash)"', "in ~/.bashrc"),
            ('eval "$(pygent completion zsh)"', "in ~/.zshrc, after compinit"),
            ("pygent completion fish > ~/.config/fish/completions/pygent.fish", "for fish"),
        ),
        {"bash": "", "zsh": "", "fish": ""},
    ),
}

EXAMPLES = (
    ("pygent --cwd", "talk to the agent about the current folder"),
    ("pygent", "talk to it in a fresh folder that is removed at the end"),
    ('pygent --cwd "make the tests pass"', "one request, then exit"),
    ("git diff | pygent --cwd -", "the request comes from standard input"),
    ('pygent --cwd --resume "go on"', "the latest conversation of this folder"),
    ("pygent demo", "see it at work, without a key or network"),
    ("pygent doctor", "what is missing, and how to mend it"),
)

EXIT_CODES = {
    0: "completed",
    1: "failed: the model, a tool or a check",
    2: "wrong usage",
    3: "something needed an approval or an answer that nobody could give",
    4: "invalid configuration, or no key but one that waits for your trust",
    5: "sandbox unavailable",
    124: "a time or step limit",
    130: "cancelled",
}
