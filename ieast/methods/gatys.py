"""Gatys: a picture whose pixels are optimized until its features are the content's and its Gram matrices the style's.

Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim import LBFGS, Adam
from tqdm import tqdm

from ieast.config import Settings
from ieast.config.stylization import PreserveColour
from ieast.layers.statistics import gram_matrix, total_variation
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.base import Stylizer, recoloured, size_of
from ieast.stylizer.memory import Size, encoding_bytes, gradient_bytes
from ieast.stylizer.style import EncodedStyle, Style
from ieast.stylizer.tiling import Tile, extended_size

HISTORY = 10
"""Steps that L-BFGS remembers, each as two pictures."""
OPTIMIZER_PICTURES = 8
"""As many pictures exist at once besides: the best, gradients, directions."""
BAR_AFTER_SECONDS = 2.0

Grams = Mapping[str, Tensor]
"""Gram matrices (1, C, C) by tap."""


class Gatys(Stylizer):
    """Nothing is trained: every picture is optimized by itself, which takes hundreds of passes through the encoder.

    Several styles are one whose Gram matrices are their weighted mean. The weighted sum of their losses has the same gradient.
    """

    name = "gatys"
    taps = STYLE_TAPS
    learns = "nothing"
    reconstructs = False
    has_alpha = False
    has_masks = False
    recipe = {"objective": {"external_learning": False, "contrastive_learning": False, "weights": {"identity": 0.0}}}

    class Options(Settings):
        """The loss, whose weights are for an encoder with mean activations of 1, and how it is minimized."""

        optimizer: Literal["lbfgs", "adam"] = Field(
            "lbfgs", description="`lbfgs` searches along lines (strong Wolfe conditions)"
        )
        iterations: PositiveInt = Field(300, description="times that the loss and its gradient are computed")
        learning_rate: PositiveFloat = Field(0.04, description="of Adam; 10 if pixels went up to 255")
        start: Literal["content", "noise"] = "content"
        seed: int = Field(0, ge=0, description="of the noise")
        content_layer: Literal["conv4_2", "relu4_1"] = "conv4_2"
        content_weight: float = Field(1.0, ge=0)
        style_weight: float = Field(100.0, ge=0)
        variation_weight: float = Field(10.0, ge=0, description="of the total variation")

    options: Options

    def parts(self) -> dict[str, nn.Module]:
        """Nothing."""
        return {}

    def optimize(self, content: Tensor, grams: Grams, watch: Callable[[float], None] = lambda _: None) -> Tensor:
        """The picture with the least loss of all that were looked at, computed in fp32 whatever autocast is on.

        Args:
            content: (1, 3, H, W) in [0, 1], at least `SMALLEST_SIDE` a side.
            grams: The style's Gram matrices.
            watch: Called with each loss.

        Returns:
            (1, 3, H, W), not cut off at 0 and 1.
        """
        # The caller may have switched gradients off, and given what cannot have any; and autocast keeps what it rounded a leaf
        # to, so that the encoder would see the first picture for ever.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(content.device.type, enabled=False):
            content = content.clone()
            grams = {name: gram.clone() for name, gram in grams.items()}
            layer = self.options.content_layer
            with torch.no_grad():
                target = self.encoder(content, (layer,))[layer]
            picture = self._start(content).requires_grad_()
            best, least, looks = content, float("inf"), 0

            def closure() -> float:
                nonlocal best, least, looks
                loss = self.loss(picture, target, grams)
                (picture.grad,) = torch.autograd.grad(loss, picture)
                value = loss.item()
                if looks < self.options.iterations:  # a line search may look further
                    if value < least:
                        best, least = picture.detach().clone(), value
                    watch(value)
                looks += 1
                return value

            if self.options.optimizer == "lbfgs":
                limit = self.options.iterations
                LBFGS([picture], max_iter=limit, max_eval=limit, history_size=HISTORY, line_search_fn="strong_wolfe").step(
                    closure
                )
            else:
                adam = Adam([picture], self.options.learning_rate)
                for _ in range(self.options.iterations):
                    adam.step(closure)
            return best

    def loss(self, picture: Tensor, target: Tensor, grams: Grams) -> Tensor:
        """L_content + L_style + L_variation, each weighted, of pictures (1, 3, H, W).

        L_content is the mean squared distance from `target` (1, C, h, w). L_style is, for each tap, the sum of squared
        differences of Gram matrices that are divided by C, H and W (Eq. 4, but for its factor 1/4), in the mean over taps.
        """
        options = self.options
        taps = self.encoder(picture, (*STYLE_TAPS, options.content_layer))
        content = F.mse_loss(taps[options.content_layer], target)
        style = torch.stack([(gram_matrix(taps[name]) - grams[name]).square().sum() for name in STYLE_TAPS]).mean()
        variation = total_variation(picture)
        return options.content_weight * content + options.style_weight * style + options.variation_weight * variation

    def _start(self, content: Tensor) -> Tensor:
        if self.options.start == "content":
            return content.clone()
        random = torch.Generator().manual_seed(self.options.seed)  # on the CPU: the same everywhere
        return torch.rand(content.shape, generator=random).to(content)

    # -- use ------------------------------------------------------------------------------------------------------------

    def _encode(self, image: Tensor, tile: Tile) -> Grams:
        """At once, whatever `tile` says: Gram matrices need all of relu1_1. In fp32, as they are compared with."""
        del tile
        with torch.autocast(image.device.type, enabled=False):
            taps = self.encoder(_continued(image))
            return {name: gram_matrix(taps[name]) for name in STYLE_TAPS}

    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        """One by one."""
        del alpha, tile
        pictures = [
            self._paint_one(picture, [_of(style, number) for style in styles], preserve_colour)
            for number, picture in enumerate(content.split(1))
        ]
        return torch.cat(pictures)

    def _paint_one(self, content: Tensor, styles: list[Style], preserve_colour: PreserveColour) -> Tensor:
        total = sum(style.weight for style in styles)
        with torch.no_grad():
            grams = [self._values(style.image, content, preserve_colour, None) for style in styles]
            shares = [style.weight / total for style in styles]
            target = {
                name: torch.stack([share * gram[name] for share, gram in zip(shares, grams, strict=True)]).sum(dim=0)
                for name in STYLE_TAPS
            }
        with tqdm(
            total=self.options.iterations, desc="optimizing", unit="it", leave=False, delay=BAR_AFTER_SECONDS, disable=None
        ) as bar:

            def watch(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
                bar.update()

            picture = self.optimize(_continued(content), target, watch)
        height, width = content.shape[-2:]
        return recoloured(picture[..., :height, :width].clamp(0, 1), content, preserve_colour)

    # -- memory ---------------------------------------------------------------------------------------------------------

    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """What the encoder takes on the whole picture, measured."""
        del tile
        return encoding_bytes(image, self.encoder.widths, None)

    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """The maps that one picture's gradient needs, and the steps that L-BFGS remembers, both measured."""
        del alpha, preserve_colour
        batch, height, width = size_of(content)
        steps = 2 * HISTORY if self.options.optimizer == "lbfgs" else 0
        pictures = 2 * 3 * 4 * batch * height * width
        optimizing = gradient_bytes((1, height, width), self.encoder.widths, steps + OPTIMIZER_PICTURES)
        looking = [self.encoding_bytes((1, *size_of(style.image)[1:]), tile) for style in styles]
        return pictures + max([optimizing, *looking])


def _of(style: Style, number: int) -> Style:
    """`style` as it is for the content of this number."""
    image = style.image
    if len(image) == 1:
        return style
    if isinstance(image, Tensor):
        return Style(image[number : number + 1], style.weight)
    values = {name: value[number : number + 1] for name, value in image.values.items()}
    return Style(EncodedStyle(image.method, image.encoder, image.size, values), style.weight)


def _continued(images: Tensor) -> Tensor:
    """Pictures too small for the encoder are continued by their borders."""
    height, width = extended_size(images, 1)
    return F.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]), mode="replicate")


METHOD = Gatys
