"""Pictures in, pictures out: what stylizing files and serving have in common."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ieast.config import StylizeOptions
from ieast.errors import ConfigError
from ieast.io.content_noise import with_noise
from ieast.io.images import to_image, to_tensor
from ieast.io.transparency import keeping_alpha
from ieast.layers.precision import warn_of_slow_bf16
from ieast.models.encoder import weights_digest
from ieast.stylizer.base import Stylizer
from ieast.stylizer.style import EncodedStyle, Style


class StyleSession:
    """A model with its styles and options at hand, for any number of contents."""

    def __init__(
        self,
        stylizer: Stylizer,
        styles: Sequence[Image.Image | EncodedStyle],
        options: StylizeOptions,
        masks: Sequence[Image.Image] = (),
        *,
        encode: bool = False,
    ):
        """Take up the styles.

        Args:
            stylizer: The model.
            styles: Artworks, as large as they are to be looked at (`scaled_down`), or what another session encoded of them.
            options: Options.
            masks: One a style, white where the style applies, of exactly the size of the contents; or none.
            encode: Encode the styles now, for many contents, where that can be. One content takes less memory without.

        Raises:
            ConfigError: An option does not fit.
            MemoryLimitError: There is not enough memory to encode a style.
        """
        options.check(len(styles), len(masks))
        if (lacking := stylizer.lacks(options.alpha, len(styles), len(masks), options.preserve_colour)) is not None:
            raise ConfigError(lacking)
        self.stylizer, self.options = stylizer, options
        self.device = next(stylizer.parameters()).device
        if options.precision == "bf16":
            warn_of_slow_bf16(self.device.type, "choose fp32")
        # CORAL changes a style for each content, so there is nothing to encode beforehand.
        encode = encode and options.preserve_colour != "coral"
        self.styles: list[Tensor | EncodedStyle] = []
        for style in styles:
            if isinstance(style, EncodedStyle):
                self.styles.append(style)
                continue
            pixels = self._pixels(style)
            with self._autocast():
                self.styles.append(stylizer.encode_style(pixels) if encode else pixels)
        # (1, 1, H, W) in [0, 1]: white 1, black 0
        self.masks = [self._pixels(mask).mean(dim=1, keepdim=True) for mask in masks]

    def stylize(self, content: Image.Image) -> Image.Image:
        """`content`, RGB or RGBA, stylized at its own size; as transparent as before.

        Raises:
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        return keeping_alpha(self._stylize, content)

    def _stylize(self, content: Image.Image) -> Image.Image:
        weights = self.options.weights or (1.0,) * len(self.styles)
        masks: Sequence[Tensor | None] = self.masks or [None] * len(self.styles)
        content = with_noise(content, self._noise())
        styles = [Style(s, w, m) for s, w, m in zip(self.styles, weights, masks, strict=True)]
        with self._autocast():
            stylized = self.stylizer.stylize(
                self._pixels(content), styles, self.options.alpha, preserve_colour=self.options.preserve_colour
            )
        return to_image(stylized.float().cpu())

    def _noise(self) -> float | NDArray[np.float32]:
        """As deviant as styles have a share in the result: what is to stay as it is gets none."""
        deviation = self.options.alpha * self.options.content_noise
        if not self.masks or not deviation:
            return deviation
        covered = torch.cat(self.masks).sum(dim=(0, 1)).clamp(max=1)
        return np.float32(deviation) * covered.float().cpu().numpy()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16")

    def _pixels(self, image: Image.Image) -> Tensor:
        return to_tensor(image).to(self.device)


class TorchEngine:
    """A stylizer as an engine: everything that its method can do, on its device."""

    def __init__(self, stylizer: Stylizer):
        self.stylizer = stylizer

    def digest(self) -> str:
        """Hex SHA-256 over the weights."""
        return weights_digest(self.stylizer.state_dict())

    def open(
        self, styles: Sequence[Image.Image], options: StylizeOptions, masks: Sequence[Image.Image] = (), *, encode: bool = False
    ) -> StyleSession:
        """As `StyleSession`."""
        return StyleSession(self.stylizer, styles, options, masks, encode=encode)
