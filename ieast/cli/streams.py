"""Output that cannot be printed does not fail the work that it tells of."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast


class _Tolerant(io.FileIO):
    """A file whose writes never fail; `lost` is why the first of them would have."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return len(data)


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Let printing go on where standard output or error is closed, full or gone, or cannot show a letter.

    What was lost of standard output is said on standard error, except to a reader such as `head` that has seen enough.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(mode))
    raw = {name: _Tolerant(getattr(sys, name).fileno(), "w", closefd=False) for name in ("stdout", "stderr") if _is_own(name)}
    for name, file in raw.items():
        setattr(sys, name, _text(file, getattr(sys, name)))
    try:
        yield
    finally:
        sys.stdout.flush()
        if "stdout" in raw and (lost := raw["stdout"].lost) is not None and lost.errno != errno.EPIPE:
            print(f"ieast: not all that was said could be printed ({lost.strerror})", file=sys.stderr)  # noqa: T201
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _is_own(name: str) -> bool:
    """Whether a stream is the process's own, and nobody has put another in its place."""
    return getattr(sys, name) is getattr(sys, f"__{name}__") or getattr(sys, f"__{name}__") is None


def _nowhere(mode: str) -> TextIO:
    """A stream to nowhere. It takes the lowest free descriptor, and so the one that was closed, which the next file would."""
    return cast(TextIO, Path(os.devnull).open(mode))


def _text(file: _Tolerant, before: TextIO) -> io.TextIOWrapper:
    errors = before.errors if before.errors == "surrogateescape" else "backslashreplace"
    return io.TextIOWrapper(io.BufferedWriter(file), before.encoding, errors, line_buffering=True)
