"""The command line: the same core as the language server, from a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pygent`; returns the exit code.  `--version` answers before anything is imported."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-V"]):
        from pygent import __version__  # noqa: PLC0415 - the quick way out

        sys.stdout.write(f"pygent {__version__}\n")
        return 0
    from pygent.cli.start import start  # noqa: PLC0415 - everything else

    return start(arguments)
