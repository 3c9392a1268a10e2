"""Tools that steer the turn itself: a plan, a question, the end."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from pygent.records import Question, new_id
from pygent.tools import Arguments, Result, ToolContext


class PlanStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a plan."""

    text: str
    status: Literal["pending", "running", "done"] = "pending"


class UpdatePlan(Arguments):
    """Show your plan for a task of several steps; call again with the whole plan when it changes."""

    name: ClassVar[str] = "update_plan"
    parallel: ClassVar[bool] = True
    steps: list[PlanStep]

    def title(self) -> str:
        """How far the plan is."""
        done = sum(step.status == "done" for step in self.steps)
        return f"Plan: {done} of {len(self.steps)} done"

    async def run(self, context: ToolContext) -> Result:
        """The plan as a list to tick off."""
        marks = {"pending": "[ ]", "running": "[~]", "done": "[x]"}
        return Result("\n".join(f"{marks[step.status]} {step.text}" for step in self.steps))


class AskUser(Arguments):
    """Ask the person when you can't go on without them; offer options where you can."""

    name: ClassVar[str] = "ask_user"
    prompt: str = "How shall I go on?"
    options: Annotated[list[str] | None, Meta(description="Answers to choose from.")] = None

    def title(self) -> str:
        """The question."""
        return f"Ask: {self.prompt}"

    async def run(self, context: ToolContext) -> Result:
        """Ask whoever is there; else the turn ends and the person's next message is the answer."""
        question = Question(
            id=new_id("apr"), session_id=context.session_id, prompt=self.prompt, options=self.options
        )
        answer = await context.ask(question)
        if answer is not None:
            return Result(f"The person answers: {answer}")
        return Result(f"Asked: {self.prompt}", ends="needsInput", question=question)


class Stop(Arguments):
    """End the turn when the work is done. Say what you did in text before or with this call."""

    name: ClassVar[str] = "stop"

    def title(self) -> str:
        """The end."""
        return "Finish"

    async def run(self, context: ToolContext) -> Result:
        """End the turn."""
        return Result("The turn ended.", ends="completed")


TOOLS = (UpdatePlan, AskUser, Stop)
