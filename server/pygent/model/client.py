"""A model behind an endpoint, whichever wire it speaks: attempts, what refusals teach, and what is known.

The openai SDK makes the request; the stream is read by our own fold, because the SDK takes a stream that
broke off for one that ended and builds an object for every token.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pygent.config import Settings
from pygent.errors import ContextOverflow, ModelError, PygentError
from pygent.events import Notice
from pygent.model import Answer, Listener, Model, Prompt, adapt, textcalls, windows
from pygent.model.chat import ChatWire
from pygent.model.connection import Connection, Endpoint, Status
from pygent.model.fold import Refused, Truncated
from pygent.model.memory import Memory
from pygent.model.reading import NoApi, Stalled, read
from pygent.model.refusals import final, parsed, redacted, refusal, said, shown, status_within, wait_of
from pygent.model.responses import ResponsesWire
from pygent.model.retries import Again, Attempts, Policy, Shown
from pygent.model.wires import Options, Wire

DEFAULT_BASE_URL = Settings().base_url
LESSONS = 8
"""How often one answer may teach something before the refusals count as failures."""


def preload() -> None:
    """Import the SDK, which takes half a second; to be called in a thread.

    The collector of garbage would look through its hundred thousand objects while they are made, and at
    each later pass make everybody wait for tens of milliseconds: they stay, so they are left to themselves.
    """
    if "openai" in sys.modules:
        return
    gc.disable()
    try:
        import httpx2  # noqa: F401, PLC0415
        import openai  # noqa: F401, PLC0415
    finally:
        gc.enable()
    gc.freeze()


def connection_settings(settings: Settings) -> tuple[object, ...]:
    """The settings that a connection is made of; where they change it must be made anew."""
    names = ("base_url", "api_key", "api", "ca_bundle", "answers")
    return (*(getattr(settings, name) for name in names), settings.limits.stall_timeout)


def open_model(settings: Settings, environ: Mapping[str, str], state: Path | None) -> Model:
    """The connection to the endpoint of the settings; `state` is where what is learnt of it is kept.

    Raises ModelError `noApiKey` where the address is OpenAI's own and there is no key; other addresses may
    be local servers that need none, and get the word `none` in its place.
    """
    if settings.api_key is None and settings.base_url.rstrip("/") == DEFAULT_BASE_URL:
        raise ModelError(
            "There is no API key.",
            "Set OPENAI_API_KEY in the environment or .env, or OPENAI_BASE_URL to a server that needs none.",
            code="noApiKey",
        )
    endpoint = Endpoint(
        settings.base_url,
        settings.api_key,
        bundle=settings.ca_bundle,
        stall=settings.limits.stall_timeout,
        environ=environ,
    )
    options = Options(settings.answers.max_tokens, settings.answers.reasoning_effort)
    wire = ResponsesWire(options) if settings.api == "responses" else ChatWire(options)
    return EndpointModel(endpoint, wire, Memory(state, settings.base_url))


class EndpointModel:
    """A `Model` behind an address."""

    def __init__(self, endpoint: Endpoint, wire: Wire, memory: Memory, policy: Policy | None = None) -> None:
        self._endpoint = endpoint
        self._wire = wire
        self._memory = memory
        self._policy = policy or Policy()
        self._connection = Connection(endpoint)
        self._asked: set[str] = set()

    async def answer(self, prompt: Prompt, listener: Listener) -> Answer:
        """Send the prompt and fold the streamed answer, as `Model.answer`."""
        learnt = dict(self._memory.of(prompt.model).learnt)
        attempts, shown_before = Attempts(self._policy, listener), Shown(listener)
        lessons: list[adapt.Lesson] = []
        while True:
            try:
                found = await self._attempt(prompt, learnt, shown_before.again())
                break
            except _Taught as taught:
                lesson = taught.lesson
                if len(lessons) == LESSONS:
                    raise taught.error from None
                lessons.append(lesson)
                learnt[lesson.name] = lesson.value
                listener.notice(self._taught(lesson))
            except Again as again:
                await attempts.pause(again)
            except ContextOverflow as error:
                if error.limit is not None:
                    self._memory.measure(prompt.model, error.limit, "a refusal")
                raise
        found = self._in_text(found, prompt, listener)
        self._memory.learn(prompt.model, _kept(learnt, lessons))
        if found.finish == "length" and not found.calls:
            listener.notice(Notice(level="warning", text=_CUT, code="length"))
        return found

    async def models(self) -> list[str]:
        """The ids of the models that the endpoint lists."""
        try:
            return sorted({entry["id"] for entry in await windows.listed(self._connection)})
        except Status as status:
            raise self._refusal(status.status, parsed(status.text), "") from None
        except Again as again:
            raise again.error from None
        except (ValueError, TypeError):
            message = f"{shown(self._endpoint.base_url)} does not list models as an API would."
            raise ModelError(message, "Check OPENAI_BASE_URL: it usually ends in /v1.") from None

    async def window(self, model: str) -> int | None:
        """The tokens that the model's context holds, as `Model.window`."""
        if model not in self._asked:
            self._asked.add(model)
            try:
                told = await windows.found(self._connection, model)
            except (PygentError, AttributeError, TypeError):
                told = None
            if told is not None:
                self._memory.measure(model, *told)
        return self._memory.of(model).window

    def adaptations(self, model: str) -> list[str]:
        """What was learnt about the endpoint with this model, a sentence each."""
        known = self._memory.of(model)
        found = [adapt.sentence(name, value) for name, value in sorted(known.learnt.items())]
        if known.window is not None:
            found.append(f"its context holds {known.window:,} tokens (from {known.source})")
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    # -- one attempt -----------------------------------------------------------------------------

    async def _attempt(self, prompt: Prompt, learnt: Mapping[str, str], listener: Listener) -> Answer:
        """One request.  Raises Again for what may pass, _Taught, ModelError for what won't."""
        fold = self._wire.fold(listener)
        sent = _Sent(prompt.model, self._wire.body(prompt, learnt), learnt)
        try:
            async with self._connection.post(self._wire.path, sent.body) as response:
                await read(response, fold, self._endpoint.stall)
            found = fold.answer()
        except Status as status:
            raise self._judged(status.status, status.headers, parsed(status.text), sent) from None
        except Refused as error:
            within = status_within(error.body)
            raise self._judged(within, {}, self._connection.clean(error.body), sent) from None
        except Truncated as error:
            raise self._connection.broken(error.reason, kind="empty" if error.empty else "") from None
        except NoApi as error:
            raise self._refusal(200, self._connection.clean(error.body), prompt.model) from None
        except Stalled:
            raise self._connection.stalled() from None
        if (problem := _unusable(found)) is not None:
            raise problem
        return found

    def _judged(self, status: int, headers: Mapping[str, str], body: Any, sent: _Sent) -> Exception:
        """What to raise for a refused request: _Taught, Again if it may pass, else the ModelError."""
        if 300 <= status < 400:
            address = shown(self._endpoint.base_url)
            return ModelError(f"{address} redirects elsewhere.", "Set OPENAI_BASE_URL to where it leads.")
        error = self._refusal(status, body, sent.model)
        if isinstance(error, ContextOverflow):
            return error
        words = said(body)
        if (lesson := adapt.lesson(status, words, sent.body, sent.learnt)) is not None:
            return _Taught(lesson, error)
        if final(status, body, headers):
            return error
        reason = f"{status}: {redacted(words, self._endpoint.key)}"[:200]
        return Again(reason, error, wait_of(headers, body))

    def _refusal(self, status: int, body: Any, model: str) -> ModelError:
        return refusal(status, body, base_url=self._endpoint.base_url, model=model, key=self._endpoint.key)

    # -- what is learnt --------------------------------------------------------------------------

    def _taught(self, lesson: adapt.Lesson) -> Notice:
        level = "warning" if lesson.name == "images" else "info"
        text = f"The model server at {shown(self._endpoint.base_url)}: {lesson.says}."
        return Notice(level=level, text=text, code="adapted")  # type: ignore[arg-type]

    def _in_text(self, found: Answer, prompt: Prompt, listener: Listener) -> Answer:
        """The answer with the calls that came as text; what only looks like one is explained."""
        if found.calls or not textcalls.written(found.text):
            return found
        calls = textcalls.found(found.text, textcalls.tool_names(prompt.tools))
        if calls is None:
            listener.notice(Notice(level="warning", text=_LOOKS_LIKE_CALL, code="textCall"))
            return found
        if "calls" not in self._memory.of(prompt.model).learnt:
            listener.notice(self._taught(adapt.Lesson("calls", "text", adapt.sentence("calls", "text"))))
            self._memory.learn(prompt.model, {"calls": "text"})
        return dataclasses.replace(found, text=calls[0], calls=calls[1])


_CUT = "The answer reached its token limit and is cut off."
_LOOKS_LIKE_CALL = (
    "The model seems to have written a tool call as text, which was not run: its server was not told how the "
    "model writes them (a chat template or tool parser is missing)."
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Sent:
    """A request as it was sent."""

    model: str
    body: bytes
    learnt: Mapping[str, str]


class _Taught(Exception):
    def __init__(self, lesson: adapt.Lesson, error: ModelError) -> None:
        super().__init__(lesson.says)
        self.lesson = lesson
        self.error = error


def _kept(learnt: Mapping[str, str], lessons: list[adapt.Lesson]) -> dict[str, str]:
    """What of this answer's lessons is worth keeping: those that led to an answer."""
    return {lesson.name: learnt[lesson.name] for lesson in lessons if lesson.kept}


def _unusable(found: Answer) -> Again | None:
    """The failure of an answer that says nothing, or that announces calls and has none."""
    if found.calls or (found.text and found.finish != "tool_calls"):
        return None
    if found.text and textcalls.written(found.text):
        return None
    if found.finish == "content_filter":
        error = ModelError("The server's content filter refused the answer.", "Say it differently.")
        return Again("the content filter refused the answer", error, 0.0, kind="empty", most=1)
    if found.finish == "length":
        error = ModelError(
            "The answer reached its token limit before it said anything.",
            "Raise answers.max_tokens, or the limit that the server has.",
        )
        return Again("the answer was cut", error, 0.0, kind="empty", most=1)
    reason = "it announced tool calls and sent none" if found.text else "the answer was empty"
    error = ModelError(f"The model failed twice: {reason}.", "Try again, or use another model.")
    return Again(reason, error, 0.0, kind="empty", most=2)
