"""One training iteration beside the released order of computation: `python -m benchmarks.training`.

Both sides start from the same weights, see the same pictures and learn, each in its own optimizer's steps; they take turns, and
Lightning's own share of an iteration counts as ours. The reference runs in a process that leaves the C library as it is.
"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.counting import count, possible
from benchmarks.elsewhere import Elsewhere
from benchmarks.machine import measure as measure_machine
from benchmarks.rows import Row
from benchmarks.subjects import ReferenceTraining, draw_batch, draw_stylizer, drive
from ieast.experiment import ExperimentConfig
from ieast.layers.precision import has_bf16
from ieast.stylizer.allocator import keep_freed_memory
from ieast.training.loop import make_trainer
from ieast.training.module import StyleTransferModule

CROP, BATCH = 128, 8


def reference(encoder: str, settings: dict[str, Any], device: str) -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """The reference's iteration on `device`, from the weights that ours starts with; it gives the terms that it had."""
    config = ExperimentConfig.parse({"training": settings})
    training = ReferenceTraining(StyleTransferModule(draw_stylizer(encoder, config), config), device)

    def step(content: np.ndarray, style: np.ndarray) -> dict[str, float]:
        terms = training.step(*(torch.from_numpy(side).to(device) for side in (content, style)))
        return {name: float(term) for name, term in terms.items()}  # which waits for a GPU

    return step


class BesideReference(L.Callback):
    """After each of our iterations, runs the reference's on the same pictures; keeps both's seconds and the first's terms."""

    def __init__(self, reference: Callable[[np.ndarray, np.ndarray], dict[str, float]]):
        self.reference = reference
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.difference = 0.0
        self._since = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Stop it for ours, and give theirs its turn."""
        _, module, _, batch, _ = arguments
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        self.ours.append(time.perf_counter() - self._since)
        pictures = [batch[side].cpu().numpy() for side in ("content", "style")]
        now = time.perf_counter()
        terms = self.reference(*pictures)
        self._since = time.perf_counter()
        self.theirs.append(self._since - now)
        if len(self.ours) == 1:  # from then on each side has weights of its own
            self.difference = max(abs(float(module.seen[name] / terms[name]) - 1) for name in terms)


class Observed(StyleTransferModule):
    """The module as it trains, whose last terms can be looked at."""

    def count(self, terms: dict[str, Tensor]) -> None:
        """Keep them."""
        self.seen = {name: value.detach() for name, value in terms.items()}
        super().count(terms)


class DrawnCrops(Dataset[dict[str, Tensor]]):
    """Batches in memory, so that only computing is timed."""

    def __init__(self, count: int, batch: int, crop: int):
        self.batches = [draw_batch(batch, crop, number=number) for number in range(count)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self.batches[number]


def measure(
    encoder: str, precision: str, iterations: int, batch: int = BATCH, crop: int = CROP, **training: Any
) -> dict[str, float]:
    """Median seconds of an iteration of ours and theirs, and the largest relative difference of the first one's loss terms."""
    settings = {"batch_size": batch, "crop": crop, "precision": precision, **training}
    config = ExperimentConfig.parse({"training": settings})
    device = torch.device("cuda" if config.training.accelerator == "gpu" else "cpu")
    keep_freed_memory()  # as `fit` does
    module = Observed(draw_stylizer(encoder, config), config)
    module.to(memory_format=torch.channels_last)
    module.compile_networks()
    crops = DrawnCrops(iterations + 1, batch, crop)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hardware = {"accelerator": config.training.accelerator, "devices": 1, "precision": precision}
        with Elsewhere(reference, encoder, settings, device.type) as theirs:
            beside = BesideReference(theirs)
            make_trainer(Path(folder), [beside], CSVLogger(folder), **hardware).fit(module, DataLoader(crops, batch_size=None))
    # Another, because what is compiled does not show its operations.
    counted = StyleTransferModule(draw_stylizer(encoder, config), config).to(device, memory_format=torch.channels_last)
    work = count(partial(drive(counted, precision), {side: values.to(device) for side, values in crops[0].items()}))
    machine, name = measure_machine(device.type), "fp32" if precision == "32-true" else "bf16"
    return {
        "possible": possible(work, machine, name),
        "rate": machine.rate(name).gflops * 1e9,
        "flops": work.flops,
        "bytes": work.bytes,
        "ours": statistics.median(beside.ours[1:]),
        "theirs": statistics.median(beside.theirs[1:]),
        "difference": beside.difference,
    }


def rows(iterations: int = 4) -> list[Row]:
    """The training rows of the table."""
    rows_so_far = []
    for name, precision, least, aim in (("fp32", "32-true", 1.6, 1.9), ("bf16", "bf16-mixed", 2.5, 3.5)):
        what = f"training step, full VGG-19, CPU {name}, batch {BATCH}, crop {CROP}"
        if precision == "bf16-mixed" and not has_bf16("cpu"):
            rows_so_far.append(Row(what, None, least=least, aim=aim, note="this CPU has no bf16"))
            continue
        times = measure("vgg19", precision, iterations, accelerator="cpu")
        rows_so_far.append(_row(what, times, least, aim))
    return [*rows_so_far, gpu_row()]


def gpu_row(iterations: int = 20) -> Row:
    """The step on a GPU in its fastest way, with the seconds of the others and the share of operations that it could do."""
    what = "training step, full VGG-19, GPU bf16, batch 16, crop 256"
    if not torch.cuda.is_available():
        return Row(what, None, least=5, aim=8, note="no GPU")
    ways: dict[str, dict[str, float]] = {}
    for compile in (False, True, "reduce-overhead"):
        torch.compiler.reset()
        ways[f"compile {compile}"] = measure("vgg19", "bf16-mixed", iterations, 16, 256, accelerator="gpu", compile=compile)
    best = min(ways, key=lambda way: ways[way]["ours"])
    times = ways[best]
    achieved = times["flops"] / times["ours"]
    each = ", ".join(f"{way} {1000 * times['ours']:.1f} ms" for way, times in ways.items())
    also = (
        f"; {1 / times['ours']:.1f} iterations/s of 30 aimed at; {achieved / 1e12:.0f} TFLOP/s, a model FLOP utilization of "
        f"{achieved / times['rate']:.0%} of the measured rate; {each}"
    )
    return _row(f"{what}, {best}", times, 5, 8, also)


def _row(what: str, times: dict[str, float], least: float, aim: float, also: str = "") -> Row:
    note = (
        f"{times['theirs']:.3g} s against {times['ours']:.3g} s; first losses differ by {times['difference']:.0e}; "
        f"{times['flops'] / 1e9:.0f} GFLOP and {times['bytes'] / 1e9:.1f} GB a step, possible in {times['possible']:.3g} s"
        f"{also}"
    )
    ratio, share = times["theirs"] / times["ours"], times["possible"] / times["ours"]
    return Row(what, ratio, least=least, aim=aim, note=note, possible=share)


if __name__ == "__main__":
    for row in rows():
        print(row)
