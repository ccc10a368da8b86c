"""What is said after a run that a server ended: ZenML's own last words are `failed due to failure in step(s)`."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from zenml.client import Client

from ieast.errors import ConfigError
from pipelines.servers import check_servers

KEPT = "What was done before is kept, and the same command goes on from there"


class _LastWords:
    """As what it stands for, and then, if a server of the active stack fails, which one and what to do."""

    def __init__(self, before: Callable[..., Any]):
        self.before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.before(kind, error, trace)
        if issubclass(kind, Exception):
            try:
                check_servers(Client().active_stack)
            except ConfigError as failure:
                sys.stderr.write(f"\n{failure}. {KEPT}\n")


def explain_ends() -> None:
    """From here on, let an error that ends this process be followed by the server that is to blame, if one is."""
    if not isinstance(sys.excepthook, _LastWords):
        sys.excepthook = _LastWords(sys.excepthook)
