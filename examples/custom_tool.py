"""Give the agent tools of your own: plain functions, described by their names, types and docstrings.

python examples/custom_tool.py [FOLDER]
"""

import sys
from datetime import date

from pygent import Pygent
from pygent.tools.runtime import Runtime


def release_date(version: str) -> str:
    """Tell when a version was, or will be, released."""
    return {"1.0": "2025-06-01"}.get(version, date.today().isoformat())


def count_lines(rt: Runtime, pattern: str = "*.py") -> int:
    """Count the lines of the workspace's files that match a pattern."""
    # `rt` is the agent's workspace: its commands run in the sandbox, its paths can't leave the folder.
    found = rt.bash(f"find . -name '{pattern}' -type f -exec cat {{}} + | wc -l")
    return int(found.splitlines()[1])


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    with Pygent(folder, tools=[release_date, count_lines]) as agent:
        print(agent.ask("How many lines of Python are here, and when was 1.0 released?").reply)


if __name__ == "__main__":
    main()
