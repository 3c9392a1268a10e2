"""The tasks of one session, as its agent's delegation tools see them."""

from __future__ import annotations

from collections.abc import Sequence

from pygent.delegation import DelegateRequest, Tasks
from pygent.errors import PygentError
from pygent.folder import Folder
from pygent.records import Task


class SessionTasks:
    """What the delegation tools of one session may do (`tasks.Delegation`): only its own tasks."""

    def __init__(self, tasks: Tasks, session_id: str, folder: Folder) -> None:
        self._tasks = tasks
        self._session_id = session_id
        self._folder = folder

    async def delegate(
        self,
        prompt: str,
        *,
        persona: str | None,
        files: Sequence[str],
        timeout: float | None,
        step_timeout: float | None,
    ) -> Task:
        """Queue a task of this session."""
        return await self._tasks.delegate(
            DelegateRequest(
                prompt,
                self._folder,
                persona=persona,
                files=files,
                session_id=self._session_id,
                timeout=timeout,
                step_timeout=step_timeout,
            )
        )

    async def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Task]:
        """Wait for tasks of this session."""
        for task_id in task_ids:
            self.task(task_id)
        return await self._tasks.wait(task_ids, timeout)

    def task(self, task_id: str) -> Task:
        """A task of this session."""
        task = self._tasks.get(task_id)
        if task.parent_session_id != self._session_id:
            raise PygentError("notFound", f"There is no task {task_id} of this session.")
        return task

    def reply(self, task_id: str) -> str:
        """What the task's agent said last."""
        return self._tasks.results.reply(self.task(task_id).id)

    def collect(self, task_id: str, path: str, dest: str | None) -> list[str]:
        """Copy from a task of this session."""
        return self._tasks.results.collect(self.task(task_id).id, path, dest, self._folder)
