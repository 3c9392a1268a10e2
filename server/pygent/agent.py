"""The turn loop: ask the model, run the calls it asks for, until it is done.

A turn ends when the model answers without calls, calls `stop`, asks something that nobody can answer, or
hits a limit.  Cancelling is `CancelledError` from wherever the turn stands; nothing polls a flag.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pygent.budget import Budget, Clock
from pygent.compaction import Compaction
from pygent.errors import ContextOverflow, PygentError, SandboxUnavailable, ToolError
from pygent.events import Emit, Message, ReasoningDelta, TextDelta, ToolFinished, ToolStarted
from pygent.lazily import lazily
from pygent.model import Answer, AskedCall, Listener, Model, Prompt
from pygent.model.deadlines import within
from pygent.records import Approval, Decision, Failure, Question, ToolCall, TurnStatus, new_id
from pygent.repeats import PAUSED, TOLD, Repeats
from pygent.tools import Call, Declined, Result, Tool, ToolContext, TurnCancelled
from pygent.transcript import Transcript
from pygent.visible import visible

T = TypeVar("T")
OVERFLOWS = 2
"""How often in a row a prompt that was too long is made shorter and sent again."""
OUT_OF_TIME = "Ended: the turn's seconds are over.  It may have taken effect in part."


class StepTimedOut(PygentError):
    """A step of a task took longer than its `step_timeout` seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("limit", f"A step took longer than its {seconds:g} s.", "Raise PYGENT_STEP_TIMEOUT.")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended."""

    status: TurnStatus
    reply: str
    question: Question | None = None
    error: Failure | None = None


@dataclass(slots=True)
class Turn:
    """One turn of the agent.

    `transcript` must take in every event that `emit` is given; `context` is the template of each call's
    own; `step_timeout` limits each model answer and each summary, in seconds.  `hear` takes what was said
    since the last step into the conversation, and tells whether there was anything.
    """

    model: Model
    model_name: str
    system: bytes
    tools: Mapping[str, Tool]
    tools_json: bytes | None
    transcript: Transcript
    context: ToolContext
    emit: Emit
    budget: Budget
    compaction: Compaction
    step_timeout: float | None = None
    hear: Callable[[], bool] = lambda: False
    _reply: str = ""
    _repeats: Repeats = field(default_factory=Repeats)
    _most_repeats: int = 0
    _out_of_time: bool = False

    async def run(self) -> Ending:
        """Work until the turn ends.  Raises ModelError, StepTimedOut, SandboxUnavailable, CancelledError."""
        task = asyncio.current_task()

        def over() -> None:
            self._out_of_time = True
            if task is not None:
                task.cancel()

        clock = Clock(self.budget.limits.seconds, over)
        self.context = _timed(self.context, clock)
        clock.start()
        try:
            return await self._work()
        except asyncio.CancelledError:
            if not self._out_of_time:
                raise
            return Ending("limit", self._reply, error=self.budget.out_of_time())
        finally:
            clock.stop()

    async def _work(self) -> Ending:
        while (reached := self._reached()) is None:
            self.hear()
            answer, calls = await self._answer()
            self._reply = answer.text or self._reply
            if not calls and self.hear():
                continue  # somebody said something while the model answered
            if not calls:
                return Ending("completed", self._reply)
            try:
                results = await self._run_calls(calls, answer.calls)
            except TurnCancelled:
                return Ending("cancelled", self._reply)
            ending = next((result for result in results if result.ends is not None), None)
            if ending is not None and ending.ends is not None:
                return Ending(ending.ends, self._reply, question=ending.question)
        return Ending("limit", self._reply, error=reached)

    def _reached(self) -> Failure | None:
        """The limit that ends the turn here."""
        if self._out_of_time:
            return self.budget.out_of_time()
        if self._most_repeats >= PAUSED:
            message = f"The turn is paused: the model made the same call {self._most_repeats} times."
            return self.budget.paused(message)
        return self.budget.exceeded()

    async def _answer(self) -> tuple[Answer, list[ToolCall]]:
        """The model's next answer; the prompt is made shorter where it is, or turns out to be, too long."""
        await self._timely(self.compaction.before_step())
        for _ in range(OVERFLOWS):
            try:
                return await self._asked()
            except ContextOverflow as error:
                await self._timely(self.compaction.after_overflow(error))
        return await self._asked()

    async def _asked(self) -> tuple[Answer, list[ToolCall]]:
        """An answer, stored with its calls before any of them runs."""
        item = new_id("itm")
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            self.emit(TextDelta(item_id=item, text=text))

        listener = Listener(
            text=say,
            reasoning=lambda text: self.emit(ReasoningDelta(item_id=item, text=text)),
            notice=self.emit,
        )
        prompt = Prompt([self.system, *self.transcript.messages], self.tools_json, self.model_name)
        size = self.compaction.size
        try:
            answer = await self._timely(self.model.answer(prompt, listener))
        except BaseException:
            if said:  # what the person has read stays a part of the conversation
                self.emit(Message(item_id=item, role="assistant", text="".join(said)))
            raise
        calls = [
            ToolCall(item_id=new_id("itm"), call_id=asked.call_id, name=asked.name, arguments=asked.arguments)
            for asked in answer.calls
        ]
        self.emit(
            Message(item_id=item, role="assistant", text=answer.text, tool_calls=calls, extra=answer.extra)
        )
        self._count(answer, size)
        return answer, calls

    async def _timely(self, work: Coroutine[Any, Any, T]) -> T:
        """Work of the model within the time of a step.  Raises StepTimedOut."""
        try:
            return await within(self.step_timeout, work)
        except asyncio.TimeoutError:
            raise StepTimedOut(self.step_timeout or 0) from None

    def _count(self, answer: Answer, size: int) -> None:
        """Count an answer to a prompt of so many bytes."""
        self.budget.steps += 1
        if answer.usage is not None:
            self.compaction.meter.calibrate(size, answer.usage.prompt_tokens)
        spoken = answer.text + "".join(call.arguments for call in answer.calls)
        self.budget.spend(answer.usage, size, spoken, window=self.compaction.window, step=True)

    async def _run_calls(self, calls: list[ToolCall], asked: Sequence[AskedCall]) -> list[Result]:
        """Run the calls in order; neighbours that change nothing run at the same time."""
        results: list[Result] = []
        for parallel, group in groupby(zip(calls, asked, strict=True), lambda pair: self._parallel(pair[0])):
            runs = [self._run_call(call, origin.error) for call, origin in group]
            results += await _together(runs) if parallel else [await run for run in runs]
        return results

    def _parallel(self, call: ToolCall) -> bool:
        tool = self.tools.get(call.name)
        return tool is not None and tool.parallel

    async def _run_call(self, call: ToolCall, problem: str | None) -> Result:
        """Run one call and announce its one end."""
        began = time.monotonic()
        try:
            result = self._noticed(call, await self._result(call, problem))
        except Declined as error:
            result = Result(str(error), status="declined")
        except ToolError as error:
            result = self._noticed(call, Result(str(error), status="failed"))
        except SandboxUnavailable as error:
            self._finish(call, Result(error.message, status="failed"), began)
            raise
        except (TurnCancelled, asyncio.CancelledError):
            why = OUT_OF_TIME if self._out_of_time else "Cancelled by the person."
            self._finish(call, Result(why, status="cancelled"), began)
            raise
        self._finish(call, result, began)
        return result

    async def _result(self, call: ToolCall, problem: str | None) -> Result:
        arguments: dict[str, Any] = msgspec.json.decode(call.arguments)
        tool = self.tools.get(call.name)
        bound: Call | None = None
        if tool is None:
            problem = f"There is no tool {call.name}. There are: {', '.join(self.tools)}."
        elif problem is None:
            try:
                bound = tool.bind(arguments)
            except ToolError as error:
                problem = str(error)
        title = visible(call.name if bound is None else bound.title(), keep="")
        self.emit(ToolStarted(item_id=call.item_id, name=call.name, title=title, arguments=arguments))
        if bound is None or tool is None:
            raise ToolError(problem or "")
        if tool.changes:
            await self.context.checkpoint()
        return await bound.run(replace(self.context, item_id=call.item_id))

    def _finish(self, call: ToolCall, result: Result, began: float) -> None:
        self.emit(
            ToolFinished(
                item_id=call.item_id,
                status=result.status,
                output=result.output,
                exit_code=result.exit_code,
                truncated=result.truncated,
                image=result.image,
                duration_ms=round((time.monotonic() - began) * 1000),
            )
        )

    def _noticed(self, call: ToolCall, result: Result) -> Result:
        """Tell the model when it goes round in circles: the same call, the same result."""
        tool = self.tools.get(call.name)
        edits = tool is not None and tool.changes and call.name != "bash" and result.status == "completed"
        times = self._repeats.count(call.name, call.arguments, result.output, edits=edits)
        self._most_repeats = max(self._most_repeats, times)
        if times < TOLD:
            return result
        note = f"[You have made this call {times} times, always with the same result: try another way.]"
        return replace(result, output=f"{result.output}\n{note}")


def _timed(context: ToolContext, clock: Clock) -> ToolContext:
    """The context with a clock that stands still while a person is waited for."""

    async def approve(approval: Approval) -> Decision:
        with clock.waiting():
            return await context.approve(approval)

    async def ask(question: Question) -> str | None:
        with clock.waiting():
            return await context.ask(question)

    return replace(context, approve=approve, ask=ask)


async def _together(runs: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run all at the same time; if one fails or is cancelled the others are cancelled too."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


if not TYPE_CHECKING:  # Pygent 1.0 had these here
    _OLD = ("Agent", "build_system_msg", "set_system_message_builder")
    __getattr__ = lazily(__name__, dict.fromkeys(_OLD, "pygent.classic"))
