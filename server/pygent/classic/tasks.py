"""`TaskManager`: delegated tasks of the core, started and followed by a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pygent import records
from pygent.app import App
from pygent.classic.agent import Agent
from pygent.classic.persona import Persona
from pygent.classic.runtime import Runtime
from pygent.delegation import DelegateRequest
from pygent.equipment import Custom
from pygent.errors import PygentError
from pygent.records import Task
from pygent.tasks import pick_persona

STATUS = {"queued": "running", "waiting": "running", "completed": "finished"}
"""Pygent 1.0's words for the states of a task, where they differ."""


class TaskManager:
    """Starts agents in the background.

    `agent_factory(persona)` makes agents whose model, system message and tools the tasks use; `max_tasks`
    run at once, further ones wait; `personas` are given tasks in turn.  What is left out comes from the
    settings.
    """

    def __init__(
        self,
        agent_factory: Callable[..., Agent] | None = None,
        max_tasks: int | None = None,
        personas: Sequence[Persona] | None = None,
    ) -> None:
        self.agent_factory = agent_factory
        self.max_tasks = max_tasks
        self.personas = list(personas or ())
        self._apps: dict[str, Runtime] = {}
        self._customs: dict[str, Custom] = {}

    def start_task(
        self,
        prompt: str,
        parent_rt: Runtime,
        files: Sequence[str] | None = None,
        parent_depth: int = 0,
        step_timeout: float | None = None,
        task_timeout: float | None = None,
        persona: Persona | str | None = None,
    ) -> str:
        """Give work to a new agent, which gets `files` of the runtime's workspace; returns its id at once.

        Without a `persona` they take turns.  The limits of time are in seconds.  Raises RuntimeError inside
        of a task (`parent_depth` 1), and PygentError for a file that is not there.
        """
        if parent_depth >= 1:
            raise RuntimeError("nested delegation is not allowed")
        if self.max_tasks is not None:
            parent_rt.configure(max_tasks=self.max_tasks)
        chosen = self._persona(persona, parent_rt)
        request = DelegateRequest(
            prompt,
            parent_rt.folder,
            persona=chosen,
            files=tuple(files or ()),
            isolation="files",
            timeout=task_timeout,
            step_timeout=step_timeout,
        )
        task = parent_rt.do(self._delegate(parent_rt.app, request, self._custom(chosen)))
        self._apps[task.id] = parent_rt
        return task.id

    def status(self, task_id: str) -> str:
        """`running`, `finished`, `cancelled`, `interrupted`, or a sentence on what went wrong."""
        runtime = self._apps.get(task_id)
        return f"Task {task_id} not found" if runtime is None else _status(self._task(runtime, task_id))

    def list_tasks(self) -> dict[str, dict[str, str]]:
        """The persona and status of every task by its id."""
        tasks = [self._task(runtime, task_id) for task_id, runtime in self._apps.items()]
        return {task.id: {"persona": task.persona.name, "status": _status(task)} for task in tasks}

    def collect_file(self, rt: Runtime, task_id: str, path: str, dest: str | None = None) -> str:
        """Copy a file or folder of a task's workspace into the runtime's; says what was done."""
        runtime = self._apps.get(task_id)
        if runtime is None:
            return f"Task {task_id} not found"
        results = runtime.app.tasks.results
        try:
            runtime.call(lambda: results.collect(task_id, path, dest, rt.folder))
        except PygentError as error:
            if error.code == "notFound":
                return f"file {path} not found"
            raise
        return f"Retrieved {dest or path}"

    def _task(self, runtime: Runtime, task_id: str) -> Task:
        return runtime.call(lambda: runtime.app.tasks.get(task_id))

    def _persona(self, persona: Persona | str | None, runtime: Runtime) -> records.Persona | None:
        """Who gets the task; a name that is not known is a new persona, as in Pygent 1.0."""
        if isinstance(persona, Persona):
            return persona.record()
        known = [one.record() for one in self.personas] or list(runtime.folder.settings.task_personas)
        if persona is None:
            return pick_persona(known, None, len(self._apps))
        named = (one for one in known if one.name == persona)
        return next(named, records.Persona(name=persona, description=""))

    def _custom(self, persona: records.Persona | None) -> Custom | None:
        """What the factory's agents put in the place of a session's own."""
        if self.agent_factory is None:
            return None
        given = None if persona is None else Persona(persona.name, persona.description)
        try:
            agent = self.agent_factory(given)
        except TypeError:
            agent = self.agent_factory()
        custom = agent.custom()
        agent.runtime.cleanup()
        return custom

    async def _delegate(self, app: App, request: DelegateRequest, custom: Custom | None) -> Task:
        app.sessions.custom = lambda info: self._customs.get(info.id, Custom())
        task = await app.tasks.delegate(request)
        if custom is not None:  # its session is opened later, when the task's turn comes
            self._customs[task.session_id] = custom
        return task


def _status(task: Task) -> str:
    if task.status == "failed" and task.error is not None:
        return f"error: {task.error.message}"
    if task.status == "timedOut":
        return f"timeout after {task.timeout:g}s" if task.timeout else "timeout"
    return STATUS.get(task.status, task.status)


def register_task_tools(*_: Any) -> None:
    """Nothing to do: every agent that is no task itself can delegate."""
