"""Which precisions the hardware at hand computes by itself."""

import logging
from functools import cache

import torch

log = logging.getLogger(__name__)


def has_bf16(device_type: str) -> bool:
    """Whether a device of this type, `cpu` or `cuda`, multiplies and convolves in bfloat16 by itself.

    A CPU without AVX-512 emulates it: on an AVX2 core a training step took a hundred times as long as in fp32, stylizing
    eight times.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device_type == "cpu" and _cpu_has_bf16()


def _cpu_has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache  # once is enough
def warn_of_slow_bf16(device_type: str, remedy: str) -> None:
    """Say that bfloat16 was asked of a CPU that only emulates it, and what `remedy` there is."""
    if device_type == "cpu" and not has_bf16("cpu"):
        log.warning("this CPU only emulates bf16, which takes ten to a hundred times as long as fp32: %s", remedy)
