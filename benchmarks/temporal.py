"""What computing each frame's features once saves in the perceptual distance between adjacent frames.

python -m benchmarks.temporal [CLIP]

Takes turns at scoring the clip pair by pair, as the `lpips` package is called, and with each frame's features kept, in one
process on the same frames; prints how often the second goes into the first, and that the distances are the same. Without a
clip, a drawn photograph moves across the frames.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image
from torch import Tensor

from benchmarks.rows import Row, take_turns
from ieast.config import EncoderConfig
from ieast.data.sample.photographs import draw_photograph
from ieast.evaluation.perceptual import PerceptualDistance, perceptual_distance
from ieast.evaluation.temporal import adjacent_distances
from ieast.io.clips import read_frames
from ieast.io.images import to_tensor
from ieast.models.encoder_weights import build_encoder


def pair_by_pair(distance: PerceptualDistance, frames: Sequence[Tensor]) -> list[float]:
    """Distances between adjacent `frames` (3, H, W), the features of all but the first and last computed twice."""
    return [float(distance(a[None], b[None])) for a, b in pairwise(frames)]


def drawn_clip(frames: int, size: int) -> list[Tensor]:
    """A drawn photograph that moves by two pixels a frame: (3, size, size) each, in [0, 1]."""
    picture = to_tensor(Image.fromarray(draw_photograph(5, seed=0)))[0]
    return [picture[:, :size, 2 * k : 2 * k + size] for k in range(frames)]


def compare(frames: Sequence[Tensor], name: str, repetitions: int) -> Row:
    """How much faster the distances of `frames` are with each frame's features computed once."""
    distance = perceptual_distance(name, build_encoder(EncoderConfig(name="vgg19-compact")))
    expected, distances = pair_by_pair(distance, frames), adjacent_distances(distance, frames)
    largest = max(abs(a - b) for a, b in zip(expected, distances, strict=True))
    seconds = take_turns(
        {"pairwise": lambda: pair_by_pair(distance, frames), "once": lambda: adjacent_distances(distance, frames)}, repetitions
    )
    note = (
        f"{name}, {len(frames)} frames of {frames[0].shape[2]}x{frames[0].shape[1]}, {torch.get_num_threads()} threads: "
        f"pairwise {seconds['pairwise']:.3f} s, once {seconds['once']:.3f} s; distances of {min(expected):.4f} to "
        f"{max(expected):.4f} differ by {largest:.0e} at most"
    )
    return Row("temporal LPIPS over a clip", seconds["pairwise"] / seconds["once"], least=1.7, aim=1.95, note=note)


def rows() -> list[Row]:
    """The row of the table: on the shipped encoder's taps, whose weights are always there."""
    return [compare(drawn_clip(16, 256), "encoder-taps", 15)]


def main(
    clip: Annotated[Path | None, typer.Argument(help="Folder of frames, or a video file.")] = None,
    name: Annotated[str, typer.Option("--distance", help="As evaluation.perceptual_distance takes it.")] = "lpips-squeeze",
    size: Annotated[int, typer.Option(min=64, help="Smallest side of the frames in pixels.")] = 256,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the clip that are used.")] = 16,
    repetitions: Annotated[int, typer.Option(min=1)] = 7,
) -> None:
    """Print the ratio of the medians and the largest difference of the distances."""
    pictures = list(read_frames(clip, size, frames)) if clip else drawn_clip(frames, size)
    row = compare(pictures, name, repetitions)
    typer.echo(f"{row.measured:.2f}x; {row.note}")


if __name__ == "__main__":
    typer.run(main)
