"""How time and memory grow with the size of what is computed: `python -m benchmarks.growth -o docs/images`.

Writes growth.png there, and the numbers to docs/growth.csv. Every point is a process of its own, because what one computation
leaves in the allocator would hide what the next takes. On CPUs, in fp32, with the compact encoder; Linux only.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks.subjects import ReferenceModel, draw_batch, draw_pictures, draw_stylizer, drive
from ieast.config import EncoderConfig
from ieast.evaluation.figures import as_picture
from ieast.evaluation.perceptual import perceptual_distance
from ieast.evaluation.temporal import adjacent_distances
from ieast.experiment import ExperimentConfig
from ieast.io.files import atomic_write
from ieast.io.images import write_image
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer.memory import resident_bytes
from ieast.training.module import StyleTransferModule

ROOT = Path(__file__).resolve().parents[1]
ENCODER = "vgg19-compact"
CROP = 128
BLENDED_SIDE = 512
FRAME_SIDE = 256
RUNS = 9
PATIENCE = 12.0
"""Seconds after which a point is not run again, and above which its first run is not taken for a mere warm-up."""


@dataclass(frozen=True)
class Panel:
    """What grows, and with what."""

    title: str
    axis: str
    lines: dict[str, tuple[int, ...]]
    """Sizes by what computes."""
    logarithmic: bool = False


PANELS = {
    "stylize": Panel(
        "stylizing: content and style",
        "pixels a side",
        {"package": (256, 512, 1024, 2048), "reference": (256, 512, 1024)},
        logarithmic=True,
    ),
    "train": Panel(f"training step, {CROP} pixels a side", "batch size", {"package": (6, 12, 18, 24)}),
    "blend": Panel(f"blending, {BLENDED_SIDE} pixels a side", "styles", {"package": (1, 2, 3, 4, 5, 6)}),
    "clip": Panel(f"temporal distances, {FRAME_SIDE} pixels a side", "frames", {"package": (4, 8, 16, 32)}),
}


@dataclass(frozen=True)
class Point:
    """What one size took."""

    seconds: float
    """Of the fastest run: what others do on the machine only adds."""
    runs: int
    """Of which it is the fastest."""
    peak: int
    """Bytes that the process held at most, Python, PyTorch, the model and its inputs among them."""


def prepare(what: str, line: str, size: int) -> Callable[[], object]:
    """What is timed at a point of the line `line` of the panel `what`."""
    if what == "clip":
        distance = perceptual_distance("encoder-taps", build_encoder(EncoderConfig(name=ENCODER)))
        frames = list(draw_pictures(size, FRAME_SIDE, FRAME_SIDE, seed=0).float() / 255)
        return lambda: adjacent_distances(distance, frames)
    config = ExperimentConfig()
    stylizer = draw_stylizer(ENCODER, config)
    if what == "train":
        step, batch = drive(StyleTransferModule(stylizer, config)), draw_batch(size, CROP)
        return lambda: step(batch)
    stylizer.eval()
    side = size if what == "stylize" else BLENDED_SIDE
    content, *styles = (draw_pictures(1 if what == "stylize" else size, side, side, seed).float() / 255 for seed in (0, 1))
    if what == "blend":
        return lambda: stylizer.stylize(content[:1], list(styles[0].split(1)))
    if line == "reference":
        reference = ReferenceModel.like(stylizer)
        return lambda: reference.stylize(content, styles[0])
    return lambda: stylizer.stylize(content, styles[0])


def measure_here(what: str, line: str, size: int) -> Point:
    """Measure one point in this process."""
    run = prepare(what, line, size)
    first = _seconds(run)
    times = [first] if first > PATIENCE else []
    while len(times) < RUNS and sum(times) + first < PATIENCE:
        times.append(_seconds(run))
    return Point(min(times), len(times), resident_bytes("VmHWM"))


def measure(what: str, line: str, size: int) -> Point:
    """`measure_here` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--child", what, line, str(size)]
    return Point(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def growth(points: pd.DataFrame, column: str, *, logarithmic: bool) -> float:
    """How `column` grows with the size of `points`.

    Returns:
        The power of the size between the two largest ones where sizes double (`logarithmic`), else what one more takes, by
        least squares over all points.
    """
    points = points.sort_values("size")
    if not logarithmic:
        return float(np.polyfit(points["size"], points[column], 1)[0])
    (smaller, less), (larger, more) = points[["size", column]].tail(2).to_numpy().tolist()
    return log(more / less) / log(larger / smaller)


def plot(table: pd.DataFrame) -> Figure:
    """A column a panel, seconds above and gigabytes below."""
    figure = Figure(figsize=(4 * len(PANELS), 6.5), layout="constrained")
    grid = figure.subplots(2, len(PANELS), squeeze=False)
    figure.suptitle(f"{ENCODER}, fp32, CPU with {table['threads'].iloc[0]} threads", fontsize="medium")
    shown = (("seconds", "seconds", 1.0, "ms", 1e-3), ("peak", "peak memory of the process (GB)", 1e9, "MB", 1e6))
    for row, (column, label, scale, small_unit, small_scale) in zip(grid, shown, strict=True):
        for axis, (what, panel) in zip(row, PANELS.items(), strict=True):
            for line, points in table[table["what"] == what].groupby("line", sort=False):
                rate = growth(points, column, logarithmic=panel.logarithmic)
                if not panel.logarithmic:
                    said = f"{line}: {rate / small_scale:.3g} {small_unit} each"
                else:  # of the memory, most is Python's and PyTorch's own
                    said = f"{line}: at last as size$^{{{rate:.1f}}}$" if column == "seconds" else str(line)
                axis.plot(points["size"], points[column] / scale, "o-", label=said)
            axis.set_xlabel(panel.axis)
            axis.set_title(panel.title, fontsize="medium")
            axis.grid(alpha=0.3)
            sizes = sorted({size for line in panel.lines.values() for size in line})
            if panel.logarithmic:
                axis.set_xscale("log", base=2)
            else:
                axis.set_xlim(left=0)
            if panel.logarithmic and column == "seconds":
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter("{x:g}")
            else:
                axis.set_ylim(0, 1.2 * table.loc[table["what"] == what, column].max() / scale)
            axis.legend(fontsize="small", loc="upper left" if column == "seconds" else "lower right")
            axis.set_xticks(sizes, [str(size) for size in sizes])
        row[0].set_ylabel(label)
    return figure


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure, write table and figure, or be one point's process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "docs" / "images", help="folder of growth.png")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "growth.csv")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, line, size = arguments.child
        print(json.dumps(asdict(measure_here(what, line, int(size)))))
        return
    rows = []
    for what, panel in PANELS.items():
        for line, sizes in panel.lines.items():
            for size in sizes:
                point = measure(what, line, size)
                rows.append({"what": what, "line": line, "size": size, **asdict(point), "threads": torch.get_num_threads()})
                print(f"{what} {line} {size}: {point.seconds:.2f} s, {point.peak / 1e9:.2f} GB", flush=True)
    table = pd.DataFrame(rows)
    with atomic_write(arguments.table) as part:
        table.to_csv(part, index=False, float_format="%.4f")
    write_image(as_picture(plot(table)), arguments.output / "growth.png")


if __name__ == "__main__":
    main()
