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
from ieast.evaluation.deception import FEWEST, MOST_REAL, Stylizations, deception
from ieast.evaluation.grid import stylization_grid
from ieast.evaluation.heatmaps import Differences, clip_heat_map, common_limit
from ieast.evaluation.pairs import MODEL, PairScores, artwork_features, crop_side, score_pairs, scoring_styles, spread
from ieast.evaluation.perceptual import perceptual_distance, require_weights
from ieast.evaluation.preference import read_scorer
from ieast.evaluation.statistics import Interval, mean_interval
from ieast.evaluation.temporal import score_clips
from ieast.io.clips import list_clips
from ieast.io.files import sha256
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
    encoder: str  # name and digest of the one whose features gave the style, content and structural distances
    scorer: str | None = None  # SHA-256 of the file of the preference scorer, if one scored
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """95 % bootstrap intervals of `metrics` over pairs or clips; NaN where there is but one."""
    flicker: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row a step between adjacent frames: `clip`, `frame`, and its `temporal_` distances; empty without clips."""
    heatmaps: dict[str, Image.Image] = field(default_factory=dict)
    """By clip: where adjacent frames differ, the clip itself left, stylized right, all on one scale."""
    differences: dict[str, Differences] = field(default_factory=dict)
    """By clip: what the heat maps show, for drawing several models' on one scale."""
    references: pd.DataFrame = field(default_factory=pd.DataFrame)
    """`pairs` of the content and of the style as they are, in this order; the column `reference` says which."""

    @property
    def reference_metrics(self) -> dict[str, dict[str, float]]:
        """Means of `references`: by the reference's name, then by the metric's."""
        if self.references.empty:
            return {}
        means = self.references.drop(columns=["content", "style"]).groupby("reference", sort=False).mean()
        return {str(name): {str(metric): float(mean) for metric, mean in row.items()} for name, row in means.iterrows()}


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
        Its `metrics` are the scores of `ieast.metrics`, means of the columns of the same names: of `pairs`, with `deception`
        where there are pictures enough and `preference` where a scorer is configured; of `clips`, where there are any, the
        temporal ones, with `_inputs` at the end on the clips themselves, as the floor. Without a column are
        `deception_accuracy`, `preference_agreement` and, where its network is configured, `art_fid`. `references` has the
        scores of `pairs` of the content and of the style as they are.

    Raises:
        WeightsError: The weights of the perceptual distance or of ArtFID, or the preference scorer, are not at hand.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = (metric_encoder or stylizer.encoder).to(device)
    stylizer = stylizer.to(device)
    distance = perceptual_distance(config.perceptual_distance, encoder).to(device)
    art_fid = ArtFid(load_art_inception(Path(config.artfid_weights)).to(device)) if config.artfid_weights else None
    scorer = read_scorer(Path(config.preference)) if config.preference else None
    digest = encoder.digest()
    misfit = scorer.misfit(digest) if scorer else None
    if misfit is not None:  # not an error: a pipeline scores by the model's encoder and by the gate's, and a scorer fits one
        scorer = None
    scored = score_pairs(stylizer, encoder, distance, prepared, config, art_fid.add if art_fid else None, scorer)
    deceived = _score_deception(scored, encoder, prepared, config)
    pairs = scored.pairs
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
    skipped += deceived.skipped
    if misfit is not None:
        skipped.append(f"preference was not scored: {misfit}")
    for note in skipped:
        log.warning("%s", note)
    shown_contents, shown_styles = (
        spread(contents, config.grid_contents, config.size),
        spread(styles, config.grid_styles, config.size),
    )
    grid = stylization_grid(stylizer, [c for _, c in shown_contents], [s for _, s in shown_styles], config.size)
    intervals = {name: mean_interval(scores, config.seed) for name, scores in values.items()}
    metrics = {name: float(np.mean(scores)) for name, scores in values.items()}
    if deceived.interval is not None:
        metrics["deception_accuracy"] = deceived.accuracy
        intervals["deception"] = deceived.interval
    if scorer is not None and scorer.card is not None and np.isfinite(scorer.card.agreement):
        metrics["preference_agreement"] = scorer.card.agreement
        intervals["preference_agreement"] = scorer.card.interval
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
        encoder=f"{encoder.name} {digest}",
        scorer=sha256(config.preference) if config.preference and scorer is not None else None,
        intervals={name: (scores.low, scores.high) for name, scores in intervals.items()},
        flicker=clip_scores.flicker if clip_scores else pd.DataFrame(),
        heatmaps={clip: clip_heat_map(scores, limit) for clip, scores in differences.items()},
        differences=differences,
        references=pd.concat([table.assign(reference=name) for name, table in scored.references.items()], ignore_index=True),
    )


@dataclass(frozen=True)
class _Deceived:
    """What the deception score adds; without an interval it was not measured."""

    interval: Interval | None
    accuracy: float
    skipped: list[str]


def _score_deception(scored: PairScores, encoder: Encoder, prepared: PreparedDataset, config: EvaluationConfig) -> _Deceived:
    """Judge stylizations and references; the verdicts become a column of their tables."""
    contents, styles = (list(scored.pairs[side]) for side in ("content", "style"))
    artworks = []
    if len(set(styles)) >= FEWEST:  # else the cost would be for nothing
        enlarged = prepared.enlarged("style")
        artworks = [path for path in prepared.scoring_paths("style") if path not in enlarged]
    real, names = artwork_features(encoder, artworks, crop_side(config), max(MOST_REAL, config.pairs))
    model = deception(real, names, Stylizations(scored.features[MODEL], styles, contents), config.seed)
    if model.skipped is not None:
        return _Deceived(None, float("nan"), [f"deception was not scored: {model.skipped}"])
    scored.pairs["deception"] = model.taken
    for name, table in scored.references.items():
        judged = deception(real, names, Stylizations(scored.features[name], styles, contents), config.seed)
        table["deception"] = judged.taken
    return _Deceived(Interval(model.score, model.low, model.high, len(set(styles))), model.accuracy, [])


def require_evaluation_weights(config: EvaluationConfig) -> None:
    """Make sure that the weights which `evaluate` needs are at hand, downloading them if need be.

    Raises:
        WeightsError: Names the missing file and the folder it belongs in.
    """
    require_weights(config.perceptual_distance)
    if config.preference:
        read_scorer(Path(config.preference))
    if config.artfid_weights:
        load_art_inception(Path(config.artfid_weights))
