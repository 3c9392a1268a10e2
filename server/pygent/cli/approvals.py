"""`pygent approvals`: what waits for a person's consent, in every process, and the answers to it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import msgspec

from pygent.app import App
from pygent.cli.console import Console
from pygent.cli.grammar import UsageError
from pygent.cli.lines import show_diff
from pygent.cli.place import opened
from pygent.errors import PygentError
from pygent.records import Approval, Decision, Verdict

WHERE = {
    "docker": "in Docker",
    "bubblewrap": "in the bubblewrap sandbox",
    "landlock": "in the Landlock sandbox",
    "local": "WITHOUT SANDBOX",
}


async def approvals(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent approvals` and its actions; 1 if somebody was faster.  Raises UsageError and PygentError."""
    async with opened(given, environ) as where:
        if given.action == "list":
            return _list(where.app, given, console)
        if not given.words:
            raise UsageError(f"approvals {given.action} needs the id of an approval")
        approval = _find(where.app, given.words[0])
        return _answer(where.app, approval, given, console)


def show_approval(console: Console, approval: Approval, *, said: bool = False) -> None:
    """What would be done, and where; `said` leaves out the command, which the lines above show."""
    where = f" ({WHERE[approval.isolation]})" if approval.command else ""
    console.say(f"? {approval.title}{where}", "yellow")
    if approval.diff:
        show_diff(console, approval.diff)
    elif not said:
        for line in (approval.command or approval.detail).split("\n"):
            console.say(f"  {line}")
    if approval.isolation == "local" and approval.command:
        console.say("  There is NO SANDBOX: this runs directly on your machine.", "red")


def _list(app: App, given: argparse.Namespace, console: Console) -> int:
    """Each with all that it would do: nobody should allow a line that was cut."""
    pending = app.approvals.pending()
    if given.json:
        console.json({"approvals": msgspec.to_builtins(pending)})
        return 0
    for approval in pending:
        console.answer(f"{approval.id}\n")
        show_approval(console, approval)
    if pending:
        console.say("Answer: pygent approvals allow ID, or: pygent approvals deny ID REASON", "dim")
    else:
        console.say("Nothing waits for you.", "dim")
    return 0


def _find(app: App, word: str) -> Approval:
    """An approval by its id or the end of it.  Raises PygentError `notFound`."""
    found = [one for one in app.approvals.pending() if one.id.endswith(word)]
    if len(found) != 1:
        how = "Several approvals end" if found else "No approval that waits ends"
        raise PygentError("notFound", f"{how} with {word!r}.", "List them: pygent approvals.")
    return found[0]


def _answer(app: App, approval: Approval, given: argparse.Namespace, console: Console) -> int:
    verdict: Verdict = "decline"
    if given.action == "allow":
        verdict = "acceptForSession" if given.for_session else "accept"
    decision = Decision(decision=verdict, feedback=" ".join(given.words[1:]) or None)
    resolved = app.approvals.respond(approval.id, decision, "cli")
    if given.json:
        console.json({"resolved": resolved})
    elif resolved:
        console.say("allowed" if given.action == "allow" else "denied", "dim")
    else:
        console.say("Somebody was faster, or the turn has ended.", "yellow")
    return 0 if resolved else 1
