"""One model's scores on one prepared dataset: style, content, and temporal stability on clips."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ieast.clips import list_clips, read_frames
from ieast.config import EvaluationConfig
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.grid import stylization_grid
from ieast.evaluation.perceptual import PerceptualDistance, perceptual_distance
from ieast.images import read_image, resize_smallest_side, to_tensor
from ieast.losses import functional
from ieast.models.encoder import STYLE_TAPS, Encoder
from ieast.models.stylizer import Stylizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Scores and what they were made of."""

    metrics: dict[str, float]
    pairs: pd.DataFrame  # a row a content and style pair
    clips: pd.DataFrame  # a row a clip; empty without clips
    grid: Image.Image
    skipped: str | None  # why the clips were not scored, if they were not


def evaluate(
    stylizer: Stylizer, prepared: PreparedDataset, config: EvaluationConfig, metric_encoder: Encoder | None = None
) -> Evaluation:
    """Score `stylizer`.

    Args:
        stylizer: The model.
        prepared: Pictures, and perhaps clips.
        config: How many, how large, and which perceptual distance.
        metric_encoder: Encoder of the style and content distances, the stylizer's own by default. Two models are comparable
            only on the same one.

    Returns:
        `style_distance` and `content_distance` (lower is better), and with clips `temporal_<distance>` between adjacent
        stylized frames (lower is steadier) and `temporal_<distance>_inputs`, the same on the clips themselves, as the floor.

    Raises:
        WeightsError: The perceptual distance's weights are not at hand.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = (metric_encoder or stylizer.encoder).to(device)
    stylizer = stylizer.to(device)
    distance = perceptual_distance(config.perceptual_distance, encoder).to(device)
    pairs = _score_pairs(stylizer, encoder, prepared, config)
    metrics = {f"{name}_distance": float(pairs[f"{name}_distance"].mean()) for name in ("style", "content")}
    clips = list_clips(Path(prepared.clips_folder)) if prepared.clips_folder else []
    table, skipped = pd.DataFrame(), None
    if clips:
        style = _pictures(prepared.scoring_paths("style"), len(clips), config.size)
        table = _score_clips(stylizer, distance, clips, style, config)
        metrics |= {name: float(table[name].mean()) for name in table.columns if name.startswith("temporal_")}
    else:
        skipped = "the dataset has no clips: temporal stability was not scored"
        log.warning(skipped)
    contents = _pictures(prepared.scoring_paths("content"), config.grid_contents, config.size)
    styles = _pictures(prepared.scoring_paths("style"), config.grid_styles, config.size)
    grid = stylization_grid(stylizer, [c for _, c in contents], [s for _, s in styles], config.size)
    return Evaluation(metrics=metrics, pairs=pairs, clips=table, grid=grid, skipped=skipped)


def style_distance(encoder: Encoder, stylized: Tensor, style: Tensor) -> Tensor:
    """Squared differences of μ and of σ over the five taps, each tap in units of the style's mean activation.

    Args:
        encoder: φ; because of the units its scale does not matter.
        stylized: (1, 3, H, W) in [0, 1].
        style: (1, 3, H', W') in [0, 1].
    """
    taps, wanted = encoder(stylized), encoder(style)
    total = stylized.new_zeros(())
    for tap in STYLE_TAPS:
        unit = wanted[tap].mean()
        for a, b in zip(functional.mean_std(taps[tap]), functional.mean_std(wanted[tap]), strict=True):
            total = total + ((a - b) / unit).square().mean()
    return total


def content_distance(encoder: Encoder, stylized: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of mean-variance-normalised relu4_1 and relu5_1, added; pictures (1, 3, H, W) in [0, 1]."""
    taps, wanted = encoder(stylized), encoder(content)
    layers = ("relu4_1", "relu5_1")
    return functional.content_loss([taps[t] for t in layers], [wanted[t] for t in layers], "mse", normalise=True)


@torch.inference_mode()
def _score_pairs(stylizer: Stylizer, encoder: Encoder, prepared: PreparedDataset, config: EvaluationConfig) -> pd.DataFrame:
    random = np.random.default_rng(config.seed)
    contents, styles = prepared.scoring_paths("content"), prepared.scoring_paths("style")
    # The same seed and data give the same pairs, so models are compared on equal terms.
    chosen = [(contents[random.integers(len(contents))], styles[random.integers(len(styles))]) for _ in range(config.pairs)]
    rows = []
    for content_path, style_path in _progress(chosen, "scoring pairs"):
        content, style = (_read(path, config.size)[None].to(encoder.conv0.weight.device) for path in (content_path, style_path))
        stylized = stylizer.stylize(content, style)
        rows.append(
            {
                "content": content_path.name,
                "style": style_path.name,
                "style_distance": float(style_distance(encoder, stylized, style)),
                "content_distance": float(content_distance(encoder, stylized, content)),
            }
        )
    return pd.DataFrame(rows)


def _score_clips(
    stylizer: Stylizer,
    distance: PerceptualDistance,
    clips: Sequence[Path],
    styles: Sequence[tuple[str, Tensor]],
    config: EvaluationConfig,
) -> pd.DataFrame:
    rows = []
    for k, clip in enumerate(_progress(clips, "scoring clips")):
        name, style = styles[k % len(styles)]
        stylized_steps, input_steps = temporal_distances(stylizer, distance, clip, style, config)
        rows.append(
            {
                "clip": clip.name,
                "style": name,
                "frames": len(input_steps) + 1,
                f"temporal_{distance.name}": float(np.mean(stylized_steps)),
                f"temporal_{distance.name}_inputs": float(np.mean(input_steps)),
            }
        )
    return pd.DataFrame(rows)


def temporal_distances(
    stylizer: Stylizer, distance: PerceptualDistance, clip: Path, style: Tensor, config: EvaluationConfig
) -> tuple[list[float], list[float]]:
    """Distances between adjacent frames of `clip`, stylized and as they are; frames are read one at a time.

    Args:
        stylizer: The model; frames are stylized independently, as in the paper's Table 2.
        distance: Between two frames.
        clip: Folder of frames.
        style: (3, H, W) in [0, 1].
        config: Size and number of frames.
    """
    stylized_steps, input_steps = [], []
    before: tuple[Tensor, Tensor] | None = None
    device = next(stylizer.parameters()).device
    for cpu_frame in read_frames(clip, config.size, config.max_frames):
        frame = cpu_frame[None].to(device)
        now = (stylizer.stylize(frame, style[None].to(device)), frame)
        if before is not None:
            stylized_steps.append(float(distance(before[0], now[0])))
            input_steps.append(float(distance(before[1], now[1])))
        before = now
    return stylized_steps, input_steps


def _pictures(paths: Sequence[Path], count: int, size: int) -> list[tuple[str, Tensor]]:
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [(paths[k].name, _read(paths[k], size)) for k in chosen]


def _read(path: Path, size: int) -> Tensor:
    return to_tensor(resize_smallest_side(read_image(path, smallest_side=size), size))[0]


def _progress(items: Sequence, what: str) -> tqdm:
    return tqdm(items, desc=what, mininterval=0.2 if sys.stderr.isatty() else 20.0)
