"""Names in a workspace with which somebody else acts: what runs programs, instructs, or holds secrets.

An editor, another agent, git or a shell acts on these files outside of every sandbox when a person merely
opens the folder, enters it or uses git there (CVE-2025-53773, CVE-2025-54136, CVE-2025-59536).  What runs
only when a person starts it, such as a Makefile or a package's scripts, is the project's own code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["code", "told", "secret"]
"""`code` starts programs: commands can't change what is there, tools need consent.  `told` instructs
machines or agents: commands may change it, and people hear of it.  `secret`: commands can't read it."""

TABLE: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "code": {
        "git: hooks, filters, programs of its configuration": (".git", ".gitmodules"),
        "git hooks of other tools": (
            *(".husky", ".pre-commit-config.yaml", ".pre-commit-config.yml", ".overcommit.yml"),
            *("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml", ".lefthook"),
        ),
        "VS Code and its kin: tasks, settings that name programs": (".vscode", "*.code-workspace", ".theia"),
        "JetBrains: run configurations, file watchers": (".idea", ".fleet", ".run"),
        "Visual Studio, Zed, Helix, Sublime Text, Nova": (
            *(".vs", ".zed", ".helix", "*.sublime-project", ".nova"),
        ),
        "Vim and Neovim ('exrc'), plug-ins for local settings": (
            *(".nvim.lua", ".nvimrc", ".exrc", "_exrc", ".vimrc", "_vimrc", ".gvimrc", "_gvimrc", ".vim"),
            *(".lvimrc", ".local.vimrc", ".ycm_extra_conf.py"),
        ),
        "Emacs: local variables that are evaluated": (".dir-locals.el", ".dir-locals-2.el"),
        "containers of editors: commands of their start": (".devcontainer*",),
        "shells on entering a folder": (
            *(".envrc", ".direnv", "mise.toml", ".mise.toml", "mise.local.toml", ".mise.local.toml"),
            *(".mise", ".autoenv", ".autoenv.zsh"),
        ),
        "debuggers in the working directory": (".gdbinit", ".lldbinit"),
        "agents: hooks, MCP servers, permissions": (
            *(".mcp.json", ".claude", ".cursor", ".codex", ".gemini", ".qwen", ".windsurf", ".continue"),
            *(".opencode", "opencode.json", "opencode.jsonc", ".kiro", ".roo", ".cline", ".amazonq"),
            *(".junie", ".agents", ".agent", ".factory", ".crush.json", "crush.json", ".aider*"),
        ),
        "Pygent": (".pygent", "pygent.toml", ".pygent.toml"),
    },
    "told": {
        "agents: instructions": (
            *("AGENTS.md", "AGENTS.override.md", "AGENT.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md"),
            *("QWEN.md", ".cursorrules", ".windsurfrules", ".clinerules", ".roorules", ".goosehints"),
        ),
        "continuous integration": (
            *(".github", ".gitlab-ci.yml", ".gitlab", ".circleci", ".travis.yml", ".buildkite", ".forgejo"),
            *(".gitea", ".woodpecker", ".woodpecker.yml", ".drone.yml", "azure-pipelines.yml"),
            *("bitbucket-pipelines.yml", "appveyor.yml", ".appveyor.yml", "Jenkinsfile", ".cirrus.yml"),
        ),
        "git: which filter or merge driver a file gets": (".gitattributes",),
        "version managers": (".tool-versions",),
    },
    "secret": {
        "variables of programs": (".env", ".env.*", ".env-*", "*.env"),
        "passwords and tokens of tools": (
            *(".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", ".my.cnf"),
            *("credentials.json", ".dockercfg", ".dockerconfigjson"),
        ),
        "private keys": ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    },
}
"""Who acts on a file or folder, and its names, by what that means."""

SAMPLES = re.compile(r"(?:^|[.-])(?:example|sample|template|dist|defaults?)(?:$|[.-])")
"""Words in the names of files of variables that are made to be shown."""

OWN_PLACES = ("node_modules", "__pycache__", ".venv", "venv", ".tox", ".nox")
"""Folders that package managers fill and remove: nobody opens them as a project, and a mount in them would
keep `npm ci` from its work."""


_NAMES = {
    name.lower(): (kind, who)
    for kind, groups in TABLE.items()
    for who, names in groups.items()
    for name in names
}
_PLAIN = {name: found for name, found in _NAMES.items() if "*" not in name}
_PATTERNS = [(re.compile(translate(name)), found) for name, found in _NAMES.items() if "*" in name]
_ANY = re.compile("|".join(pattern.pattern for pattern, _ in _PATTERNS))


def kind_of(name: str) -> Kind | None:
    """What a file or folder of this name is, wherever in the workspace it lies; None for any other.

    Upper and lower case are one, as on the file systems where `.GIT` is `.git` (CVE-2025-59944).
    """
    found = _found(name.lower())
    return None if found is None else found[0]


def acts(name: str) -> str:
    """Who acts on a protected file or folder of this name; empty for any other."""
    found = _found(name.lower())
    return "" if found is None else found[1]


def _found(name: str) -> tuple[Kind, str] | None:
    if (found := _PLAIN.get(name)) is not None or not _ANY.match(name):
        return found
    found = next(found for pattern, found in _PATTERNS if pattern.match(name))
    return None if found[0] == "secret" and SAMPLES.search(name) else found


def is_protected(name: str) -> bool:
    """Whether a path relative to the workspace is, or lies in, what runs code or holds secrets."""
    *folders, last = name.split("/")
    return kind_of(last) in ("code", "secret") or any(kind_of(folder) == "code" for folder in folders)


def is_secret(name: str) -> bool:
    """Whether a path is that of a file with secrets, in the workspace's root or deeper."""
    return kind_of(name.rpartition("/")[2]) == "secret"
