"""How many requests are let in, and in which order they are computed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from ieast.service.limits import Limits, RefusalError
from ieast.service.metrics import Measures

T = TypeVar("T")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Gate:
    """Lets in as many requests as can be read and wait, and computes them one after another on a few threads."""

    def __init__(self, limits: Limits, measures: Measures) -> None:
        """Open for `limits.workers` and `limits.waiting` requests."""
        self.limits, self.measures = limits, measures
        self.admitted = 0
        self.usual = 1.0  # seconds that a picture takes, for the advice when to come again
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="painter")

    @property
    def full(self) -> bool:
        """Whether the next request is refused."""
        return self.admitted >= self.limits.workers + self.limits.waiting

    @contextmanager
    def admit(self) -> Iterator[None]:
        """A place for one request.

        Raises:
            RefusalError: There is none.
        """
        if self.full:
            wait = max(1, round(self.usual * self.admitted / self.limits.workers))
            raise RefusalError(
                429,
                f"All {self.admitted} places are taken just now. Come again in about {wait} s.",
                {"Retry-After": str(wait)},
            )
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def compute(self, work: Callable[[], T], gone: Callable[[], Awaitable[None]]) -> tuple[T, float]:
        """What `work` returns, on one of the threads, and the seconds that it waited for one.

        If this is cancelled, or `gone` returns first, work that has not begun is dropped. What has begun cannot be stopped: it
        keeps its place until it ends, so that there are never more at once than were let in.

        Raises:
            ClientGoneError: `gone` returned first.
        """
        loop = asyncio.get_running_loop()
        asked = time.perf_counter()
        began = asked

        def timed() -> T:
            nonlocal began
            began = time.perf_counter()
            try:
                return work()
            finally:
                self.usual += 0.2 * (time.perf_counter() - began - self.usual)

        future = self._threads.submit(timed)
        result = asyncio.wrap_future(future)
        leaving = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {result, leaving}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise ClientGoneError
            return result.result(), began - asked
        finally:
            leaving.cancel()
            if not future.done() and not future.cancel():
                self._count(1)
                future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))

    def close(self) -> None:
        """End the threads, once they have finished what they do."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _count(self, more: int) -> None:
        self.admitted += more
        self.measures.admitted.set(self.admitted)
