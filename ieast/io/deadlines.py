"""Connections that ask for nothing: they count among those that a server takes at once, so they end after a while."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
"""How long the line and the headers of a request may take; its body has deadlines of its own."""


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP, which by itself waits for a request's headers for ever."""

    seconds = HEADER_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._answered: Any = None
        self._look = self.loop.call_later(self.seconds, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._look.cancel()
        super().connection_lost(exc)

    def _close_if_idle(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self.cycle is self._answered:  # no request since the last look
            self.transport.close()
            return
        self._answered = self.cycle
        self._look = self.loop.call_later(self.seconds, self._close_if_idle)
