"""Stylizing beside the released order of computation: `python -m benchmarks.stylizing`.

On random weights and drawn pictures, content and style equally large. The reference encodes both pictures each time, in
PyTorch's default memory format, writes the whole matrix of attention down, and leaves the C library as it is.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.counting import count, possible
from benchmarks.elsewhere import Elsewhere
from benchmarks.machine import measure
from benchmarks.rows import Row, take_turns
from benchmarks.subjects import ReferenceModel, draw_pictures, draw_stylizer
from ieast.layers.precision import has_bf16
from ieast.stylizer.allocator import keep_freed_memory
from ieast.stylizer.base import Stylizer
from ieast.stylizer.memory import resident_bytes

LIMIT = 12e9
"""Bytes of memory that the largest picture may take."""


def model(encoder: str) -> Stylizer:
    """As `load_model` gives it."""
    return draw_stylizer(encoder).eval().to(memory_format=torch.channels_last)


def against_reference(side: int, repetitions: int) -> list[Row]:
    """fp32, bf16, and at 512 a video's frame and the compact encoder, against the full-width reference."""
    with Elsewhere(reference, side) as theirs:
        return _rows_of(side, repetitions, theirs)


def reference(side: int) -> Callable[[], np.ndarray]:
    """Stylizing in the released order, which gives a picture (1, 3, side, side)."""
    theirs, pictures = ReferenceModel.like(model("vgg19")), draw_pair(side)
    return lambda: theirs.stylize(*pictures).numpy()


def draw_pair(side: int) -> list[torch.Tensor]:
    """A content and a style (1, 3, side, side) in [0, 1]."""
    return [draw_pictures(1, side, side, seed).float() / 255 for seed in (1, 2)]


def _rows_of(side: int, repetitions: int, theirs: Callable[[], np.ndarray]) -> list[Row]:
    stylizer, compact = model("vgg19"), model("vgg19-compact")
    content, style = draw_pair(side)
    encoded = stylizer.encode_style(style)

    def in_bf16() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return stylizer.stylize(content, style).float()

    subjects = {
        "reference": lambda: torch.from_numpy(theirs()),
        "fp32": lambda: stylizer.stylize(content, style),
        "bf16": in_bf16,
        "frame": lambda: stylizer.stylize(content, encoded),
        "compact": lambda: compact.stylize(content, style),
    }
    limits = {"fp32": (1.15, 1.3), "bf16": (1.8, 2.5), "frame": (1.7, 2.0), "compact": (8.0, 12.0)}
    if side > 512:
        limits = {"fp32": (1.4, 1.6), "bf16": (2.0, 3.0)}
    if not has_bf16("cpu"):
        del subjects["bf16"], limits["bf16"]
    results: dict[str, torch.Tensor] = {}

    def stylize(name: str) -> None:
        results[name] = subjects[name]()

    seconds = take_turns({name: partial(stylize, name) for name in ("reference", *limits)}, repetitions)
    names = {
        "fp32": f"stylize {side}x{side}, full encoder, CPU fp32",
        "bf16": f"stylize {side}x{side}, full encoder, CPU bf16",
        "frame": f"a video's frame of {side}x{side}, full encoder, CPU fp32",
        "compact": f"stylize {side}x{side}, compact encoder, CPU fp32",
    }
    rows, machine = [], measure()
    for name, (least, aim) in limits.items():
        work = count(subjects[name])
        needed = possible(work, machine, "bf16" if name == "bf16" else "fp32")
        note = (
            f"{seconds['reference']:.3g} s against {seconds[name]:.3g} s; {work.flops / 1e9:.0f} GFLOP and "
            f"{work.bytes / 1e9:.1f} GB, possible in {needed:.3g} s"
        )
        if name != "compact":  # another network
            difference = (results[name] - results["reference"]).abs()
            note += f"; pixels in [0, 1] differ by {difference.max():.0e}, {difference.mean():.0e} on average"
        ratio, share = seconds["reference"] / seconds[name], needed / seconds[name]
        rows.append(Row(names[name], ratio, least=least, aim=aim, note=note, possible=share))
    return rows


def largest(side: int = 2048) -> Row:
    """The peak of memory of one stylization with content and style of `side` pixels, in a process of its own.

    The reference is tried in another, whose data may take as much as `LIMIT`.
    """
    ours, theirs = (_in_a_process(side, which) for which in ("ours", "reference"))
    beside = "the reference needs more than 12 GB" if theirs is None else f"the reference: {theirs['peak'] / 1e9:.1f} GB"
    what = f"stylize {side}x{side}, full encoder, CPU fp32: peak of memory"
    if ours is None:
        return Row(what, None, "GB", 12, 8, lower_is_better=True, note="failed")
    note = f"{ours['seconds']:.0f} s; {beside}"
    return Row(what, ours["peak"] / 1e9, "GB", 12, 8, lower_is_better=True, note=note)


def _in_a_process(side: int, which: str) -> dict[str, float] | None:
    command = [sys.executable, "-m", "benchmarks.stylizing", "--child", which, str(side)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "can't allocate memory" in done.stderr:
        return None
    raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")


def _child(which: str, side: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (int(LIMIT), int(LIMIT)))
    keep_freed_memory()
    stylizer = model("vgg19")
    content, style = draw_pair(side)
    stylize = stylizer.stylize if which == "ours" else ReferenceModel.like(stylizer).stylize
    start = time.perf_counter()
    stylize(content, style)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": resident_bytes("VmHWM")}))


def rows() -> list[Row]:
    """The stylizing rows of the table."""
    keep_freed_memory()  # as `ieast stylize` does
    return [*against_reference(512, 4), *against_reference(1024, 2), largest()]


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child(sys.argv[2], int(sys.argv[3]))
    else:
        for row in rows():
            print(row)
