"""Progress bars."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def refresh_seconds() -> float:
    """Seconds between two refreshes of a bar: where output is kept as lines, frequent ones would drown everything else."""
    return 0.2 if sys.stderr.isatty() else 20.0


def progress_bar(items: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A bar over `items`, or one that its owner updates; `options` are those of tqdm."""
    return tqdm(items, mininterval=refresh_seconds(), **options)
