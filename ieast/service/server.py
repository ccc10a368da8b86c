"""The service on a port of this machine, until it is told to stop."""

import ipaddress
import socket

import uvicorn
from fastapi import FastAPI

from ieast.io.deadlines import PunctualProtocol

_HEADER_BYTES = 16384


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def server_of(app: FastAPI, seconds: float) -> uvicorn.Server:
    """What answers for `app`; told to stop, it takes no more requests and finishes those that it has within `seconds`."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # our own lines say more, and no addresses
        http=PunctualProtocol,  # of the implementation whose limit on headers can be set
        h11_max_incomplete_event_size=_HEADER_BYTES,
        limit_concurrency=512,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(seconds) + 5,
    )
    return uvicorn.Server(config)
