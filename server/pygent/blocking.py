"""Asynchronous work for callers that block: one event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


class LoopThread:
    """An event loop that runs on a daemon thread until `stop`."""

    def __init__(self, name: str = "pygent") -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether nothing can be done here any more."""
        return self.loop.is_closed()

    def do(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do the work on the loop and return its value, or raise what it raises.

        Ctrl-C while it is waited for cancels the work.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def call(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a plain function on the loop's thread."""

        async def called() -> Value:
            return function(*arguments)

        return self.do(called())

    def stop(self) -> None:
        """End the thread and close the loop.  May be called twice."""
        if not self.stopped:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
