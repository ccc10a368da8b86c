"""What stands still on the screen, and so lowers the temporal LPIPS of stylized clips without steadying anything.

python -m benchmarks.standing CLIPS --style STYLE... --model NAME=MODEL... -o FOLDER

Decoders paint with the period of their upsampling, and what repeats with it stays where it is while the clip moves below it:
two frames are the more alike for it. So every clip is stylized twice: through a window that stays, and through one that moves
over the frames by some pixels from each to the next, by every phase of the period; what both have seen is compared. A model of
convolutions alone, without downsampling, would have the same distances both times.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from torch import Tensor
from tqdm import tqdm

from ieast.checkpoint import load_model
from ieast.cli.models import model_folder
from ieast.config import EncoderConfig
from ieast.evaluation.perceptual import perceptual_distance
from ieast.evaluation.statistics import compare, ratio_interval, summarize
from ieast.evaluation.temporal import adjacent_distances
from ieast.io.clips import list_clips, read_frames
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer.base import Stylizer

PERIOD = 16
"""Pixels of the coarsest tap, relu5_1."""
STEPS = 5, 7
"""By which the moving window goes on, down and to the right, modulo `PERIOD`: it comes to every phase of both."""


def offsets(moves: bool) -> Iterator[tuple[int, int]]:
    """Where in each frame the window's upper left corner lies, endlessly."""
    number = 0
    while True:
        yield (STEPS[0] * number % PERIOD, STEPS[1] * number % PERIOD) if moves else (PERIOD // 2, PERIOD // 2)
        number += 1


@torch.inference_mode()
def seen_by_both(stylizer: Stylizer, frames: Sequence[Tensor], style: Tensor, moves: bool) -> Iterator[Tensor]:
    """What is left of each stylized frame where every window has been.

    Args:
        stylizer: Stylizes every frame by itself.
        frames: (3, H, W) each, in [0, 1]; more than twice `PERIOD` a side.
        style: (1, 3, h, w).
        moves: Whether the window does.

    Yields:
        (3, H - 2 `PERIOD`, W - 2 `PERIOD`).
    """
    for frame, (top, left) in zip(frames, offsets(moves), strict=False):
        height, width = (side - PERIOD for side in frame.shape[1:])
        window = stylizer.stylize(frame[None, :, top : top + height, left : left + width], style)[0]
        yield window[:, PERIOD - top : height - top, PERIOD - left : width - left]


def main(
    clips: Annotated[Path, typer.Argument(help="Folder with one folder of frames, or video, per clip.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tables.")],
    style: Annotated[list[Path], typer.Option(help="An artwork; they take turns.")],
    model: Annotated[list[str], typer.Option(help="NAME=MODEL; the first is what others are compared with.")],
    name: Annotated[str, typer.Option("--distance", help="As evaluation.perceptual_distance takes it.")] = "lpips-squeeze",
    size: Annotated[int, typer.Option(min=64, help="Smallest side of frames and styles in pixels.")] = 256,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each clip that are used.")] = 20,
) -> None:
    """Print distances between adjacent frames by model, with the window that stays and the one that moves."""
    distance = perceptual_distance(name, build_encoder(EncoderConfig(name="vgg19-compact")))
    stylizers = {}
    for each in model:
        label, _, where = each.rpartition("=")
        stylizers[label or where] = load_model(model_folder(where))[0]
    pictures = [to_tensor(resize_smallest_side(read_image(path), size)) for path in style]
    rows = []
    for number, clip in enumerate(tqdm(list_clips(clips), desc="clips")):
        read = list(read_frames(clip, size, frames))
        for label, stylizer in stylizers.items():
            row: dict[str, object] = {"variant": label, "clip": clip.name}
            for column, moves in (("stays", False), ("moves", True)):
                seen = seen_by_both(stylizer, read, pictures[number % len(pictures)], moves)
                steps = adjacent_distances(distance, seen)
                row[column] = sum(steps) / len(steps)
            rows.append(row)
    table = pd.DataFrame(rows)
    table["rise"] = table["moves"] - table["stays"]
    output.mkdir(parents=True, exist_ok=True)
    table.to_csv(output / "clips.csv", index=False)
    metrics = ["stays", "moves", "rise"]
    with pd.option_context("display.float_format", "{:.4f}".format):
        typer.echo(summarize(table, metrics, ["clip"]).to_string(index=False))
        for variant, rows_of in table.groupby("variant", sort=False):
            ratio = ratio_interval(rows_of["moves"], rows_of["stays"])
            typer.echo(f"{variant}: {ratio.mean:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] times as much when the window moves")
        if len(stylizers) > 1:
            typer.echo(compare(table, next(iter(stylizers)), metrics, ["clip"]).to_string(index=False))
    typer.echo(f"table  {output / 'clips.csv'}")


if __name__ == "__main__":
    typer.run(main)
