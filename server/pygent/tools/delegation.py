"""Delegation: background agents for the main agent.  Tasks themselves have none of these tools."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from pygent.errors import PygentError, ToolError
from pygent.prompts import LONGEST_DESCRIPTION, LONGEST_NAME, quoted
from pygent.records import Persona, Task
from pygent.tasks import Delegation
from pygent.tools import Arguments, Result, ToolContext

Files = Annotated[list[str] | None, Meta(description="The only files it gets; all of them if left out.")]
Seconds = Annotated[float | None, Meta(description="Seconds.")]
TaskId = Annotated[str, Meta(description="As delegate_task gave it.")]


class DelegateTask(Arguments):
    """Give a self-contained piece of work to a background agent, which works in its own copy of the
    workspace. Returns a task id at once; then use task_status and collect_file.
    """

    name: ClassVar[str] = "delegate_task"
    delegates: ClassVar[bool] = True
    prompt: Annotated[str, Meta(description="All the agent needs to know; it sees nothing else.")]
    files: Files = None
    persona: str | None = None
    timeout: Seconds = None
    step_timeout: Seconds = None

    def title(self) -> str:
        """The work, in short."""
        return f"Delegate: {' '.join(self.prompt.split())[:80]}"

    async def run(self, context: ToolContext) -> Result:
        """Queue the task."""
        task = await _delegation(context).delegate(
            self.prompt,
            persona=self.persona,
            files=self.files or (),
            timeout=self.timeout,
            step_timeout=self.step_timeout,
        )
        return Result(f"Delegated as {task.id} to {task.persona.name}.")


class DelegatePersonaTask(DelegateTask, kw_only=True):
    """As delegate_task, to a persona of list_personas."""

    name: ClassVar[str] = "delegate_persona_task"
    persona: str


class ListPersonas(Arguments):
    """List the personas that tasks can be given to."""

    name: ClassVar[str] = "list_personas"
    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = True

    async def run(self, context: ToolContext) -> Result:
        """List them."""
        lines = [_listed(persona) for persona in context.personas()]
        return Result("\n".join(lines) or "There are none; delegate_task works without.")


def _listed(persona: Persona) -> str:
    if not persona.unconfirmed:
        return f"{persona.name}: {persona.description}"
    name, words = quoted(persona.name, LONGEST_NAME), quoted(persona.description, LONGEST_DESCRIPTION)
    return f"{name}, which the workspace's files describe, unconfirmed by the person: {words}"


class TaskStatusOf(Arguments):
    """See how a task is doing and, once it ended, what it says and which files it changed."""

    name: ClassVar[str] = "task_status"
    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = True
    task_id: TaskId
    wait: Annotated[float, Meta(description="Seconds to wait for its end, at most 600.")] = 0

    def title(self) -> str:
        """The task."""
        return f"Check {self.task_id}"

    async def run(self, context: ToolContext) -> Result:
        """Look, after waiting if asked."""
        delegation = _delegation(context)
        try:
            if self.wait > 0:
                await delegation.wait([self.task_id], min(self.wait, 600.0))
            task, reply = delegation.task(self.task_id), delegation.reply(self.task_id)
        except PygentError as error:
            raise ToolError(error.message) from error
        return Result(_state(task, reply))


class CollectFile(Arguments):
    """Copy a file or folder out of a task's workspace into yours."""

    name: ClassVar[str] = "collect_file"
    changes: ClassVar[bool] = True
    delegates: ClassVar[bool] = True
    task_id: TaskId
    path: Annotated[str, Meta(description="In the task's workspace.")]
    dest: Annotated[str | None, Meta(description="In yours; the same path if left out.")] = None

    def title(self) -> str:
        """The file and the task."""
        return f"Collect {self.path} from {self.task_id}"

    async def run(self, context: ToolContext) -> Result:
        """Copy, asking first where edits are asked for."""
        if context.settings.confirm_edits:
            detail = f"{self.path} of {self.task_id} to {self.dest or self.path}"
            await context.confirm(kind="edit", title="Collect a task's file", detail=detail)
        try:
            collected = _delegation(context).collect(self.task_id, self.path, self.dest)
        except PygentError as error:
            raise ToolError(error.message) from error
        for name in collected:
            context.changed(context.workspace.resolve(name), "created", "")
        return Result("Collected " + ", ".join(collected))


def _delegation(context: ToolContext) -> Delegation:
    if context.delegation is None:
        raise ToolError("A delegated task can't delegate further.")
    return context.delegation


def _state(task: Task, reply: str) -> str:
    lines = [f"{task.id} is {task.status} after {task.steps} steps."]
    if task.waiting_for:
        lines.append(f"It waits for: {task.waiting_for}")
    if task.error:
        lines.append(f"Error: {task.error.message}")
    if task.changed_files:
        lines.append("Changed: " + ", ".join(task.changed_files))
    return "\n".join([*lines, reply] if reply else lines)


TOOLS = (DelegateTask, DelegatePersonaTask, ListPersonas, TaskStatusOf, CollectFile)
