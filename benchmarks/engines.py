"""How fast the shipped model stylizes on PyTorch and on ONNX Runtime: `python -m benchmarks.engines`.

Both lie warm in processes of their own and take turns, so that a machine that slows down slows down both.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tqdm import tqdm

from benchmarks.elsewhere import Elsewhere
from ieast.config import StylizeOptions
from ieast.models.pretrained import MODELS
from ieast.onnx.folder import INSIDE
from ieast.stylization.engine import Session

STYLE_SIZE = 512
TURNS = 5


def noise(side: int) -> Image.Image:
    """A picture of `side` x `side` pixels."""
    return Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8))


def stylizing(engine: str, threads: int, side: int) -> Callable[[], float]:
    """What stylizes once, with the style at hand, and returns the seconds."""
    session: Session
    if engine == "torch":
        import torch

        from ieast.checkpoint import load_model
        from ieast.stylization.session import TorchEngine

        torch.set_num_threads(threads)
        session = TorchEngine(load_model(MODELS["ieast"])[0]).open([noise(STYLE_SIZE)], StylizeOptions(), encode=True)
    else:
        from ieast.onnx.engine import OnnxEngine

        session = OnnxEngine(MODELS["ieast"] / INSIDE, threads).open([noise(STYLE_SIZE)], StylizeOptions(), encode=True)
    content = noise(side)

    def once() -> float:
        start = perf_counter()
        session.stylize(content)
        return perf_counter() - start

    once()
    return once


def main(
    side: Annotated[list[int] | None, typer.Option(help="Pixels; by default 512 and 1024.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="By default 1 and 2.")] = None,
) -> None:
    """Print medians of the seconds, and the median of the turns' ratios, as a table in Markdown."""
    lines = ["| pixels | threads | PyTorch | ONNX Runtime | ratio |", "|---|---|---|---|---|"]
    for pixels in side or (512, 1024):
        for count in threads or (1, 2):
            with Elsewhere(stylizing, "torch", count, pixels) as torch, Elsewhere(stylizing, "onnx", count, pixels) as onnx:
                turns = np.array([(torch(), onnx()) for _ in tqdm(range(TURNS), desc=f"{pixels}, {count} threads")])
            seconds, ratio = np.median(turns, axis=0), np.median(turns[:, 0] / turns[:, 1])
            lines.append(f"| {pixels} x {pixels} | {count} | {seconds[0]:.2f} s | {seconds[1]:.2f} s | {ratio:.2f} |")
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    typer.run(main)
