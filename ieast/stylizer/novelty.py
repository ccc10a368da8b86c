"""How far a style is from those that a model was trained on: what says whether adapting the model to it may be worth it.

A style is told by the logarithms of the means and deviations of the encoder's five taps. Of the training styles a model keeps
where these lie and how far they spread; a new style's novelty is how many such spreads it is away, the root mean square over a
tap's channels and the mean over taps. A usual style has about 0.8, and each model knows how its own training styles are
distributed. Spreads are taken channel by channel: whole covariances take 200 times the numbers and order styles little better.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from ieast.layers.statistics import mean_std
from ieast.models.encoder import Encoder, Taps
from ieast.models.vgg19 import STYLE_TAPS, WIDTHS
from ieast.stylizer.tiling import encode

LOOKED_AT = 512
"""Pixels of a style's smallest side, if it has more: as for `ieast stylize`."""
_FLOOR = 1e-3
"""Added to statistics before the logarithm, so that channels which are silent do not count as infinitely far."""
_QUANTILES = np.linspace(0, 1, 101)
_DIGITS = 4


@dataclass(frozen=True)
class Novelty:
    """How new a style is to a model.

    Attributes:
        distance: From the middle of the training styles, in their spreads.
        share: Of the training styles that are nearer to it, 0 to 1.
    """

    distance: float
    share: float

    def __str__(self) -> str:
        return f"{self.distance:.2f}, further than {100 * self.share:.0f} % of the styles that the model was trained on"


class StyleRange(BaseModel):
    """What a model keeps of its training styles.

    Attributes:
        count: How many were looked at.
        middle: Means over styles of the logarithms of the five taps' means and deviations, tap by tap, (2 ΣC,).
        spread: Their deviations over styles.
        distances: 101 quantiles, from the nearest to the furthest, of the styles' own distances.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    count: int
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    distances: tuple[float, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> "StyleRange":
        if len(self.middle) != len(self.spread) or len(self.middle) not in _lengths() or len(self.distances) != len(_QUANTILES):
            raise ValueError("the numbers of the training styles do not belong together")
        if min(self.spread) <= 0 or list(self.distances) != sorted(self.distances):
            raise ValueError("spreads must be positive, and distances in order")
        return self

    @classmethod
    def of(cls, vectors: Iterable[NDArray[np.float64]]) -> "StyleRange":
        """The range of styles with these `style_vector`s, at least two."""
        rows = np.stack(list(vectors))  # (N, 2 ΣC)
        middle, spread = rows.mean(axis=0), rows.std(axis=0) + _FLOOR
        distances = [_distance(row, middle, spread) for row in rows]
        numbers = (middle, spread, np.quantile(distances, _QUANTILES))
        rounded = [tuple(values.round(_DIGITS).tolist()) for values in numbers]
        return cls(count=len(rows), middle=rounded[0], spread=rounded[1], distances=rounded[2])

    def novelty(self, vector: NDArray[np.float64]) -> Novelty:
        """Of a style with this `style_vector`.

        Raises:
            ValueError: It is of another encoder.
        """
        if len(vector) != len(self.middle):
            raise ValueError(f"the style has {len(vector)} statistics, those of training have {len(self.middle)}")
        distance = _distance(vector, np.array(self.middle), np.array(self.spread))
        return Novelty(distance, float(np.interp(distance, self.distances, _QUANTILES)))

    def quantile(self, share: float) -> float:
        """Than which this `share` of the training styles is nearer."""
        return float(np.interp(share, _QUANTILES, self.distances))


@torch.inference_mode()
def style_vector(encoder: Encoder, image: Tensor) -> NDArray[np.float64]:
    """Logarithms of the means and deviations of the five taps of `image` (1, 3, H, W) in [0, 1], (2 ΣC,)."""
    return np.log(statistics_of(encode(encoder, image, 1, "auto", STYLE_TAPS)) + _FLOOR)


def statistics_of(taps: Taps) -> NDArray[np.float64]:
    """Means and deviations of the five taps (1, C, h, w), tap by tap, (2 ΣC,)."""
    return np.concatenate([part[0].double().cpu().numpy() for tap in STYLE_TAPS for part in mean_std(taps[tap])])


def _distance(vector: NDArray[np.float64], middle: NDArray[np.float64], spread: NDArray[np.float64]) -> float:
    squares = ((vector - middle) / spread) ** 2
    widths = next(widths for widths in WIDTHS.values() if 2 * sum(widths) == len(squares))
    ends = np.cumsum([2 * width for width in widths])[:-1]
    return float(np.mean([np.sqrt(part.mean()) for part in np.split(squares, ends)]))


def _lengths() -> set[int]:
    return {2 * sum(widths) for widths in WIDTHS.values()}
