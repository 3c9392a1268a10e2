"""What can be done in a conversation document, as code lenses and as code actions of the same titles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pygent.errors import PygentError
from pygent.lsp.conversations.markdown import one_line
from pygent.lsp.conversations.page import Page
from pygent.lsp.conversations.rendering import lines_of
from pygent.lsp.conversations.sending import changed_sections

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer
    from pygent.session import Session

TIDY = "Remove misplaced words"
DECISIONS = {"Allow": "accept", "Allow for session": "acceptForSession", "Deny": "decline"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to do: a command for the lines from `line` to `end`; everywhere if it is `pressing`."""

    title: str
    command: str
    arguments: dict[str, Any]
    line: int
    end: int
    pressing: bool = False

    def as_command(self) -> dict[str, Any]:
        """The command of the protocol."""
        return {"title": self.title, "command": self.command, "arguments": [self.arguments]}


def choices(server: PygentServer, page: Page) -> list[Choice]:
    """All that can be done now."""
    found = _approvals(page)
    if page.writer.astray:
        found.append(Choice(TIDY, "pygent.conversation.tidy", {"uri": page.uri}, 0, 0, pressing=True))
    if page.running:
        line = page.line_of_answer()
        found.append(Choice("Stop", "pygent.conversation.stop", {"uri": page.uri}, line, line, pressing=True))
    document = page.document
    last = document.sections[-1]
    if last.who == "You" and not page.is_sent(last) and (last.text or not page.running):
        end = page.writer.text.count("\n")
        found += _options(page, last.line)
        found.append(
            Choice("Send", "pygent.conversation.send", {"uri": page.uri}, last.line, end, pressing=True)
        )
    for section in changed_sections(page, _session(server, page)):
        if section.line != last.line:
            arguments = {"uri": page.uri, "line": section.line}
            end = section.line + 1 + section.text.count("\n") + 1
            found.append(Choice("Send from here", "pygent.conversation.send", arguments, section.line, end))
    return found


def _session(server: PygentServer, page: Page) -> Session | None:
    """The session of a document; one that is not there is told of when something is sent."""
    try:
        return server.conversations.session_of(page)
    except PygentError:
        return None


def _approvals(page: Page) -> list[Choice]:
    """The answers to what waits for consent, at its block; elsewhere those of the oldest."""
    found = []
    for number, (approval_id, approval) in enumerate(page.approvals.items()):
        line = page.line_of(approval_id)
        end = line + lines_of(approval) - 1
        for title, decision in DECISIONS.items():
            arguments = {"approvalId": approval_id, "decision": decision}
            found.append(Choice(title, "pygent.approval.respond", arguments, line, end, pressing=number == 0))
    return found


def _options(page: Page, line: int) -> list[Choice]:
    """The answers to choose from where the agent asked; any other is written and sent."""
    options = (page.question.options if page.question else None) or []
    return [
        Choice(
            one_line(option, 80),
            "pygent.conversation.answer",
            {"uri": page.uri, "text": option},
            line,
            line,
            pressing=True,
        )
        for option in options
    ]


def in_range(found: list[Choice], first: int, last: int) -> list[Choice]:
    """The choices for some lines; what is pressing everywhere, unless it stands here for another."""
    here = [one for one in found if one.line <= last and one.end >= first]
    titles = {one.title for one in here}
    return here + [one for one in found if one.pressing and one not in here and one.title not in titles]
