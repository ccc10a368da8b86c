"""What people choose when they stylize, whatever engine does it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ieast.errors import ConfigError

PreserveColour = Literal["none", "luminance", "coral"]
PRESERVE_COLOUR: tuple[PreserveColour, ...] = get_args(PreserveColour)

MIN_STYLE_SIZE = 16
MOST_NOISE = 0.2

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class StylizeOptions:
    """What is done to a content, but for the styles and masks themselves.

    Attributes:
        alpha: 0 keeps the content, 1 stylizes fully.
        weights: One a style, or none for equal ones; only proportions matter.
        style_size: Smallest side in pixels at which styles are looked at; smaller ones are taken as they are.
        preserve_colour: As for `Stylizer.stylize`.
        precision: `bf16` computes convolutions and attention with 8 significant bits, up to twice as fast where the hardware
            can; colours then differ by one or two of 255 levels on average, by twenty where it is most.
        steady: Whether frames of a clip are carried over from those before, so that strokes do not flicker; pictures are as
            without.
        content_noise: Standard deviation, of the whole range of values, of the noise that contents get before they are looked
            at, times alpha (`ieast.io.content_noise`); 0 takes them as they are, as publications do.
    """

    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    style_size: int = 512
    preserve_colour: PreserveColour = "none"
    precision: Precision = "fp32"
    steady: bool = False
    content_noise: float = 0.01

    def check(self, styles: int, masks: int = 0) -> None:
        """Raise unless this fits so many styles, and so many masks, of which there may be none.

        Raises:
            ConfigError: Names the option that does not.
        """
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}; it must lie between 0 and 1")
        if self.style_size < MIN_STYLE_SIZE:
            raise ConfigError(f"style_size is {self.style_size}; it must be at least {MIN_STYLE_SIZE} pixels")
        if self.preserve_colour not in PRESERVE_COLOUR:
            raise ConfigError(f"preserve_colour is {self.preserve_colour!r}; it must be one of {', '.join(PRESERVE_COLOUR)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is {self.precision!r}; it must be one of {', '.join(get_args(Precision))}")
        if not 0 <= self.content_noise <= MOST_NOISE:
            raise ConfigError(f"content_noise is {self.content_noise}; it must lie between 0 and {MOST_NOISE}")
        for name, count in (("weights", len(self.weights)), ("masks", masks)):
            if count and count != styles:
                raise ConfigError(f"{count} {name} for {styles} styles; give one for each, in the same order, or none")
        if self.weights:
            try:
                check_weights(self.weights)
            except ValueError as error:
                raise ConfigError(str(error)) from None


def check_weights(weights: Sequence[float]) -> None:
    """Raise unless `weights` can be normalized.

    Raises:
        ValueError: One is negative or not finite, or all are 0, or too large to add up.
    """
    for number, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"style {number} has weight {weight}; weights must be finite and at least 0")
    if not sum(weights) > 0:
        raise ValueError(f"the weights of all {len(weights)} styles are 0; give at least one style a weight above 0")
    if not math.isfinite(sum(weights)):
        raise ValueError(f"the weights of all {len(weights)} styles are too large to add up; only proportions matter")
