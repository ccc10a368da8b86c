"""Which precisions the hardware at hand computes by itself, and which pay."""

import logging
from functools import cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")


def has_bf16(device_type: str) -> bool:
    """Whether a device of this type, `cpu` or `cuda`, multiplies and convolves in bfloat16 by itself.

    A CPU without AVX-512 emulates it: on an AVX2 core a training step took a hundred times as long as in fp32, stylizing
    eight times. GPUs older than Ampere emulate it, too.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device_type == "cpu" and _cpu_has_bf16()


def gains_by_bf16(device_type: str) -> bool:
    """Whether a device of this type, `cpu` or `cuda`, is faster in bfloat16 than in fp32.

    Intel's CPUs are with AMX alone. By AVX-512 they convolve in bf16 at about half the rate of fp32, where AMD's do at twice
    the rate (`python -m benchmarks.machine`; https://github.com/intel/intel-extension-for-pytorch/issues/637), and virtual
    machines often have the one without the other.
    """
    return has_bf16(device_type) and (device_type != "cpu" or not _cpu_is_intel() or torch.cpu._is_amx_tile_supported())


def _cpu_has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _cpu_is_intel() -> bool:
    return _CPUINFO.is_file() and "GenuineIntel" in _CPUINFO.read_text()


@cache  # once is enough
def warn_of_slow_bf16(device_type: str, remedy: str) -> None:
    """Say that bfloat16 was asked of a CPU that is slower in it than in fp32, and what `remedy` there is."""
    if device_type != "cpu" or gains_by_bf16("cpu"):
        return
    if has_bf16("cpu"):
        log.warning("this CPU has bf16 but not AMX, without which it takes longer than fp32: %s", remedy)
    else:
        log.warning("this CPU only emulates bf16, which takes ten to a hundred times as long as fp32: %s", remedy)
