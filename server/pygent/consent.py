"""Asking people in the name of a session: consent, and answers to its agent's questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from pygent.approval_text import made_visible
from pygent.approvals import Approvals
from pygent.events import ApprovalRequested, ApprovalResolved, Client, QuestionAnswered, QuestionAsked
from pygent.journal import Journal
from pygent.records import Approval, Decision, Question
from pygent.redaction import Redactor
from pygent.visible import visible


class Consent:
    """What one session asks.

    `task` is its name where it is a task's, said with everything that is asked, so that people know who
    wants it.  `redactor` and `timeout` (seconds) are those of the settings in force; `show` is told whether
    the session waits for somebody.
    """

    def __init__(
        self,
        journal: Journal,
        approvals: Approvals,
        clients: Sequence[Client],
        *,
        task: str | None,
        redactor: Callable[[], Redactor],
        timeout: Callable[[], float],
        show: Callable[[Literal["waiting", "running"]], None],
    ) -> None:
        self._journal = journal
        self._approvals = approvals
        self._clients = clients
        self._task = task
        self._redactor = redactor
        self._timeout = timeout
        self._show = show
        self._granted: set[tuple[object, ...]] = set()
        self._boundary: tuple[object, ...] | None = None
        """What the last command was asked for, on which every grant depends."""

    async def approve(self, approval: Approval) -> Decision:
        """A person's decision, asked for unless it was given for the whole session."""
        self._drop_grants(approval)
        grant = _grant(approval)
        if grant in self._granted:
            return Decision(decision="accept")
        approval = msgspec.structs.replace(approval, title=self._labelled(approval.title))
        approval = self._redactor().record(made_visible(self._redactor().record(approval)))
        self._journal.emit(ApprovalRequested(approval=approval))
        self._show("waiting")
        decision, by = Decision(decision="cancel"), "the turn's end"
        try:
            decision, by = await self._approvals.request(approval, list(self._clients), self._timeout())
        finally:
            self._show("running")
            self._journal.emit(
                ApprovalResolved(
                    approval_id=approval.id, decision=decision.decision, by=by, feedback=decision.feedback
                )
            )
        if decision.decision == "acceptForSession":
            self._granted.add(grant)
        return decision

    def _drop_grants(self, approval: Approval) -> None:
        """Forget what was granted where commands run with another isolation, network or reach by now."""
        if approval.kind == "command":
            boundary = _boundary(approval)
            if self._boundary not in (None, boundary):
                self._granted.clear()
            self._boundary = boundary

    async def ask(self, question: Question) -> str | None:
        """A person's answer; None if nobody can be asked, or nobody answers in time."""
        question = msgspec.structs.replace(question, prompt=visible(self._labelled(question.prompt)))
        question = self._redactor().record(question)
        self._journal.emit(QuestionAsked(question=question))
        self._show("waiting")
        try:
            answer = await self._approvals.ask(question, list(self._clients), self._timeout())
        finally:
            self._show("running")
        if answer is not None:
            self._journal.emit(QuestionAnswered(question_id=question.id, answer=answer))
        return answer

    def _labelled(self, asked: str) -> str:
        return asked if self._task is None else f"[Task: {self._task}] {asked}"


def _boundary(approval: Approval) -> tuple[object, ...]:
    return (approval.isolation, approval.network, *approval.outside)


def _grant(approval: Approval) -> tuple[object, ...]:
    """What consent for the session covers: all edits, else exactly this, under the same conditions."""
    if approval.kind == "edit":
        return ("edit",)
    what = approval.detail if approval.command is None else approval.command
    return (approval.kind, approval.title, what, approval.diff, approval.background, *_boundary(approval))
