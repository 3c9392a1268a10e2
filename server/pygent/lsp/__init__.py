"""The language server: `pygent-server`.  The only importer of pygls and lsprotocol."""

from __future__ import annotations

import gc
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the client leaves; returns the exit code of the LSP specification."""
    # The types of the protocol are thousands of objects that stay: looking for garbage among them again and
    # again, while they are made and ever after, costs a tenth of the start.
    usual = gc.get_threshold()
    gc.set_threshold(5000, 10, 1000)
    from pygent.lsp.serve import serve  # noqa: PLC0415 - importing the package starts nothing

    gc.freeze()
    gc.set_threshold(*usual)
    return serve(argv)
