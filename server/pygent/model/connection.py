"""The HTTP connection to one endpoint: requests, and what can go wrong before a server has spoken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pygent.errors import ModelError
from pygent.model import certificates, network
from pygent.model.deadlines import within
from pygent.model.refusals import redacted, shown
from pygent.model.retries import DROPPED, Again
from pygent.redaction import Redactor, without_userinfo

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

CONNECT = 10.0
"""Seconds for a connection."""
LOOK = 10.0
"""Seconds for a small question, such as which models there are."""
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream, application/json",
}


class Status(Exception):
    """The server answered another status than success."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        super().__init__(str(status))
        self.status = status
        self.headers = headers
        self.text = text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is and how to get there; `stall` is the seconds of silence that end an answer."""

    base_url: str
    key: str | None = None
    bundle: Path | None = None
    stall: float = 300.0
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def proxy(self) -> str | None:
        """The proxy on the way, if any."""
        return network.proxy_for(self.base_url, self.environ)


class Connection:
    """The connections to an endpoint, opened when they are needed and kept."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._served = False

    @contextlib.asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[Any]:
        """Send a request; the response streams.  Raises Status, Again, ModelError."""
        import httpx2  # noqa: PLC0415 - heavy
        import openai  # noqa: PLC0415 - heavy

        client, response = await self._open(), None
        try:
            sending: Coroutine[Any, Any, Any] = client.post(
                path,
                content=body,
                cast_to=httpx2.Response,
                options={"headers": _HEADERS},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            response = await within(self._patience, sending, httpx2.Response.aclose)
            self._served = True
            yield response
        except openai.APIStatusError as error:
            text = (await error.response.aread()).decode("utf-8", "replace")
            raise Status(error.status_code, error.response.headers, self.clean(text)) from None
        except asyncio.TimeoutError:
            raise self.stalled() from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise await self._failure(error, began=response is not None) from error
        finally:
            if response is not None:
                await response.aclose()

    async def ask(self, url: str, body: Any = None) -> Any:
        """The JSON that a GET, or with a body a POST, answers; the address may be whole or below the base.

        Raises Status, Again, ModelError; ValueError for what is no JSON.
        """
        import httpx2  # noqa: PLC0415 - heavy
        import openai  # noqa: PLC0415 - heavy

        client = await self._open()
        try:
            if body is None:
                found = await client.get(url, cast_to=httpx2.Response, options={"timeout": LOOK})
            else:
                found = await client.post(url, body=body, cast_to=httpx2.Response, options={"timeout": LOOK})
        except openai.APIStatusError as error:
            text = self.clean(error.response.text)
            raise Status(error.status_code, error.response.headers, text) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise await self._failure(error, began=False) from error
        return json.loads(found.content)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def _patience(self) -> float:
        """Seconds until an answer must have begun: to connect, to send, and to wait for it."""
        return self.endpoint.stall + 2 * min(CONNECT, self.endpoint.stall)

    # -- opening ---------------------------------------------------------------------------------

    async def _open(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                # Reading the system's certificates takes tens of milliseconds.
                self._client = await asyncio.to_thread(self._made)
        return self._client

    def _made(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - heavy

        return openai.AsyncOpenAI(
            api_key=self.endpoint.key or "none",
            base_url=self.endpoint.base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(**self._transport()),
        )

    def _transport(self, *, verify: bool = True) -> dict[str, Any]:
        """How to reach the endpoint.  A redirect could carry the key and the conversation elsewhere."""
        import httpx2  # noqa: PLC0415 - heavy

        endpoint, context = self.endpoint, certificates.unverified()
        if verify and (endpoint.base_url.startswith("https:") or (endpoint.proxy or "").startswith("https:")):
            context = network.tls(endpoint.environ, endpoint.bundle)
        return {
            "follow_redirects": False,
            "timeout": httpx2.Timeout(endpoint.stall, connect=min(CONNECT, endpoint.stall)),
            "verify": context,
            "proxy": None if endpoint.proxy is None else _proxy(endpoint.proxy, context),
            "trust_env": False,
        }

    # -- failures --------------------------------------------------------------------------------

    async def _failure(self, error: BaseException, *, began: bool) -> Exception:
        """What to raise for a request that found no server, or lost it."""
        import httpx2  # noqa: PLC0415 - heavy
        import openai  # noqa: PLC0415 - heavy

        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        cause = cause or error
        if (distrust := certificates.cause_of(cause)) is not None:
            return await self._distrusted(distrust.verify_message)
        if isinstance(cause, httpx2.ProxyError):
            return self._proxy_failed(self.plain(cause))
        if isinstance(cause, httpx2.ReadTimeout):
            return self.stalled()
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return self._unreached(self.plain(cause) or "no connection in time")
        kept = self._served and not began
        lost = f"the connection was lost ({self.plain(cause)})"
        return self.broken(lost, kind=DROPPED if kept else "")

    def broken(self, what: str, *, wait: float | None = None, kind: str = "", most: int = 99) -> Again:
        """A failure that may pass."""
        message = f"The model server at {shown(self.endpoint.base_url)} failed: {what}."
        error = ModelError(message, "Send a message to try again; check OPENAI_BASE_URL.")
        return Again(what, error, wait, kind=kind, most=most)

    def stalled(self) -> Again:
        """A failure of a server that has gone silent."""
        what = f"nothing came for {self.endpoint.stall:g} s"
        again = self.broken(what, kind="stall", most=3)
        again.error.fix = "Send a message to try again; limits.stall_timeout sets how long is waited."
        return again

    def _unreached(self, why: str) -> Again:
        way = f" through the proxy {shown(self.endpoint.proxy)}" if self.endpoint.proxy else ""
        message = f"The model server at {shown(self.endpoint.base_url)} can't be reached{way}: {why}."
        fix = "Check HTTPS_PROXY and NO_PROXY." if way else "Check OPENAI_BASE_URL, and that the server runs."
        return Again(f"the server can't be reached ({why})", ModelError(message, fix))

    def _proxy_failed(self, why: str) -> Exception:
        fix = "Check HTTPS_PROXY (http://name:password@host:port) and NO_PROXY."
        return ModelError(f"The proxy {shown(self.endpoint.proxy or '')} refused: {why}.", fix)

    async def _distrusted(self, why: str) -> ModelError:
        """The error for a certificate that is not believed; names the host and who issued it."""
        host = urlsplit(self.endpoint.base_url).hostname
        issuer = await self._issuer()
        by = f", issued by {issuer}," if issuer else ""
        return ModelError(
            f"The certificate{by} of {host} is not trusted: {why}.",
            "If the issuer is your company's or your own, set ca_bundle or SSL_CERT_FILE to its certificate.",
        )

    async def _issuer(self) -> str | None:
        """Look at the certificate again, sending neither the key nor the conversation."""
        import httpx2  # noqa: PLC0415 - heavy

        address = urlsplit(self.endpoint.base_url)
        try:
            transport = {**self._transport(verify=False), "timeout": LOOK}
            async with (
                httpx2.AsyncClient(**transport) as client,
                client.stream("HEAD", f"{address.scheme}://{address.netloc.rpartition('@')[2]}/") as response,
            ):
                tls = response.extensions["network_stream"].get_extra_info("ssl_object")
                return certificates.issuer(tls.getpeercert(binary_form=True) or b"")
        except (httpx2.HTTPError, KeyError, AttributeError):
            return None

    def clean(self, words: Any) -> Any:
        """A server's words, or its JSON, without the key: before anything is cut out of them."""
        return Redactor(self.endpoint.key, *network.proxy_passwords(self.endpoint.environ)).value(words)

    def plain(self, error: BaseException) -> str:
        """An error's words on one line, without the key."""
        words = redacted(self.clean(" ".join(str(error).split())), None)[:200] or type(error).__name__
        return words.rstrip(".")


def _proxy(url: str, context: ssl.SSLContext) -> httpx2.Proxy:
    """A proxy; its own certificate is judged like the server's.  Raises ModelError for an unknown kind."""
    import httpx2  # noqa: PLC0415 - heavy

    try:
        return httpx2.Proxy(url, ssl_context=context if url.startswith("https:") else None)
    except (ValueError, httpx2.InvalidURL) as error:
        raise ModelError(
            f"The proxy {shown(url)} can't be used: {without_userinfo(str(error))}.",
            "Set HTTPS_PROXY to an address that begins with http://, https:// or socks5://.",
            code="configInvalid",
        ) from error
