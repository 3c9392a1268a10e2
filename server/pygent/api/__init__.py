"""Pygent in your own program: asynchronous with typed events, or blocking.

async with AsyncPygent("my-project") as agent:
    async for event in agent.session().chat("What does this project do?"):
        ...

with Pygent("my-project") as agent:
    print(agent.ask("What does this project do?").reply)
"""

from pygent.api.asynchronous import AsyncPygent, Chat, ChatSession
from pygent.api.blocking import Pygent

__all__ = ["AsyncPygent", "Chat", "ChatSession", "Pygent"]
