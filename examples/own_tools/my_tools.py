"""What pygent.toml beside this file loads: a tool for the model, and a command for the person."""

from pygent import tool
from pygent.commands import register_command


@tool
def ticket(number: int) -> dict[str, str]:
    """Look up a ticket of the tracker by its number."""
    return {"title": f"Ticket {number}", "state": "open"}


def show_ticket(agent, argument):
    """Show a ticket without asking the model."""
    print(ticket(int(argument)))


register_command("/ticket", show_ticket, usage="/ticket NUMBER")
