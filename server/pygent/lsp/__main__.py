"""`python -m pygent.lsp`."""

import sys

if __name__ == "__main__":
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        # Python has put the current folder first, which may be anybody's: what comes from now on is not its.
        del sys.path[0]
    from pygent.lsp import main

    sys.exit(main())
