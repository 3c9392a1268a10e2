"""`python -m pygent.lsp`."""

import sys

from pygent.lsp import main

if __name__ == "__main__":
    sys.exit(main())
