"""Give work away, look at what came of it, and take it over if you like it.

python examples/delegate_and_apply.py [FOLDER] [WORK]
"""

import sys

from pygent import Pygent


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    work = sys.argv[2] if len(sys.argv) > 2 else "Write a README.md for this project."
    with Pygent(folder, confirm_bash=False) as agent:
        task = agent.delegate(work)
        (task,) = agent.wait(task.id)
        print(agent.diff(task.id) or "It changed nothing.")
        if task.status != "completed" or input("Take it over? [y/N] ").lower() != "y":
            return 1
        taken = agent.apply(task.id)  # merged three ways: what you changed meanwhile is kept
        print("Taken over:", ", ".join(taken.applied) or "nothing")
        for conflict in taken.conflicts:
            print(f"Left alone: {conflict.path}: {conflict.reason}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
