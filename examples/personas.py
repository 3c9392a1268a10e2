"""Give work to several background agents at once, each with a persona of its own.

python examples/personas.py [FOLDER]
"""

import sys

from pygent import Pygent
from pygent.records import Persona

CREW = [
    Persona(name="Tester", description="who writes the tests that are missing"),
    Persona(name="Reviewer", description="who reads code and says what is wrong with it; changes nothing"),
]


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    with Pygent(folder, confirm_bash=False) as agent:  # each works in a copy, in a sandbox of its own
        tasks = [agent.delegate(f"Do what you are good at, {who.name}.", persona=who) for who in CREW]
        for task in agent.wait(*(task.id for task in tasks)):
            print(f"{task.persona.name}: {task.status} after {task.steps} steps")
            print(agent.reply(task.id))


if __name__ == "__main__":
    main()
