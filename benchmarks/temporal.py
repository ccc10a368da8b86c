"""What computing each frame's features once saves in the perceptual distance between adjacent frames.

python -m benchmarks.temporal CLIP_FOLDER

Takes turns at scoring the clip pair by pair, as the `lpips` package is called, and with each frame's features kept, in one
process on the same frames; prints how often the second goes into the first, and that the distances are the same.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from ieast.clips import read_frames
from ieast.config import EncoderConfig
from ieast.evaluation.perceptual import PerceptualDistance, perceptual_distance
from ieast.evaluation.temporal import adjacent_distances
from ieast.models.encoder import build_encoder


def pair_by_pair(distance: PerceptualDistance, frames: Sequence[Tensor]) -> list[float]:
    """Distances between adjacent `frames` (3, H, W), the features of all but the first and last computed twice."""
    return [float(distance(a[None], b[None])) for a, b in pairwise(frames)]


def seconds(
    function: Callable[[PerceptualDistance, Sequence[Tensor]], list[float]],
    distance: PerceptualDistance,
    frames: Sequence[Tensor],
) -> float:
    """How long `function` takes once."""
    start = time.perf_counter()
    function(distance, frames)
    return time.perf_counter() - start


def main(
    clip: Annotated[Path, typer.Argument(help="Folder of frames, or a video file.")],
    name: Annotated[str, typer.Option("--distance", help="As evaluation.perceptual_distance takes it.")] = "lpips-squeeze",
    size: Annotated[int, typer.Option(min=64, help="Smallest side of the frames in pixels.")] = 256,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the clip that are used.")] = 16,
    repetitions: Annotated[int, typer.Option(min=1)] = 7,
) -> None:
    """Print the ratio of the medians and the largest difference of the distances."""
    distance = perceptual_distance(name, build_encoder(EncoderConfig(name="vgg19-compact")))
    pictures = list(read_frames(clip, size, frames))
    expected, found = pair_by_pair(distance, pictures), adjacent_distances(distance, pictures)  # warms both up
    largest = max(abs(a - b) for a, b in zip(expected, found, strict=True))
    times: dict[str, list[float]] = {"pairwise": [], "once": []}
    for _ in range(repetitions):
        times["pairwise"].append(seconds(pair_by_pair, distance, pictures))
        times["once"].append(seconds(adjacent_distances, distance, pictures))
    medians = {kind: statistics.median(measured) for kind, measured in times.items()}
    ratio = medians["pairwise"] / medians["once"]
    typer.echo(
        f"{name}, {len(pictures)} frames of {pictures[0].shape[2]}x{pictures[0].shape[1]}, {torch.get_num_threads()} threads, "
        f"medians of {repetitions}: pairwise {medians['pairwise']:.3f} s, once {medians['once']:.3f} s, ratio {ratio:.2f}; "
        f"distances of {min(expected):.4f} to {max(expected):.4f} differ by {largest:.1e} at most"
    )


if __name__ == "__main__":
    typer.run(main)
