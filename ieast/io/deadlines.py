"""Connections that ask for nothing or read no answer: they count among those that a server takes at once, so they end."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
"""How long the line and the headers of a request may take, and how long nothing of an answer may be read; the body of a
request has deadlines of its own."""

_UNSENT_BYTES = 1 << 16
"""What the system takes of an answer before it is sent. Left alone it takes megabytes, and more only once a third of them is
gone: for minutes one could not tell a client that reads slowly from one that does not."""


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP, which by itself waits for ever for a request's headers, and for clients to read."""

    seconds = HEADER_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        with suppress(AttributeError, OSError):  # where the system lacks it, who reads very slowly looks silent
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._counted = _Counted(transport)
        super().connection_made(self._counted)  # type: ignore[arg-type]
        self._answered: Any = None
        self._stuck_at: int | None = None
        self._look = self.loop.call_later(self.seconds, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._look.cancel()
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        gone = self._counted.written - waiting
        is_idle = self.cycle is None or self.cycle.response_complete
        if waiting and gone == self._stuck_at:  # nothing was read since the last look
            self.transport.abort()  # closing waits until all is read
        elif is_idle and self.cycle is self._answered:  # no request since the last look
            self.transport.close()
        self._answered, self._stuck_at = self.cycle, gone if waiting else None
        self._look = self.loop.call_later(self.seconds, self._end_if_silent)


class _Counted:
    """A transport that counts the bytes written to it, as those that wait may be as many as before, but others."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self.written = transport, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._transport.write(data)
