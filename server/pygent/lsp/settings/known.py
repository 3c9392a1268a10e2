"""What the endpoint and the engine have on offer, as far as it is known: nobody waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pygent.errors import PygentError

if TYPE_CHECKING:
    from pygent.folder import Folder

FRESH = 60.0
"""Seconds for which a list counts as new."""


class Known:
    """The last known models and images; each look at an old list begins to fetch a new one."""

    def __init__(self) -> None:
        self._lists: dict[str, list[str]] = {}
        self._asked: dict[str, float] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    def models(self, folder: Folder) -> list[str] | None:
        """The models of a folder's endpoint; None while they are not known."""

        async def fetch() -> list[str]:
            return await (await folder.model()).models()

        return self._list(f"models of {folder.settings.base_url}", fetch)

    def images(self, folder: Folder) -> list[str] | None:
        """The images of the engine; None while they are not known."""
        from pygent.sandbox.engine import images  # noqa: PLC0415 - not before it is needed

        return self._list("images", lambda: asyncio.to_thread(images, folder.launch.environ))

    def _list(self, name: str, fetch: Callable[[], Awaitable[list[str]]]) -> list[str] | None:
        if time.monotonic() - self._asked.get(name, -FRESH) >= FRESH:
            self._asked[name] = time.monotonic()
            task = asyncio.ensure_future(self._fetch(name, fetch))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        return self._lists.get(name)

    async def _fetch(self, name: str, fetch: Callable[[], Awaitable[list[str]]]) -> None:
        try:
            self._lists[name] = await fetch()
        except (PygentError, OSError):
            self._asked.pop(name, None)  # may be there at the next look
