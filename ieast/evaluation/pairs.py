"""Scores of a model on pairs of a content and a style."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ieast.config import EvaluationConfig
from ieast.data.prepare import PreparedDataset
from ieast.errors import DataError
from ieast.evaluation.distances import Encode, cfsd, content_distance, content_ssim, style_distance, style_mismatch
from ieast.evaluation.features import Array, Remembering, pooled_features
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.perceptual import PerceptualDistance
from ieast.evaluation.preference import PreferenceScorer
from ieast.evaluation.references import CONTENT, STYLE, style_as_it_is
from ieast.evaluation.weave import weave
from ieast.io.files import evenly
from ieast.io.images import read_image, read_size, resize_smallest_side, to_tensor
from ieast.io.progress import progress_bar
from ieast.models.encoder import Encoder
from ieast.stylizer.base import Stylizer


@dataclass(frozen=True)
class PairScores:
    """What `score_pairs` found.

    Attributes:
        pairs: A row a pair: `content`, `style`, and the scores of the stylization.
        references: The same of the content and of the style as they are, by their names.
        features: By the references' names, and by `MODEL` of the stylizations, (N, D): `pooled_features` of middle squares.
    """

    pairs: pd.DataFrame
    references: Mapping[str, pd.DataFrame]
    features: Mapping[str, Array]


MODEL = "model"

CROP = 256
"""Most pixels of a side of what the deception score looks at: what artworks of the usual collections have unshrunk."""


@torch.inference_mode()
def score_pairs(
    stylizer: Stylizer,
    encoder: Encoder,
    distance: PerceptualDistance,
    prepared: PreparedDataset,
    config: EvaluationConfig,
    watch: Callable[[Tensor, Tensor, float], None] | None = None,
    scorer: PreferenceScorer | None = None,
) -> PairScores:
    """Score the model, and the content and the style as they are, on pairs.

    The same seed and data give the same pairs, so models are compared on equal terms.

    Args:
        stylizer: The model.
        encoder: Of style, content and structural distances.
        distance: The perceptual one between stylized picture and content.
        prepared: The pictures.
        config: How many pairs, and how large.
        watch: Given each stylized picture and its style, (1, 3, H, W) in [0, 1], and the perceptual distance.
        scorer: Of preference; without it there is no such score.
    """
    chosen = draw_pairs(prepared.scoring_paths("content"), scoring_styles(stylizer, prepared, config), config)
    device = encoder.conv0.weight.device
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in (MODEL, CONTENT, STYLE)}
    features: dict[str, list[Array]] = {name: [] for name in rows}
    for content_path, style_path in progress_bar(chosen, desc="scoring pairs"):
        content, style = (read_picture(path, config.size)[None].to(device) for path in (content_path, style_path))
        stylized, copy = stylizer.stylize(content, style), style_as_it_is(style_path, *content.shape[-2:]).to(device)
        seen = Remembering(encoder)
        for name, picture in ((MODEL, stylized), (CONTENT, content), (STYLE, copy)):
            scores = score_picture(seen, distance, picture, content, style)
            if scorer is not None:
                scores["preference"] = scorer.chance(seen, picture, style, content)
            rows[name].append({"content": content_path.name, "style": style_path.name, **scores})
            if name != STYLE:
                features[name].append(pooled_features(encoder, picture, crop=crop_side(config)))
        # Its own pixels: a copy in the content's size would be told by having been resized.
        features[STYLE].append(pooled_features(encoder, read_native(style_path).to(device), crop=crop_side(config)))
        if watch is not None:
            watch(stylized, style, float(rows[MODEL][-1][f"content_{distance.name}"]))  # type: ignore[arg-type]
    tables = {name: pd.DataFrame(table) for name, table in rows.items()}
    return PairScores(tables.pop(MODEL), tables, {name: np.stack(each) for name, each in features.items()})


def draw_pairs(contents: Sequence[Path], styles: Sequence[Path], config: EvaluationConfig) -> list[tuple[Path, Path]]:
    """`config.pairs` of all pairs of a content and a style, no pair twice; all of them where there are no more.

    The same seed and pictures give the same pairs.
    """
    count = len(contents) * len(styles)
    numbers = np.random.default_rng(config.seed).choice(count, size=min(config.pairs, count), replace=False)
    return [(contents[number // len(styles)], styles[number % len(styles)]) for number in numbers.tolist()]


class Named(NamedTuple):
    """A picture (3, H, W) in [0, 1], and the name of its file."""

    name: str
    picture: Tensor


def diagonal(stylizer: Stylizer, prepared: PreparedDataset, config: EvaluationConfig, count: int) -> list[tuple[Named, Named]]:
    """At most `count` pairs of a content and a style, each picture in one pair: the same for all models of a dataset."""
    contents = spread(prepared.scoring_paths("content"), count, config.size)
    styles = spread(scoring_styles(stylizer, prepared, config), count, config.size)
    return [(Named(*content), Named(*style)) for content, style in zip(contents, styles, strict=False)]


def score_picture(
    encoder: Encode, distance: PerceptualDistance, picture: Tensor, content: Tensor, style: Tensor
) -> dict[str, float]:
    """Every score of one stylization, by name.

    Args:
        encoder: Of style, content and structural distances.
        distance: The perceptual one to the content.
        picture: What was made, (1, 3, H, W) in [0, 1].
        content: From this, of the same size.
        style: In this style, (1, 3, H', W').
    """
    fine = fine_structure(picture)
    return {
        "style_distance": float(style_distance(encoder, picture, style)),
        "style_mismatch": float(style_mismatch(encoder, picture, style)),
        "content_distance": float(content_distance(encoder, picture, content)),
        "content_ssim": float(content_ssim(picture, content)),
        f"content_{distance.name}": float(distance(picture, content)),
        "cfsd": float(cfsd(encoder, picture, content)),
        "detail": fine.detail,
        "colour_noise": fine.colour_noise,
        "weave": weave(picture),
    }


@torch.inference_mode()
def artwork_features(encoder: Encoder, paths: Sequence[Path], side: int, count: int) -> tuple[Array, list[str]]:
    """Features of the middle square of at most `count` of the artworks at `paths`, evenly spread; and their names.

    They are cut, not resized, for a resized picture has other fine structure; those with fewer than `side` pixels are left out.
    """
    large = evenly([path for path in paths if min(read_size(path)) >= side], count)
    device = encoder.conv0.weight.device
    features = [pooled_features(encoder, read_native(path).to(device), crop=side) for path in large]
    return np.array(features), [path.name for path in large]


def crop_side(config: EvaluationConfig) -> int:
    """Pixels of the squares by which a classifier tells artworks from stylizations: as large as both have them."""
    return min(CROP, config.size)


def read_native(path: Path) -> Tensor:
    """The picture (1, 3, H, W) in [0, 1] at `path`, pixel for pixel."""
    return to_tensor(read_image(path))


def scoring_styles(stylizer: Stylizer, prepared: PreparedDataset, config: EvaluationConfig) -> Sequence[Path]:
    """The styles that `stylizer` is scored in: held out from training, unless it knows no others than it learnt.

    Raises:
        DataError: It knows none of the dataset's.
    """
    scoring = evenly(prepared.scoring_paths("style"), config.styles)
    held_out, learnt = (stylizer.known_styles(paths) for paths in (scoring, prepared.training_paths("style")))
    if not held_out and not learnt:
        raise DataError(f"this {stylizer.name} model knows none of the dataset's styles, so it cannot be scored on it")
    return held_out or learnt


def spread(paths: Sequence[Path], count: int, size: int) -> list[tuple[str, Tensor]]:
    """Names and pictures (3, H, W) in [0, 1] of at most `count` of `paths`, evenly spread over them; smallest side `size`."""
    return [(path.name, read_picture(path, size)) for path in evenly(paths, count)]


def read_picture(path: Path, size: int) -> Tensor:
    """The picture (3, H, W) in [0, 1] whose smallest side is `size`."""
    return to_tensor(resize_smallest_side(read_image(path, smallest_side=size), size))[0]
