"""Embed the agent in an asynchronous program: typed events while it works, consent by a function.

python examples/embedding.py [FOLDER] [REQUEST]
"""

import asyncio
import sys

from pygent import AsyncPygent
from pygent.events import ChangeMade, TextDelta, ToolStarted, TurnFinished
from pygent.records import Approval, Decision


async def approve(approval: Approval) -> bool | Decision:
    """Allow harmless commands; say no to the rest, and say why."""
    if approval.command and approval.command.split()[0] in ("ls", "cat", "python3", "pytest"):
        return True
    return Decision(decision="decline", feedback="Only ls, cat, python3 and pytest are allowed here.")


async def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    request = sys.argv[2] if len(sys.argv) > 2 else "Look around and say what this is."
    async with AsyncPygent(folder, approve=approve) as agent:
        async for event in agent.session().chat(request):
            match event:
                case TextDelta(text=text):
                    print(text, end="", flush=True)
                case ToolStarted(title=title):
                    print(f"\n· {title}")
                case ChangeMade(diff=diff):
                    print(diff)
                case TurnFinished(status=status, usage=usage):
                    print(f"\n[{status}, {usage.prompt_tokens} tokens read]")


if __name__ == "__main__":
    asyncio.run(main())
