"""Streamed chat completions over any OpenAI-compatible server.

The openai SDK makes the request; the stream is read by our own fold, because the SDK takes a stream that
broke off for one that ended and builds an object for every token.  Retries are our own, so that they show.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from pygent.config import Settings
from pygent.errors import ModelError
from pygent.events import Notice
from pygent.model import Answer, Listener, Model, Prompt
from pygent.model.fold import Fold, Refused, Truncated
from pygent.model.refusals import RETRIED, parsed, redacted, refusal, said, wait_of
from pygent.model.sse import EventReader

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEFAULT_BASE_URL = Settings().base_url
STALL = 300.0
"""Seconds without a byte after which a stream is given up; local models may think long before the first."""
CONNECT = 10.0
ATTEMPTS = 6
EMPTY_ATTEMPTS = 2
LONGEST_WAIT = 60.0
DRAIN = 0.1
"""Seconds that the end of a body may take after the last event of the answer."""
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream, application/json",
}


def preload() -> None:
    """Import the SDK, which takes half a second; to be called in a thread."""
    import httpx2  # noqa: F401, PLC0415
    import openai  # noqa: F401, PLC0415


def open_model(settings: Settings) -> Model:
    """The connection to the endpoint of the settings.

    Raises ModelError `noApiKey` where the address is OpenAI's own and there is no key; other addresses may
    be local servers that need none, and get the word `none` in its place.
    """
    if settings.api_key is None and settings.base_url.rstrip("/") == DEFAULT_BASE_URL:
        raise ModelError(
            "There is no API key.",
            "Set OPENAI_API_KEY in the environment or .env, or OPENAI_BASE_URL to a server that needs none.",
            code="noApiKey",
        )
    return ChatModel(settings.base_url, settings.api_key)


@dataclass(frozen=True, slots=True)
class _Again:
    """A failure that may pass: why, how long to wait (None: our own pace), and the error if it does not."""

    reason: str
    error: ModelError
    wait: float | None = None


class ChatModel:
    """A `Model` behind an address.  `key` may be None."""

    def __init__(self, base_url: str, key: str | None) -> None:
        self._base_url = base_url
        self._key = key
        self._client: AsyncOpenAI | None = None
        self._left_out: set[str] = set()

    async def answer(self, prompt: Prompt, listener: Listener) -> Answer:
        """Send the prompt and fold the streamed answer, as `Model.answer`."""
        shown = _Shown(listener)
        empty = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = await self._attempt(prompt, shown.again())
            except _Retry as retry:
                again = retry.again
            else:
                if found.text or found.calls:
                    return found
                empty += 1
                again = _Again("the answer was empty", _empty(found), 0.0)
            if attempt == ATTEMPTS or empty == EMPTY_ATTEMPTS:
                raise again.error
            await self._pause(again, attempt, listener)
        raise AssertionError

    async def models(self) -> list[str]:
        """The ids of the models that the endpoint lists."""
        import openai  # noqa: PLC0415 - heavy

        try:
            page = await self._connected().models.list(timeout=15)
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, parsed(error.response.text), "") from error
        except openai.OpenAIError as error:
            raise self._unreachable(error) from error
        return sorted(model.id for model in page.data or ())

    async def window(self, model: str) -> int | None:
        """The tokens that the model's context holds, as `Model.window`."""
        return None

    def adaptations(self, model: str) -> list[str]:
        """What was learnt, as `Model.adaptations`."""
        return []

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # -- one attempt -----------------------------------------------------------------------------

    async def _attempt(self, prompt: Prompt, listener: Listener) -> Answer:
        """One request.  Raises _Retry for what may pass, ModelError for what won't."""
        fold = Fold(listener)
        try:
            async with self._response(prompt) as response:
                await _read(response, fold)
            return fold.answer()
        except Truncated:
            raise _Retry(self._broken("the answer broke off")) from None
        except Refused as error:
            problem = self._refusal(200, error.body, prompt.model)
            raise _Retry(_Again(said(error.body), problem)) from None

    @contextlib.asynccontextmanager
    async def _response(self, prompt: Prompt) -> AsyncIterator[Any]:
        import httpx2  # noqa: PLC0415 - heavy
        import openai  # noqa: PLC0415 - heavy

        response: Any = None
        try:
            response = await self._connected().post(
                "/chat/completions",
                content=self._body(prompt),
                cast_to=httpx2.Response,
                options={"headers": _HEADERS},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            yield response
        except openai.APIStatusError as error:
            await error.response.aread()
            self._judge(error.response, prompt)
        except openai.APITimeoutError as error:
            raise _Retry(self._broken("it did not answer in time")) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            raise _Retry(self._broken(f"the connection failed ({_plain(cause)})")) from error
        finally:
            if response is not None:
                await response.aclose()

    def _judge(self, response: Any, prompt: Prompt) -> None:
        """Raise for a refused request: _Retry if it may pass, also by leaving an optional field out."""
        status, body = response.status_code, parsed(response.text)
        words = said(body)
        error = self._refusal(status, body, prompt.model)
        if 300 <= status < 400:
            raise ModelError(
                f"{self._base_url} redirects elsewhere.", "Set OPENAI_BASE_URL to where it leads."
            )
        for name in ("stream_options", "reasoning_content"):
            if status in (400, 422) and name in words and name not in self._left_out:
                self._left_out.add(name)
                raise _Retry(_Again(f"the server does not take {name}", error, 0.0))
        wait = wait_of(response.headers)
        if status not in RETRIED or "insufficient_quota" in response.text:
            raise error
        if wait is not None and wait > LONGEST_WAIT:
            raise ModelError(error.message, f"The server asks to wait {wait:.0f} s.", status=status)
        raise _Retry(_Again(f"{status}: {redacted(words, self._key)}"[:200], error, wait))

    def _body(self, prompt: Prompt) -> bytes:
        messages = prompt.messages
        if "reasoning_content" in self._left_out:
            messages = [_without_reasoning(message) for message in messages]
        parts = [b'{"model":', msgspec.json.encode(prompt.model), b',"stream":true']
        if "stream_options" not in self._left_out:
            parts.append(b',"stream_options":{"include_usage":true}')
        if prompt.tools is not None:
            parts += [b',"tools":', prompt.tools]
        return b"".join([*parts, b',"messages":[', b",".join(messages), b"]}"])

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            import httpx2  # noqa: PLC0415 - heavy
            import openai  # noqa: PLC0415 - heavy

            address = urlsplit(self._base_url)
            loopback = address.hostname in ("localhost", "127.0.0.1", "::1")
            self._client = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._base_url,
                max_retries=0,
                # A redirect could carry the key and the conversation elsewhere.  Without TLS there is no
                # need to load certificates, and what is on this machine is not reached through a proxy.
                http_client=openai.DefaultAsyncHttpxClient(
                    follow_redirects=False,
                    timeout=httpx2.Timeout(STALL, connect=CONNECT),
                    verify=address.scheme != "http",
                    trust_env=not loopback,
                ),
            )
        return self._client

    # -- failures --------------------------------------------------------------------------------

    async def _pause(self, again: _Again, attempt: int, listener: Listener) -> None:
        pause = min(0.5 * 2 ** (attempt - 1), 20.0) * random.uniform(0.75, 1.25)
        wait = pause if again.wait is None else again.wait
        when = "at once" if wait == 0 else f"in {wait:.1f} s"
        text = f"Model: {again.reason}. Trying again {when} ({attempt} of {ATTEMPTS - 1})."
        listener.notice(Notice(level="warning", text=text, code="retry"))
        await asyncio.sleep(wait)

    def _refusal(self, status: int, body: Any, model: str) -> ModelError:
        return refusal(status, body, base_url=self._base_url, model=model, key=self._key)

    def _unreachable(self, error: BaseException) -> ModelError:
        words = redacted(_plain(error.__cause__ or error), self._key)
        return ModelError(
            f"The model server at {self._base_url} can't be reached: {words}.",
            "Check OPENAI_BASE_URL and the network.",
        )

    def _broken(self, what: str) -> _Again:
        message = f"The model server at {self._base_url} failed: {what}."
        return _Again(what, ModelError(message, "Send a message to try again; check OPENAI_BASE_URL."))


class _Retry(Exception):
    def __init__(self, again: _Again) -> None:
        super().__init__(again.reason)
        self.again = again


class _Shown:
    """Keeps what an attempt that failed has shown from being shown again by the next."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._shown = ""

    def again(self) -> Listener:
        """The listener of the next attempt."""
        before, said, out = self._shown, "", 0

        def text(piece: str) -> None:
            nonlocal said, out
            said += piece
            if before and len(said) <= len(before) and before.startswith(said):
                return
            if out == 0 and before:
                if said.startswith(before):
                    out = len(before)
                else:  # another answer: it begins on a line of its own
                    self._show("\n")
            self._show(said[out:])
            out = len(said)

        return Listener(text, self._listener.reasoning, self._listener.notice)

    def _show(self, text: str) -> None:
        self._shown += text
        self._listener.text(text)


async def _read(response: Any, fold: Fold) -> None:
    """Fold a response, a stream or a whole completion."""
    kind = response.headers.get("content-type", "")
    if "json" in kind and "event-stream" not in kind:
        fold.chunk(parsed((await response.aread()).decode("utf-8", "replace")))
        return
    reader = EventReader()
    html = b""
    pieces = response.aiter_bytes()
    async for data in pieces:
        html = html or data[:64]
        for name, lines in reader.feed(data):
            fold.event(name, lines)
        if fold.done:
            await _drain(pieces)
            return
    for name, lines in reader.finish():
        fold.event(name, lines)
    if html.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise Refused("the server answered an HTML page: check OPENAI_BASE_URL")


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, so that the next request finds the connection open.

    A server that does not end its answer is not waited for, and what fails now has no meaning any more.
    """
    import httpx2  # noqa: PLC0415 - heavy

    async def rest() -> None:
        async for _ in pieces:
            pass

    with contextlib.suppress(asyncio.TimeoutError, httpx2.HTTPError):
        await asyncio.wait_for(rest(), DRAIN)


def _without_reasoning(message: bytes) -> bytes:
    if b"reasoning_content" not in message:
        return message
    decoded = msgspec.json.decode(message)
    decoded.pop("reasoning_content", None)
    return msgspec.json.encode(decoded)


def _empty(found: Answer) -> ModelError:
    if found.finish == "content_filter":
        return ModelError("The server's content filter refused the answer.", "Say it differently.")
    return ModelError("The model gave an empty answer, twice.", "Try again, or use another model.")


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
