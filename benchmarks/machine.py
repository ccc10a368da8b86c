"""What this machine can do at most: its rate of matrix products and its memory's bandwidth, measured.

`python -m benchmarks.machine` prints it.
"""

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.benchmark import Timer

from ieast.layers.precision import has_bf16

SECONDS = 1.0
"""How long each measurement goes on."""
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Rate:
    """The best rate of matrix products, and what reached it."""

    gflops: float
    """10⁹ floating-point operations a second, a multiplication and an addition each counted."""
    by: str
    """`matmul` or `convolution`: which is faster is the library's doing, not the hardware's."""


@dataclass(frozen=True)
class Machine:
    """A processor, its memory, and the threads they were measured with."""

    name: str
    device: str
    threads: int
    """Of PyTorch on the CPU."""
    fp32: Rate
    bf16: Rate | None
    """None where the hardware has no bf16."""
    bandwidth: float
    """10⁹ bytes a second, read and written ones together."""

    def rate(self, precision: str) -> Rate:
        """The rate in `fp32` or `bf16`.

        Raises:
            ValueError: Another precision, or bf16 where the machine has none.
        """
        rates = {"fp32": self.fp32, "bf16": self.bf16}.get(precision)
        if rates is None:
            raise ValueError(f"no rate of matrix products in {precision!r} was measured on {self.name}")
        return rates

    def __str__(self) -> str:
        rates = [("fp32", self.fp32), ("bf16", self.bf16)]
        said = [f"{name} {rate.gflops:.0f} GFLOP/s ({rate.by})" if rate else f"no {name}" for name, rate in rates]
        return f"{self.name}, {self.threads} threads: {', '.join(said)}, memory {self.bandwidth:.1f} GB/s"


def measure(device: str = "cpu") -> Machine:
    """Measure `device`, the best of several runs each, in about ten seconds.

    With the threads and the TF32 setting that PyTorch has at that moment, so that they are those of what is compared.
    """
    large = torch.device(device).type == "cuda"
    # Far more than the last cache holds.
    source = torch.ones((1 << 30) // 4 if large else (1 << 28) // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source))
    return Machine(
        name=_name(device),
        device=device,
        threads=torch.get_num_threads(),
        fp32=_rate(device, torch.float32, large),
        bf16=_rate(device, torch.bfloat16, large) if has_bf16(torch.device(device).type) else None,
        bandwidth=2 * source.nbytes / seconds / 1e9,
    )


@torch.inference_mode()
def _rate(device: str, dtype: torch.dtype, large: bool) -> Rate:
    side = 8192 if large else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    count, channels, pixels = (16, 256, 128) if large else (4, 256, 64)
    images = torch.randn(count, channels, pixels, pixels, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    by = {
        "matmul": 2 * side**3 / _best(lambda: a @ b),
        "convolution": 2 * 9 * channels**2 * count * pixels**2 / _best(lambda: F.conv2d(images, weight, padding=1)),
    }
    best = max(by, key=by.__getitem__)
    return Rate(by[best] / 1e9, best)


def _best(run: Callable[[], object]) -> float:
    """The fewest seconds that `run` took."""
    timer = Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())  # waits for CUDA
    return min(timer.blocked_autorange(min_run_time=SECONDS).times)


def _name(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Print what a device can do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    print(measure(parser.parse_args().device))


if __name__ == "__main__":
    main()
