"""Completion scripts for shells, made from the grammar."""

from __future__ import annotations

from dataclasses import dataclass

from pygent.cli.grammar import Parser, parser
from pygent.cli.words import COMMANDS

FILES = ("PATH", "DIR", "FILE", "FOLDER")
"""Values that are completed as files."""
OPTIONAL = "[ID]"
"""The value of `--resume`, which may be left out, so that a command may follow."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag as a completion knows it: `value` is what follows it, empty for none."""

    names: tuple[str, ...]
    help: str
    value: str


def script(shell: str) -> str:
    """The completion script of `bash`, `zsh` or `fish`; to be sourced."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _flags(of: Parser) -> list[Flag]:
    return [
        Flag(tuple(action.option_strings), str(action.help), str(action.metavar or ""))
        for action in of._actions
        if action.option_strings
    ]


def _bash() -> str:
    top, made = parser()
    every = [flag for of in (top, *made.values()) for flag in _flags(of)]
    words = "".join(
        f"        {name}) words='{' '.join([*COMMANDS[name].actions, *_names(_flags(of))])}' ;;\n"
        for name, of in made.items()
    )
    return _BASH.format(
        files="|".join(_names([flag for flag in every if flag.value in FILES])),
        valued="|".join(_names([flag for flag in every if flag.value and flag.value not in FILES])),
        commands=" ".join(made),
        flags=" ".join(_names(_flags(top))),
        words=words,
    )


def _names(flags: list[Flag]) -> list[str]:
    return list(dict.fromkeys(name for flag in flags for name in flag.names))


_BASH = """\
_pygent() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= words= i
    case $before in
        {files}) COMPREPLY=($(compgen -f -- "$word")); return ;;
        --resume) ;;
        {valued}) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            --resume) ;;
            {files}|{valued}) ((i++)) ;;
            -*) ;;
            *) command=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    case $command in
        '') words='{commands}' ;;
{words}    esac
    COMPREPLY=($(compgen -W "$words {flags}" -- "$word"))
}}
complete -o default -F _pygent pygent
"""


def _zsh() -> str:
    top, made = parser()
    cases = ""
    for name, of in made.items():
        actions = COMMANDS[name].actions
        first = [f"'1:action:({' '.join(actions)})'"] if actions else []
        specs = [*(_zsh_flag(flag) for flag in _flags(of)), *first, "'*:file:_files'"]
        cases += f"        {name}) _arguments -s $flags {' '.join(specs)} ;;\n"
    return _ZSH.format(
        flags="\n".join(f"        {_zsh_flag(flag)}" for flag in _flags(top) if "--help" not in flag.names),
        commands="\n".join(
            f"        {_zsh_quote(f'{name}:{word.summary}')}" for name, word in COMMANDS.items()
        ),
        cases=cases,
    )


def _zsh_flag(flag: Flag) -> str:
    """One `_arguments` spec for each name of a flag; those that may be repeated may always be."""
    value = ""
    if flag.value not in ("", OPTIONAL):
        value = f":{flag.value}:" + ("_files" if flag.value in FILES else "")
    text = flag.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    return " ".join(_zsh_quote(f"*{name}[{text}]{value}") for name in flag.names)


def _zsh_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_ZSH = """\
#compdef pygent
_pygent() {{
    local -a flags commands
    local state line
    flags=(
{flags}
    )
    commands=(
{commands}
    )
    _arguments -s -C $flags '1: :->command' '*:: :->arguments' && return
    case $state in
        command) _describe -t commands command commands ;;
        arguments) case $words[1] in
{cases}        esac ;;
    esac
}}
if [ "$funcstack[1]" = _pygent ]; then _pygent "$@"; else compdef _pygent pygent; fi
"""


def _fish() -> str:
    top, made = parser()
    lines = ["complete -c pygent -f"]
    lines += [f"complete -c pygent {_fish_flag(flag)}" for flag in _flags(top)]
    for name, word in COMMANDS.items():
        lines.append(f"complete -c pygent -n __fish_use_subcommand -a {name} -d {_fish_quote(word.summary)}")
    for name, of in made.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        lines += [
            f"complete -c pygent {seen} -a {action} -d {_fish_quote(meaning)}"
            for action, meaning in COMMANDS[name].actions.items()
        ]
        lines += [
            f"complete -c pygent {seen} {_fish_flag(flag)}"
            for flag in _flags(of)
            if "--help" not in flag.names
        ]
    return "\n".join(lines) + "\n"


def _fish_flag(flag: Flag) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    value = {"": "", OPTIONAL: "", **dict.fromkeys(FILES, " -r -F")}.get(flag.value, " -x")
    return f"{' '.join(names)}{value} -d {_fish_quote(flag.help)}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
