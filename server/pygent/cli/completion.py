"""Completion scripts for shells."""

from __future__ import annotations

from pygent.cli.parser import COMMANDS, TASK_ACTIONS

FLAGS = (
    *("--cwd", "--workspace", "--load", "--config", "--docker", "--no-docker", "--model", "--persona"),
    *("--resume", "--confirm-bash", "--no-confirm-bash", "--ban-cmd", "--omit-tool", "--env", "--json"),
    *("--version", "--help"),
)

_BASH = """\
_pygent() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    case $before in
        tasks) COMPREPLY=($(compgen -W "{tasks}" -- "$word")) ;;
        config) COMPREPLY=($(compgen -W "show check" -- "$word")) ;;
        sandbox) COMPREPLY=($(compgen -W "status run" -- "$word")) ;;
        *) COMPREPLY=($(compgen -W "{commands} {flags}" -- "$word")) ;;
    esac
}}
complete -o default -F _pygent pygent
"""


def script(shell: str) -> str:
    """The completion script of `bash`, `zsh` or `fish`; to be sourced."""
    commands, flags, tasks = " ".join(COMMANDS), " ".join(FLAGS), " ".join(TASK_ACTIONS)
    if shell == "fish":
        lines = [f"complete -c pygent -n __fish_use_subcommand -a {n} -d {t!r}" for n, t in COMMANDS.items()]
        lines += [f"complete -c pygent -l {flag[2:]}" for flag in FLAGS]
        return "\n".join(lines) + "\n"
    bash = _BASH.format(commands=commands, flags=flags, tasks=tasks)
    return bash if shell == "bash" else f"autoload -U bashcompinit && bashcompinit\n{bash}"
