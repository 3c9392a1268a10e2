"""The turn loop: ask the model, run the calls it asks for, until it is done.

A turn ends when the model answers without calls, calls `stop`, asks something that nobody can answer, or
hits a limit.  Cancelling is `CancelledError` from wherever the turn stands; nothing polls a flag.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.errors import PygentError, SandboxUnavailable, ToolError
from pygent.events import Emit, Message, ReasoningDelta, TextDelta, ToolFinished, ToolStarted, UsageReported
from pygent.lazily import lazily
from pygent.model import Answer, AskedCall, Listener, Model, Prompt
from pygent.records import NO_USAGE, Failure, Question, ToolCall, TurnStatus, Usage, new_id
from pygent.tools import Call, Declined, Result, Tool, ToolContext, TurnCancelled
from pygent.transcript import Transcript

REPEATS_TOLD, REPEATS_ENDED = 3, 5
"""After how many identical calls in a row, with identical results, the model is told and the turn ended."""


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
    own; `max_steps` counts model answers; `step_timeout` limits each of them, in seconds.  `hear` takes what
    was said since the last step into the conversation, and tells whether there was anything.
    """

    model: Model
    model_name: str
    system: bytes
    tools: dict[str, Tool]
    tools_json: bytes | None
    transcript: Transcript
    context: ToolContext
    emit: Emit
    max_steps: int
    step_timeout: float | None = None
    hear: Callable[[], bool] = lambda: False
    usage: Usage = NO_USAGE
    _last_call: tuple[str, str, str] = ("", "", "")
    _repeats: int = field(default=0)

    async def run(self) -> Ending:
        """Work until the turn ends.  Raises ModelError, StepTimedOut, SandboxUnavailable, CancelledError."""
        reply = ""
        for _ in range(self.max_steps):
            self.hear()
            answer, calls = await self._answer()
            reply = answer.text or reply
            if not calls and self.hear():
                continue  # somebody said something while the model answered
            if not calls:
                return Ending("completed", reply)
            try:
                results = await self._run_calls(calls, answer.calls)
            except TurnCancelled:
                return Ending("cancelled", reply)
            ending = next((result for result in results if result.ends is not None), None)
            if ending is not None and ending.ends is not None:
                return Ending(ending.ends, reply, question=ending.question)
            if self._repeats >= REPEATS_ENDED:
                return self._limit(reply, f"The model made the same call {self._repeats} times in a row.")
        return self._limit(reply, f"The turn reached its limit of {self.max_steps} steps.")

    def _limit(self, reply: str, message: str) -> Ending:
        fix = "Send a message to go on; limits.steps sets the number of steps."
        return Ending("limit", reply, error=Failure(code="limit", message=message, fix=fix))

    async def _answer(self) -> tuple[Answer, list[ToolCall]]:
        """The model's next answer, stored with its calls before any of them runs."""
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
        try:
            answer = await asyncio.wait_for(self.model.answer(prompt, listener), self.step_timeout)
        except BaseException as error:
            if said:  # what the person has read stays a part of the conversation
                self.emit(Message(item_id=item, role="assistant", text="".join(said)))
            if isinstance(error, asyncio.TimeoutError):
                raise StepTimedOut(self.step_timeout or 0) from None
            raise
        calls = [
            ToolCall(item_id=new_id("itm"), call_id=asked.call_id, name=asked.name, arguments=asked.arguments)
            for asked in answer.calls
        ]
        self.emit(
            Message(item_id=item, role="assistant", text=answer.text, tool_calls=calls, extra=answer.extra)
        )
        self._count(answer.usage)
        return answer, calls

    def _count(self, usage: Usage | None) -> None:
        if usage is None:
            return
        cached = (self.usage.cached_tokens or 0) + (usage.cached_tokens or 0)
        self.usage = Usage(
            prompt_tokens=self.usage.prompt_tokens + usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens + usage.completion_tokens,
            cached_tokens=cached or None,
            context_window=usage.context_window,
        )
        self.emit(UsageReported(**msgspec.structs.asdict(self.usage)))

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
            self._finish(call, Result("Cancelled by the person.", status="cancelled"), began)
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
        title = call.name if bound is None else bound.title()
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
        this = (call.name, call.arguments, result.output)
        self._repeats = self._repeats + 1 if this == self._last_call else 1
        self._last_call = this
        if self._repeats < REPEATS_TOLD or call.name == "task_status":
            self._repeats = 1 if call.name == "task_status" else self._repeats
            return result
        note = (
            f"[This is the same call with the same result {self._repeats} times in a row: try another way.]"
        )
        return replace(result, output=f"{result.output}\n{note}")


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
