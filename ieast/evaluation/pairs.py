"""Scores of a model on pairs of a content and a style."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ieast.config import EvaluationConfig
from ieast.data.prepare import PreparedDataset
from ieast.errors import DataError
from ieast.evaluation.distances import cfsd, content_distance, content_ssim, style_distance
from ieast.evaluation.perceptual import PerceptualDistance
from ieast.io.files import evenly
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.io.progress import progress_bar
from ieast.models.encoder import Encoder
from ieast.stylizer.base import Stylizer


@torch.inference_mode()
def score_pairs(
    stylizer: Stylizer,
    encoder: Encoder,
    distance: PerceptualDistance,
    prepared: PreparedDataset,
    config: EvaluationConfig,
    watch: Callable[[Tensor, Tensor, float], None] | None = None,
) -> pd.DataFrame:
    """A row a pair; the same seed and data give the same pairs, so models are compared on equal terms.

    Args:
        stylizer: The model.
        encoder: Of style, content and structural distances.
        distance: The perceptual one between stylized picture and content.
        prepared: The pictures.
        config: How many pairs, and how large.
        watch: Given each stylized picture and its style, (1, 3, H, W) in [0, 1], and the perceptual distance.
    """
    random = np.random.default_rng(config.seed)
    contents, styles = prepared.scoring_paths("content"), scoring_styles(stylizer, prepared, config)
    chosen = [
        (contents[random.integers(len(contents))], styles[int(random.integers(len(styles)))]) for _ in range(config.pairs)
    ]
    device = encoder.conv0.weight.device
    rows = []
    for content_path, style_path in progress_bar(chosen, desc="scoring pairs"):
        content, style = (read_picture(path, config.size)[None].to(device) for path in (content_path, style_path))
        stylized = stylizer.stylize(content, style)
        perceptual = float(distance(stylized, content))
        rows.append(
            {
                "content": content_path.name,
                "style": style_path.name,
                "style_distance": float(style_distance(encoder, stylized, style)),
                "content_distance": float(content_distance(encoder, stylized, content)),
                "content_ssim": float(content_ssim(stylized, content)),
                f"content_{distance.name}": perceptual,
                "cfsd": float(cfsd(encoder, stylized, content)),
            }
        )
        if watch is not None:
            watch(stylized, style, perceptual)
    return pd.DataFrame(rows)


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
