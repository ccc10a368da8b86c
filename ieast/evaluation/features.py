"""What a frozen encoder sees in a picture, as one vector: the features of the deception and preference scores."""

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ieast.evaluation.distances import Encode
from ieast.evaluation.noise import fine_structure
from ieast.io.images import to_image, to_tensor
from ieast.models.encoder import Taps
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.novelty import statistics_of

Array = NDArray[np.float64]


class Remembering:
    """An encoder that computes the taps of each picture once, as long as this object lives."""

    def __init__(self, encoder: Encode):
        self._encoder = encoder
        self._seen: dict[int, tuple[Tensor, Taps]] = {}

    def __call__(self, images: Tensor, layers: Collection[str] = STYLE_TAPS) -> Taps:
        """All five taps of `images` (B, 3, H, W) in [0, 1], of which `layers` are some.

        Pictures are known by being the same tensor, which is not to be changed.
        """
        assert set(layers) <= set(STYLE_TAPS)
        if id(images) not in self._seen:
            self._seen[id(images)] = images, self._encoder(images)  # with the images, whose id nothing else then gets
        return self._seen[id(images)][1]


@torch.inference_mode()
def pooled_features(encoder: Encode, picture: Tensor, crop: int | None = None) -> Array:
    """Logarithms of means and deviations of the encoder's five taps, and of detail and noise in colour; (2 ΣC + 2,).

    Logarithms, because activations are products of many factors, and a linear scorer then sees their ratios.

    Args:
        encoder: φ.
        picture: (1, 3, H, W) in [0, 1]; never enlarged, for a blur would give away which was.
        crop: Pixels of the middle square that is taken alone, so that all pictures have as many positions; a smaller picture
            has its whole middle square. It is rounded to 8 bits, for files are. None: all of the picture, as it is.

    Returns:
        NaN where the picture is not finite.
    """
    if crop is not None:
        side = min(crop, *picture.shape[-2:])
        top, left = ((length - side) // 2 for length in picture.shape[-2:])
        picture = picture[..., top : top + side, left : left + side]
        if torch.isfinite(picture).all():
            picture = to_tensor(to_image(picture)).to(picture)
    fine = fine_structure(picture)
    return np.log(np.concatenate([statistics_of(encoder(picture)), [fine.detail, fine.noise]]) + 1e-3)
