"""Delegate a testing task with the settings of a file.

    python examples/config_file_example.py [FOLDER]

needs OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs none.  The task works in a copy of the folder.
"""

import sys
from pathlib import Path

from pygent.api import Pygent

CONFIG = Path(__file__).with_name("sample_config.toml")


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    # Commands run unasked here because they run in the task's own sandbox and copy.
    with Pygent(folder, config=CONFIG, confirm_bash=False) as agent:
        print("Personas:", ", ".join(persona.name for persona in agent.personas()))
        task = agent.delegate("Run the tests of this project and say what fails.", persona="tester")
        print(f"{task.persona.name} works on {task.id} …")
        (task,) = agent.wait(task.id)
        print(f"{task.status} after {task.steps} steps: {agent.reply(task.id)}")
        return 0 if task.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
