"""`python -m pygent.cli`."""

import sys

from pygent.cli import main

if __name__ == "__main__":
    sys.exit(main())
