"""What a person is shown before consent: the same words on a terminal, in a message and in a document."""

from __future__ import annotations

import msgspec

from pygent.records import Approval
from pygent.visible import visible

PLACES = {
    "docker": "in Docker",
    "bubblewrap": "in the bubblewrap sandbox",
    "landlock": "in the Landlock sandbox",
    "local": "WITHOUT SANDBOX",
}
_SPELT = "\\"
"""Kept in what was made visible, in which a backslash may begin what spells a character; older programs'
approvals, which were not, are shown safely too."""
NO_SANDBOX = "NO SANDBOX: this runs directly on your machine, with your rights."


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


def asked(approval: Approval) -> str:
    """What is asked for, on one line."""
    return visible(approval.title, keep=_SPELT)


def title(approval: Approval) -> str:
    """What is asked for, on one line, and where it would run."""
    return f"{asked(approval)} ({PLACES[approval.isolation]})" if _runs(approval) else asked(approval)


def content(approval: Approval) -> str:
    """The whole of what would be done."""
    text = approval.diff or approval.detail or visible(approval.command or "")
    return visible(text, keep="\n\t" + _SPELT)


def facts(approval: Approval) -> list[str]:
    """How it would be done, a line each; none for a short change that Pygent itself makes."""
    said = _reach(approval) if _runs(approval) else []
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


def _runs(approval: Approval) -> bool:
    """Whether a program runs, rather than that Pygent itself changes or shows a file."""
    return approval.kind in ("command", "tool")


def _reach(approval: Approval) -> list[str]:
    said = [NO_SANDBOX] if approval.isolation == "local" else []
    if approval.network is not None:
        said.append("With network." if approval.network else "Without network.")
    if approval.background:
        said.append("In the background: it goes on after the answer.")
    return said
