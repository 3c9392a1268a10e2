"""What a person is shown before consent: the same words on a terminal, in a message and in a document."""

from __future__ import annotations

import msgspec

from pygent.records import Approval
from pygent.visible import visible

PLACES = {
    "docker": "Runs in Docker",
    "bubblewrap": "Runs in the bubblewrap sandbox",
    "landlock": "Runs in the Landlock sandbox",
}
_SPELT = "\\"
"""Kept in what was made visible, in which a backslash may begin what spells a character; older programs'
approvals, which were not, are shown safely too."""
NO_SANDBOX = "NO SANDBOX: this runs directly on your machine, with your rights"


def made_visible(approval: Approval) -> Approval:
    """The approval as people see it: every text but the command itself."""
    return msgspec.structs.replace(
        approval,
        title=visible(approval.title, keep=""),
        detail=visible(approval.detail),
        diff=None if approval.diff is None else visible(approval.diff),
        outside=[visible(path, keep="") for path in approval.outside],
        why=None if approval.why is None else visible(approval.why, keep=""),
    )


def title(approval: Approval) -> str:
    """What is asked for, on one line."""
    return visible(approval.title, keep=_SPELT)


def content(approval: Approval) -> str:
    """The whole of what would be done."""
    text = approval.diff or approval.detail or visible(approval.command or "")
    return visible(text, keep="\n\t" + _SPELT)


def facts(approval: Approval) -> list[str]:
    """Where and how it would be done, a line each; none for a short change that Pygent itself makes."""
    said = [_place(approval)] if approval.kind in ("command", "tool") else []
    if approval.outside and approval.isolation != "local":
        said.append(f"It can also change files outside of the workspace: {', '.join(approval.outside)}.")
    if approval.why:
        said.append(approval.why)
    if (lines := content(approval).rstrip("\n").count("\n") + 1) > 1:
        said.append(f"{lines} lines:")
    return said


def whole(approval: Approval) -> str:
    """All that a person has to read."""
    return "\n".join([title(approval), *facts(approval), "", content(approval)])


def _place(approval: Approval) -> str:
    parts = [PLACES.get(approval.isolation, NO_SANDBOX)]
    if approval.network is not None:
        parts.append("with network" if approval.network else "without network")
    if approval.background:
        parts.append("in the background, where it goes on after the answer")
    return ", ".join(parts) + "."
