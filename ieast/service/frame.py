"""What surrounds every request: identity, headers, a log line, counters, and an answer whatever happens."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ieast.service.metrics import Measures

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}

GONE = 499
"""In log and counters, as nginx has it: the client left before there was an answer."""

_DRAINED = 4
_PATIENCE = 5.0
_log = logging.getLogger("ieast.service.requests")


class RequestFrame:
    """ASGI middleware around the whole application.

    `scope["facts"]` is a dictionary to which handlers add what is to be logged, and never what is in pictures or their names.
    """

    def __init__(self, app: ASGIApp, measures: Measures, body_bytes: int) -> None:
        """Surround `app`; bodies of up to a few times `body_bytes` are read to their end although they are refused."""
        self.app, self.measures, self.most = app, measures, _DRAINED * body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        identity = _identity(scope)
        facts: dict[str, Any] = scope.setdefault("facts", {})
        scope["request_id"] = identity
        extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        extra.append((b"x-request-id", identity.encode()))
        seen = {"status": 0, "in": 0, "out": 0}
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        declared = int(length) if length.isdigit() else 0
        ended = False

        async def receiving() -> Message:
            nonlocal ended
            message = await receive()
            if message["type"] == "http.request":
                seen["in"] += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            else:
                ended = True
            return message

        async def drain() -> None:
            # A client that is still sending would lose the answer with the connection.
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    while not ended and max(seen["in"], declared) <= self.most:
                        await receiving()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                message["headers"] = [*message["headers"], *extra]
                if message["status"] >= 400:
                    await drain()
            elif message["type"] == "http.response.body":
                seen["out"] += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            logging.getLogger(__name__).exception("request %s failed", identity)
            if not seen["status"]:
                detail = (
                    f"The service failed at this request, which its log has under {identity}. Try again, or tell who runs it."
                )
                await JSONResponse({"detail": detail, "request": identity}, 503)(scope, receiving, sending)
        finally:
            seconds = time.perf_counter() - start
            status = facts.pop("status", seen["status"])
            route = getattr(scope.get("route"), "path", "other")
            self.measures.requests.labels(route, str(status)).inc()
            self.measures.seconds.labels(route).observe(seconds)
            line = {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request": identity,
                "method": scope["method"],
                "route": route,
                "status": status,
            }
            line |= {"seconds": round(seconds, 4), "bytes_in": seen["in"], "bytes_out": seen["out"], **facts}
            _log.info(json.dumps(line))


def _identity(scope: Mapping[str, Any]) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", given) else secrets.token_hex(8)
