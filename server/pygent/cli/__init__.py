"""The command line: the same core as the language server, from a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def run_interactive(
    use_docker: bool | None = None,
    workspace_name: str | None = None,
    disabled_tools: Sequence[str] = (),
    confirm_bash: bool | None = None,
    banned_commands: Sequence[str] = (),
) -> None:
    """Start an interactive session on the terminal, as Pygent 1.0 has it; returns when the person leaves."""
    switches = {"docker": use_docker, "confirm-bash": confirm_bash}
    arguments = [f"--{'' if on else 'no-'}{name}" for name, on in switches.items() if on is not None]
    arguments += [] if workspace_name is None else ["--workspace", workspace_name]
    arguments += [part for name in disabled_tools for part in ("--omit-tool", name)]
    arguments += [part for name in banned_commands for part in ("--ban-cmd", name)]
    main(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pygent`; returns the exit code.  `--version` answers before anything is imported."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-V"]):
        from pygent import __version__  # noqa: PLC0415 - the quick way out

        sys.stdout.write(f"pygent {__version__}\n")
        return 0
    from pygent.cli.start import start  # noqa: PLC0415 - everything else

    return start(arguments)
