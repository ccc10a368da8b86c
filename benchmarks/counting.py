"""The floating-point operations and the bytes of a computation, and the least time that a machine can need for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks.machine import Machine

_aten = torch.ops.aten

# These give memory that nobody has written to yet.
_ALLOCATING = {_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided}
# These write to their first argument what does not depend on what stood there.
_OVERWRITING = {_aten.copy_, _aten.fill_, _aten.zero_, _aten.normal_, _aten.uniform_}


@dataclass(frozen=True)
class Work:
    """What a computation takes."""

    flops: int
    """Floating-point operations of convolutions, matrix products and attention; all others are too few to matter."""
    bytes: int
    """Read and written by all operations, each on its own: as if nothing stayed in caches from one to the next."""


def count(run: Callable[[], object]) -> Work:
    """Run `run` once and count.

    Operations are counted from shapes: 2·K·M·N for a matrix product; attention's backward pass with the scores it computes
    again; a convolution's backward pass only for the gradients that are asked for. What a library does underneath (Winograd's
    transform needs fewer) does not show. Grouped convolutions' weight gradients are counted as if there were one group.
    """
    with FlopCounterMode(display=False, custom_mapping=_ATTENTION) as flops, _ByteCounter() as moved:
        run()
    return Work(flops.get_total_flops(), moved.total)


def possible(work: Work, machine: Machine, precision: str) -> float:
    """Seconds that `machine` needs at least: for the operations or for the bytes, whichever takes longer (the roofline).

    Bytes are those of eager execution, so that operators fused with each other can be faster than this.

    Args:
        work: Counted on the computation in this precision, which decides its bytes.
        machine: As measured.
        precision: fp32 or bf16.
    """
    return max(work.flops / (machine.rate(precision).gflops * 1e9), work.bytes / (machine.bandwidth * 1e9))


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


_ATTENTION = {  # the counter knows the fused kernels of CUDA only
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


class _ByteCounter(TorchDispatchMode):
    """Adds up what every operation reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:  # in inference mode, composed operations arrive whole
            result = func.decompose(*args, **kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
            self.total += moved_bytes(func, args, kwargs, result)
        return result


def moved_bytes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Bytes that the operation `func` read of its arguments and wrote to its results and arguments."""
    if func._overloadpacket in _ALLOCATING:
        return 0
    given = _given(func, args, kwargs)
    read = [tensor for value, _ in given for tensor in _tensors(value)]
    written = [tensor for value, is_written in given if is_written for tensor in _tensors(value)]
    before = {_storage(tensor) for tensor in read}
    new = [tensor for tensor in _tensors(result) if _storage(tensor) not in before]
    if not (written or new):
        return 0  # a view, or a question about a shape
    has_out = any(argument.is_out for argument in func._schema.arguments)
    if has_out or func._overloadpacket in _OVERWRITING:
        read = [tensor for value, is_written in given if not is_written for tensor in _tensors(value)]
    elif func._overloadpacket is _aten.convolution_backward:
        gradient, images, weight, *_, mask = args
        # The images are for the weights' gradient, the weights for the images'.
        read = [gradient, *([weight] if mask[0] else []), *([images] if mask[1] else [])]
    return _extent(read) + _extent([*written, *new])


def _given(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Any, bool]]:
    """The arguments, each with whether `func` writes to it."""
    declared = func._schema.arguments
    by_name = {argument.name: argument for argument in declared}
    given = [*zip(declared, args, strict=False), *((by_name[name], value) for name, value in kwargs.items())]
    return [(value, argument.alias_info is not None and argument.alias_info.is_write) for argument, value in given]


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _extent(tensors: Iterable[Tensor]) -> int:
    """Bytes of memory that `tensors` lie in, what several of them share once."""
    storages: dict[int, dict[Any, int]] = {}
    sizes: dict[int, int] = {}
    for tensor in tensors:
        # What is expanded lies there once.
        elements = torch.Size(
            size if stride else min(size, 1) for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
        )
        place = (tensor.storage_offset(), tensor.shape, tensor.stride())
        storages.setdefault(_storage(tensor), {})[place] = elements.numel() * tensor.element_size()
        sizes[_storage(tensor)] = tensor.untyped_storage().nbytes()
    return sum(min(sum(places.values()), sizes[storage]) for storage, places in storages.items())
