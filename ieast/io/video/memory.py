"""What a stylization keeps of the frames before, on disk beside work in progress."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ieast.io.files import atomic_write


class Memory(Protocol):
    """What the frames to come depend on."""

    def state(self) -> Mapping[str, NDArray[Any]]:
        """All of it, by name."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave."""


class MemoryFiles:
    """Files in the folder `work`, one a moment, called by how many frames were done; without a memory, none."""

    def __init__(self, work: Path, memory: Memory | None):
        self._work, self._memory = work, memory

    def keep(self, frames: int) -> None:
        """Note the memory after so many frames.

        Raises:
            DiskFullError: No space was left.
        """
        if self._memory is not None:
            arrays: dict[str, Any] = dict(self._memory.state())
            with atomic_write(self._path(frames)) as temporary:
                np.savez(temporary, **arrays)

    def forget_before(self, frames: int) -> None:
        """Remove what was noted after fewer frames, which nothing can be continued from any more."""
        for path in self._work.glob("*.npz"):
            if path.stem.isdecimal() and int(path.stem) < frames:
                path.unlink()

    def recall(self, frames: int) -> None:
        """Give the memory what it was after so many frames."""
        if self._memory is not None and frames:
            with np.load(self._path(frames), allow_pickle=False) as state:
                self._memory.restore(dict(state))

    def latest(self) -> int:
        """After how many frames the memory was last noted; 0: it was not."""
        return max((int(path.stem) for path in self._work.glob("*.npz") if path.stem.isdecimal()), default=0)

    def _path(self, frames: int) -> Path:
        return self._work / f"{frames:06d}.npz"
