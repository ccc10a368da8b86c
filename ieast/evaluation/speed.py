"""Speed and peak memory of one stylization, each in a process of its own: what one leaves behind would hide the next."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ieast.checkpoint import load_model
from ieast.config import SpeedConfig
from ieast.errors import MemoryLimitError
from ieast.io.images import central_square, read_image, resize_smallest_side, to_tensor
from ieast.stylizer.memory import resident_bytes

MEBIBYTE = 1 << 20
_CLEAR_REFS = Path("/proc/self/clear_refs")
GROWTH = 4.0
"""What a picture of twice the side is expected to take, at least, in time."""


def measure_speed(model: Path, content: Path, style: Path, config: SpeedConfig) -> pd.DataFrame:
    """Time and memory of `model` on squares of growing size.

    Args:
        model: A model folder.
        content: A picture, of which the central square is taken.
        style: A picture, of which the central square is taken; encoded anew each time.
        config: Sizes, repetitions, and how long one stylization may be expected to take.

    Returns:
        A row a size: `size` in pixels, `seconds` (the median), `peak_mb` (the memory that stylizing took at its peak, beyond
        what the process held with the model and both pictures; 2^20 bytes), and `note`, why there are no numbers.
    """
    rows: list[dict[str, Any]] = []
    expected = 0.0
    for size in sorted(config.sizes):
        if expected > config.limit:
            note = f"not measured: about {expected:.0f} s expected, the limit is {config.limit:g} s"
            rows.append({"size": size, "seconds": float("nan"), "peak_mb": float("nan"), "note": note})
            expected *= GROWTH
            continue
        command = [sys.executable, "-m", "ieast.evaluation.speed", str(model), str(content), str(style)]
        command += ["--size", str(size), "--repeats", str(config.repeats), "--limit", str(config.limit)]
        measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rows.append({"size": size, **measured})
        expected = measured["seconds"] * GROWTH
    return pd.DataFrame(rows, columns=["size", "seconds", "peak_mb", "note"])


def measure_here(model: Path, content: Path, style: Path, size: int, repeats: int, limit: float) -> dict[str, Any]:
    """One row of `measure_speed`, in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stylizer = load_model(model)[0].to(device)
    pictures = [_square(path, size).to(device) for path in (content, style)]

    def work() -> Tensor:
        return stylizer.stylize(pictures[0], pictures[1])

    try:
        first, peak = _peak_of(work, device)
    except MemoryLimitError as error:
        return {"seconds": float("nan"), "peak_mb": float("nan"), "note": str(error)}
    times = [first]
    if first * repeats <= limit:  # where once takes long, warming up does not matter
        times = [_seconds_of(work, device) for _ in range(repeats)]
    return {"seconds": statistics.median(times), "peak_mb": peak / MEBIBYTE, "note": ""}


def _peak_of(work: Callable[[], Tensor], device: torch.device) -> tuple[float, int]:
    """How long the first time took, and how much memory at most."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        seconds = _seconds_of(work, device)
        return seconds, torch.cuda.max_memory_allocated(device) - before
    _CLEAR_REFS.write_text("5")  # the peak so far was that of reading the pictures (Linux: man 5 proc_pid_clear_refs)
    before = resident_bytes("VmRSS")
    seconds = _seconds_of(work, device)
    return seconds, resident_bytes("VmHWM") - before


def _seconds_of(work: Callable[[], Tensor], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _square(path: Path, size: int) -> Tensor:
    return central_square(to_tensor(resize_smallest_side(read_image(path), size)))


def main() -> None:
    """Print one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "content", "style"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--size", type=int, required=True, help="pixels")
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds")
    sys.stdout.write(json.dumps(measure_here(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
