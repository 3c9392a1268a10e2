"""`pygent approvals`: what waits for a person's consent, in every process, and the answers to it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import msgspec

from pygent.app import App
from pygent.cli.asking import show_approval
from pygent.cli.console import Console
from pygent.cli.grammar import UsageError
from pygent.cli.place import opened
from pygent.errors import PygentError
from pygent.records import Approval, Decision, Verdict

SHORTEST_END = 6
"""Characters that name an approval by the end of its id at the least."""


async def approvals(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent approvals` and its actions; 1 if somebody was faster.  Raises UsageError and PygentError."""
    async with opened(given, environ) as where:
        if given.action == "list":
            return _list(where.app, given, console)
        if not given.words:
            raise UsageError(f"approvals {given.action} needs the id of an approval")
        approval = _find(where.app, given.words[0])
        return _answer(where.app, approval, given, console)


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
    """An approval by its id or the end of it.  Raises UsageError, and PygentError `notFound`."""
    if len(word) < SHORTEST_END:
        raise UsageError(f"{word!r} is too short: give at least the last {SHORTEST_END} characters of the id")
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
