"""One model's scores on one prepared dataset: style, content, and temporal stability on clips."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ieast.config import EvaluationConfig
from ieast.data.prepare import PreparedDataset
from ieast.evaluation.artfid import ArtFid, load_art_inception
from ieast.evaluation.grid import stylization_grid
from ieast.evaluation.heatmaps import Differences, clip_heat_map, common_limit
from ieast.evaluation.pairs import score_pairs, scoring_styles, spread
from ieast.evaluation.perceptual import perceptual_distance, require_weights
from ieast.evaluation.statistics import mean_interval
from ieast.evaluation.temporal import score_clips
from ieast.io.clips import list_clips
from ieast.models.encoder import Encoder
from ieast.stylizer.base import Stylizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Scores and what they were made of."""

    metrics: dict[str, float]
    pairs: pd.DataFrame  # a row a content and style pair
    clips: pd.DataFrame  # a row a clip; empty without clips
    grid: Image.Image
    skipped: str | None  # what was not scored and why, if anything was not
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """95 % bootstrap intervals of `metrics` over pairs or clips; NaN where there is but one."""
    flicker: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row a step between adjacent frames: `clip`, `frame`, and its `temporal_` distances; empty without clips."""
    heatmaps: dict[str, Image.Image] = field(default_factory=dict)
    """By clip: where adjacent frames differ, the clip itself left, stylized right, all on one scale."""
    differences: dict[str, Differences] = field(default_factory=dict)
    """By clip: what the heat maps show, for drawing several models' on one scale."""


def evaluate(
    stylizer: Stylizer, prepared: PreparedDataset, config: EvaluationConfig, metric_encoder: Encoder | None = None
) -> Evaluation:
    """Score `stylizer`.

    Args:
        stylizer: The model.
        prepared: Pictures, and perhaps clips.
        config: How many, how large, and which perceptual distance.
        metric_encoder: Encoder of the style, content and structural distances, the stylizer's own by default. Two models are
            comparable only on the same one.

    Returns:
        Its `metrics` are the means of the columns of the same names. Of `pairs`: `style_distance`, `content_distance`,
        `content_<distance>`, `cfsd` (lower is better) and `content_ssim` (higher is better). Of `clips`, where there are any:
        `temporal_<distance>` between adjacent stylized frames and `warping_error_<interval>` (lower is steadier), and
        with `_inputs` at the end the same on the clips themselves, as the floor. And, where its network is configured,
        `art_fid` over all pairs, which has no interval.

    Raises:
        WeightsError: The weights of the perceptual distance or of ArtFID are not at hand.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = (metric_encoder or stylizer.encoder).to(device)
    stylizer = stylizer.to(device)
    distance = perceptual_distance(config.perceptual_distance, encoder).to(device)
    art_fid = ArtFid(load_art_inception(Path(config.artfid_weights)).to(device)) if config.artfid_weights else None
    pairs = score_pairs(stylizer, encoder, distance, prepared, config, watch=art_fid.add if art_fid else None)
    values = {name: list(pairs[name]) for name in pairs.columns.drop(["content", "style"])}
    contents, styles = prepared.scoring_paths("content"), scoring_styles(stylizer, prepared, config)
    clips = list_clips(Path(prepared.clips_folder)) if prepared.clips_folder else []
    clip_scores = None
    if clips:
        clip_scores = score_clips(stylizer, distance, clips, spread(styles, len(clips), config.size), config)
        values |= clip_scores.values
        skipped = clip_scores.skipped
    else:
        skipped = ["the dataset has no clips: temporal stability was not scored"]
    for note in skipped:
        log.warning("%s", note)
    shown_contents, shown_styles = (
        spread(contents, config.grid_contents, config.size),
        spread(styles, config.grid_styles, config.size),
    )
    grid = stylization_grid(stylizer, [c for _, c in shown_contents], [s for _, s in shown_styles], config.size)
    intervals = {name: mean_interval(scores, config.seed) for name, scores in values.items()}
    metrics = {name: float(np.mean(scores)) for name, scores in values.items()}
    if art_fid:
        metrics["art_fid"] = art_fid.value()
    differences = clip_scores.differences if clip_scores else {}
    limit = common_limit(differences.values())
    return Evaluation(
        metrics=metrics,
        pairs=pairs,
        clips=clip_scores.clips if clip_scores else pd.DataFrame(),
        grid=grid,
        skipped="; ".join(skipped) or None,
        intervals={name: (scores.low, scores.high) for name, scores in intervals.items()},
        flicker=clip_scores.flicker if clip_scores else pd.DataFrame(),
        heatmaps={clip: clip_heat_map(scores, limit) for clip, scores in differences.items()},
        differences=differences,
    )


def require_evaluation_weights(config: EvaluationConfig) -> None:
    """Make sure that the weights which `evaluate` needs are at hand, downloading them if need be.

    Raises:
        WeightsError: Names the missing file and the folder it belongs in.
    """
    require_weights(config.perceptual_distance)
    if config.artfid_weights:
        load_art_inception(Path(config.artfid_weights))
