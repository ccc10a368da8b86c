"""Computing in a fresh process, so that what one side of a comparison sets for its process does not reach the other."""

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self


class Elsewhere:
    """A function that is made and called in another process: both wait for each other, so that only one computes.

    What is sent there and back must be picklable: NumPy arrays rather than tensors, which would come in shared memory.
    """

    def __init__(self, make: Callable[..., Callable[..., Any]], *arguments: Any):
        """`make` is a module's function; what it returns for `arguments` is what is called there."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that its end shows here
        self._answer()

    def __call__(self, *arguments: Any) -> Any:
        """The function's result.

        Raises:
            RuntimeError: It failed there, for the reason given, or the process has ended.
        """
        self._connection.send(arguments)
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None) -> None:
        self._connection.close()
        self._process.join()

    def _answer(self) -> Any:
        try:
            failure, result = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process that computes the other side ended with {self._process.exitcode}") from None
        if failure:
            raise RuntimeError(f"the other side failed:\n{failure}")
        return result


def _serve(connection: Connection, make: Callable[..., Callable[..., Any]], arguments: tuple[Any, ...]) -> None:
    try:
        run = make(*arguments)
        connection.send(("", None))
        while True:
            connection.send(("", run(*connection.recv())))
    except EOFError:
        pass  # nobody calls any more
    except Exception:
        connection.send((traceback.format_exc(), None))
