"""Temporal stability of a model on clips: flicker, warping error and where frames differ, in one pass over each clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ieast.config import EvaluationConfig
from ieast.evaluation.flow import WarpingErrors
from ieast.evaluation.heatmaps import Differences, MeanDifference
from ieast.evaluation.perceptual import PerceptualDistance
from ieast.io.clips import read_frames
from ieast.io.images import to_image, to_tensor
from ieast.io.progress import progress_bar
from ieast.stylization.steady import Steady
from ieast.stylizer.base import Stylizer


class AdjacentDistances:
    """Distances between each frame and the one before it; each frame's features are computed once."""

    def __init__(self, distance: PerceptualDistance):
        self.values: list[float] = []
        self._distance = distance
        self._before: list[Tensor] | None = None

    def add(self, frame: Tensor) -> None:
        """Take the next frame (1, 3, H, W) in [0, 1]."""
        now = self._distance.features(frame)
        if self._before is not None:
            self.values.append(float(self._distance.between(self._before, now)))
        self._before = now


def adjacent_distances(distance: PerceptualDistance, frames: Iterable[Tensor]) -> list[float]:
    """Distances between adjacent `frames`, each (3, H, W) in [0, 1]; of frames, two are held at a time."""
    steps = AdjacentDistances(distance)
    for frame in frames:
        steps.add(frame[None])
    return steps.values


@dataclass(frozen=True)
class ClipScores:
    """What one pass over a clip gives."""

    stylized_steps: list[float]
    """Perceptual distances between adjacent stylized frames."""
    input_steps: list[float]
    """The same of the clip itself."""
    warping: WarpingErrors
    differences: Differences


class _Painter:
    """Stylizes the frames of a clip (1, 3, H, W) one after another, steadily if that is asked for."""

    def __init__(self, stylizer: Stylizer, style: Tensor, steady: bool):
        self._stylizer, self._style = stylizer, style
        self._fresh = style
        self._clip = Steady(lambda _: to_image(self._fresh)) if steady else None

    def __call__(self, frame: Tensor) -> Tensor:
        self._fresh = self._stylizer.stylize(frame, self._style)
        # A model that diverged must not get scores from what a picture makes of numbers that are none.
        if self._clip is None or not torch.isfinite(self._fresh).all():
            return self._fresh
        return to_tensor(self._clip(to_image(frame))).to(frame.device)


def score_clip(
    stylizer: Stylizer, distance: PerceptualDistance, clip: Path, style: Tensor, config: EvaluationConfig
) -> ClipScores:
    """Measure `clip`, stylized and as it is. Frames are read one at a time; as many as the longest interval are held.

    Args:
        stylizer: The model; frames are stylized independently, as in the paper's Table 2, or steadily if `config` says so.
        distance: Between two frames.
        clip: Folder of frames, or a video file.
        style: (3, H, W) in [0, 1].
        config: Size and number of frames, intervals, and whether clips are steady.
    """
    device = next(stylizer.parameters()).device
    stylized_steps, input_steps = AdjacentDistances(distance), AdjacentDistances(distance)
    stylized_change, input_change = MeanDifference(), MeanDifference()
    warping = WarpingErrors(config.warping_intervals)
    paint = _Painter(stylizer, style[None].to(device), config.steady)
    for cpu_frame in read_frames(clip, config.size, config.max_frames):
        frame = cpu_frame[None].to(device)
        stylized = paint(frame)
        stylized_steps.add(stylized)
        input_steps.add(frame)
        stylized_change.add(stylized[0])
        input_change.add(frame[0])
        warping.add(frame[0], stylized[0])
    return ClipScores(
        stylized_steps=stylized_steps.values,
        input_steps=input_steps.values,
        warping=warping,
        differences=Differences(inputs=input_change.value(), stylized=stylized_change.value()),
    )


@dataclass(frozen=True)
class TemporalScores:
    """All clips' scores."""

    clips: pd.DataFrame
    """A row a clip: `clip`, `style`, `frames` and the scores; NaN where a clip is too short for an interval."""
    flicker: pd.DataFrame
    """A row a step: `clip`, `frame` (the later of the two, from 1) and the distances over that step."""
    differences: dict[str, Differences]
    """By clip."""
    values: dict[str, list[float]]
    """Each score's values over the clips it could be measured on."""
    skipped: list[str]
    """What could not be measured, and why."""


def score_clips(
    stylizer: Stylizer,
    distance: PerceptualDistance,
    clips: Sequence[Path],
    styles: Sequence[tuple[str, Tensor]],
    config: EvaluationConfig,
) -> TemporalScores:
    """Measure each of `clips` in one of `styles` (names and pictures (3, H, W) in [0, 1]), which take turns."""
    name = f"temporal_{distance.name}"
    rows, flicker, differences = [], [], {}
    for k, clip in enumerate(progress_bar(clips, desc="scoring clips")):
        style_name, style = styles[k % len(styles)]
        scores = score_clip(stylizer, distance, clip, style, config)
        steps = pd.DataFrame({name: scores.stylized_steps, f"{name}_inputs": scores.input_steps})
        means = {column: float(steps[column].mean(skipna=False)) for column in steps.columns} | _warping_means(scores.warping)
        rows.append({"clip": clip.name, "style": style_name, "frames": len(steps) + 1, **means})
        steps.insert(0, "clip", clip.name)
        steps.insert(1, "frame", np.arange(1, len(steps) + 1))
        flicker.append(steps)
        differences[clip.name] = scores.differences
    kinds = [name, *(f"warping_error_{interval}" for interval in config.warping_intervals)]
    names = [column for kind in kinds for column in (kind, f"{kind}_inputs")]
    values = {column: [row[column] for row in rows if column in row] for column in names}
    table = pd.DataFrame(rows).reindex(columns=["clip", "style", "frames", *(column for column in names if values[column])])
    return TemporalScores(
        clips=table,
        flicker=pd.concat(flicker, ignore_index=True),
        differences=differences,
        values={column: scores for column, scores in values.items() if scores},
        skipped=_too_short(values, len(clips), config),
    )


def _warping_means(errors: WarpingErrors) -> dict[str, float]:
    kinds = (("", errors.stylized), ("_inputs", errors.inputs))
    return {
        f"warping_error_{interval}{suffix}": float(np.mean(steps))
        for suffix, by_interval in kinds
        for interval, steps in by_interval.items()
        if steps
    }


def _too_short(values: dict[str, list[float]], clips: int, config: EvaluationConfig) -> list[str]:
    notes = []
    for interval in config.warping_intervals:
        short = clips - len(values[f"warping_error_{interval}"])
        if short:
            notes.append(
                f"the warping error at interval {interval} was not scored on {short} of {clips} clips, which have no two "
                f"frames so far apart that show the same (evaluation.max_frames is {config.max_frames})"
            )
    return notes
