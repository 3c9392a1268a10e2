"""Let a model of your own answer: any object with a `chat` method, here one that needs no network.

python examples/custom_model.py
"""

from pygent import Agent, openai_compat


class Parrot:
    """Runs what it is told in the shell, then repeats what came of it."""

    def chat(self, messages, model, tools):
        last = messages[-1]
        if last["role"] == "tool":
            return openai_compat.Message(role="assistant", content=f"It says: {last['content']}")
        call = {
            "id": "1",
            "function": {"name": "bash", "arguments": '{"cmd": "echo hello from here"}'},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}


def main() -> None:
    agent = Agent(model=Parrot(), confirm_bash=False)
    try:
        last = agent.run_until_stop("say hello")
        print("Last message:", last.content)
    finally:
        agent.runtime.cleanup()


if __name__ == "__main__":
    main()
