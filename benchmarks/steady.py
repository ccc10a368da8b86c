"""What `ieast stylize --steady` brings, and what it costs: the table of docs/video.md.

python -m benchmarks.steady CLIP... --style STYLE... [--pictures FOLDER]

Each clip, as large as it is, is stylized in each style frame by frame and steadily, from the same pictures of the model, so
that nothing else differs. The time of a steady frame is measured around that of the model's within it: both are of one moment.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from PIL import Image
from torch import Tensor

from ieast.checkpoint import load_model
from ieast.cli.models import model_folder
from ieast.config import EncoderConfig, StylizeOptions
from ieast.evaluation.distances import style_distance
from ieast.evaluation.flow import WarpingErrors, optical_flow, visible, warp, warping_error
from ieast.evaluation.heatmaps import Differences, MeanDifference, common_limit, heat_map, plot_flicker
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.perceptual import PerceptualDistance, perceptual_distance
from ieast.io.images import read_image, to_tensor
from ieast.io.listing import list_frames
from ieast.io.video import read_video_frames
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.stylization.inputs import read_style
from ieast.stylization.session import StyleSession
from ieast.stylization.steady import Steady

INTERVALS = (1, 10)
SCORED_EVERY = 3
"""Frames between those whose style, content and detail are scored."""


@dataclass
class Scores:
    """Of one clip, in one way; means over its frames."""

    warping: dict[int, float]
    """By interval, as the evaluation measures it: along the flow between both frames."""
    stepwise: float
    """At the longest interval, along the flows of the steps between: where DIS does not see motion as long as that."""
    steps: list[float]
    """Perceptual distances between adjacent frames."""
    style: float = float("nan")
    content: float = float("nan")
    detail: float = float("nan")

    @property
    def temporal(self) -> float:
        """The mean of `steps`."""
        return float(np.mean(self.steps))


@dataclass
class Run:
    """A clip stylized frame by frame and steadily."""

    frames: list[Image.Image]
    plain: list[Image.Image] = field(default_factory=list)
    steady: list[Image.Image] = field(default_factory=list)
    model_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """The time of a steady frame over the model's: the median over frames, but for the first two."""
        return float(np.median(np.divide(self.seconds, self.model_seconds)[2:]))


def run(session: StyleSession, frames: list[Image.Image]) -> Run:
    """Stylize `frames`."""
    result = Run(frames)

    def stylize(frame: Image.Image) -> Image.Image:
        started = time.perf_counter()
        result.plain.append(session.stylize(frame))
        result.model_seconds.append(time.perf_counter() - started)
        return result.plain[-1]

    steady = Steady(stylize)
    for frame in frames:
        started = time.perf_counter()
        result.steady.append(steady(frame))
        result.seconds.append(time.perf_counter() - started)
    return result


class StepwiseErrors:
    """Warping errors at an interval, along the flows of the steps between; frames are given one by one."""

    def __init__(self, interval: int):
        self.values: list[float] = []
        self._interval = interval
        self._shown: deque[Tensor] = deque(maxlen=interval + 1)
        self._steps: deque[tuple[Tensor, Tensor]] = deque(maxlen=interval)
        self._before: Tensor | None = None

    def add(self, original: Tensor, stylized: Tensor) -> None:
        """Take the next frame, as it is and stylized, each (3, H, W) in [0, 1]."""
        if self._before is not None:
            forward = optical_flow(self._before, original)
            self._steps.append((forward, visible(forward, optical_flow(original, self._before)).float()))
        self._before = original
        self._shown.append(stylized)
        if len(self._steps) == self._interval:
            flow, seen = self._steps[0]
            for step, mask in islice(self._steps, 1, None):
                seen = seen * warp(mask[None], flow)[0]
                flow = flow + warp(step, flow)
            error = warping_error(self._shown[0], stylized, flow, seen > 0.99)
            if error is not None:
                self.values.append(error)


@torch.no_grad()
def score(
    frames: Sequence[Image.Image],
    shown: Sequence[Image.Image],
    style: Tensor | None,
    encoder: Encoder,
    distance: PerceptualDistance,
) -> Scores:
    """Score `shown`, which `frames` became; without a style (1, 3, H, W), only how steady they are."""
    warping, stepwise = WarpingErrors(INTERVALS), StepwiseErrors(max(INTERVALS))
    features = []
    for frame, picture in zip(frames, shown, strict=True):
        warping.add(to_tensor(frame)[0], to_tensor(picture)[0])
        stepwise.add(to_tensor(frame)[0], to_tensor(picture)[0])
        features.append(distance.features(to_tensor(picture)))
    scores = Scores(
        {interval: float(np.mean(errors)) for interval, errors in warping.stylized.items()},
        float(np.mean(stepwise.values)),
        [float(distance.between(a, b)) for a, b in pairwise(features)],
    )
    if style is not None:
        chosen = range(0, len(frames), SCORED_EVERY)
        scores.style = float(np.mean([float(style_distance(encoder, to_tensor(shown[k]), style)) for k in chosen]))
        scores.content = float(
            np.mean([float(distance.between(features[k], distance.features(to_tensor(frames[k])))) for k in chosen])
        )
        scores.detail = float(np.mean([fine_structure(to_tensor(shown[k])).detail for k in chosen]))
    return scores


@torch.no_grad()
def moved(result: Run, distance: PerceptualDistance) -> float:
    """Temporal distance of a stylization that does nothing but move: each picture of the model's, and the same moved on."""
    values = []
    for (before, after), picture in zip(pairwise(result.frames), result.plain, strict=False):
        flow = optical_flow(to_tensor(after)[0], to_tensor(before)[0])
        still = to_tensor(picture)
        values.append(float(distance(still, warp(still[0], flow)[None])))
    return float(np.mean(values))


def strip(result: Run, scale: int = 3) -> Image.Image:
    """One row of each frame below that of the frame before: of the clip, frame by frame, and steadily."""
    row = result.frames[0].height // 2
    columns = [
        np.repeat(np.stack([np.asarray(picture)[row] for picture in pictures]), scale, axis=0)
        for pictures in (result.frames, result.plain, result.steady)
    ]
    gap = np.full((len(columns[0]), 6, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([columns[0], gap, columns[1], gap, columns[2]], axis=1))


COLUMNS = (
    "clip, style",
    "warping error, 1 frame",
    "10 frames",
    "10 frames, by steps",
    "temporal LPIPS",
    "moved",
    "the clip's",
    "steady / clip",
    "style distance",
    "content LPIPS",
    "detail",
    "time",
)
"""Arrows lead from frame by frame to steady; what is one number is the ratio of steady to frame by frame."""


def rows(clips: Sequence[Path], styles: Sequence[Path], model: str, name: str, pictures: Path | None) -> Iterator[str]:
    """Rows of the table; ratios are those of steady to plain."""
    stylizer, _ = load_model(model_folder(model))
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    distance = perceptual_distance(name, encoder)
    for clip in clips:
        frames = [read_image(path) for path in list_frames(clip)] if clip.is_dir() else list(read_video_frames(clip))
        own = score(frames, frames, None, encoder, distance)
        for style in styles:
            picture = read_style(style, StylizeOptions().style_size)
            result = run(StyleSession(stylizer, [picture], StylizeOptions(), encode=True), frames)
            target = to_tensor(picture)
            plain, steady = (score(frames, shown, target, encoder, distance) for shown in (result.plain, result.steady))
            if pictures is not None:
                by_name = {"frame by frame": plain, "steady": steady, "the clip": own}
                draw(pictures, f"{clip.stem}-{style.stem}", result, by_name)
            pairs = [(plain.warping[k], steady.warping[k]) for k in INTERVALS]
            pairs.append((plain.stepwise, steady.stepwise))
            cells = [f"{clip.stem}, {style.stem}", *(f"{a:.4f} → {b:.4f}: {b / a:.2f}" for a, b in pairs)]
            cells.append(f"{plain.temporal:.3f} → {steady.temporal:.3f}")
            cells += [f"{moved(result, distance):.3f}", f"{own.temporal:.3f}", f"{steady.temporal / own.temporal:.2f}"]
            cells += [f"{getattr(steady, of) / getattr(plain, of):.2f}" for of in ("style", "content", "detail")]
            yield _row([*cells, f"{result.cost:.2f}"])


def draw(folder: Path, name: str, result: Run, scores: Mapping[str, Scores]) -> None:
    """Write what flicker looks like into `folder`: a row over time, where frames differ, and when.

    Args:
        folder: Is made where it is not there.
        name: What the files' names begin with.
        result: The clip.
        scores: Of frame by frame and of steady, by these names, and of the clip itself as the last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strip(result).save(folder / f"{name}-strip.png")
    changes = [MeanDifference() for _ in range(3)]
    for shown, change in zip((result.frames, result.plain, result.steady), changes, strict=True):
        for picture in shown:
            change.add(to_tensor(picture)[0])
    own, plain, steady = (change.value() for change in changes)
    limit = common_limit([Differences(own, plain)])
    maps = [np.asarray(heat_map(values, limit)) for values in (own, plain, steady)]
    gap = np.full((len(maps[0]), 6, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([maps[0], gap, maps[1], gap, maps[2]], axis=1)).save(folder / f"{name}-heat.png")
    *models, clips = scores
    column = "temporal_distance"
    flicker = {
        model: pd.DataFrame(
            {
                "clip": name,
                "frame": range(1, len(result.frames)),
                column: scores[model].steps,
                f"{column}_inputs": scores[clips].steps,
            }
        )
        for model in models
    }
    plot_flicker(flicker).savefig(folder / f"{name}-flicker.png", dpi=110)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(
    clips: Annotated[list[Path], typer.Argument(help="Folders of frames, or video files.")],
    style: Annotated[list[Path], typer.Option(help="Artworks.")],
    model: Annotated[str, typer.Option(help="As `ieast stylize` takes it.")] = "ieast",
    name: Annotated[str, typer.Option("--distance", help="As evaluation.perceptual_distance takes it.")] = "lpips-squeeze",
    pictures: Annotated[Path | None, typer.Option(help="A folder for pictures of flicker.")] = None,
) -> None:
    """Print the table, a row as soon as it is measured."""
    typer.echo(f"{_row(COLUMNS)}\n{_row(['---'] * len(COLUMNS))}")
    for line in rows(clips, style, model, name, pictures):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
