"""The language server: `pygent-server`.  The only importer of pygls and lsprotocol."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the client leaves; returns the exit code of the LSP specification."""
    from pygent.lsp.serve import serve  # noqa: PLC0415 - importing the package starts nothing

    return serve(argv)
