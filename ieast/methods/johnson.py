"""Johnson: one feed-forward network for each style (Johnson, Alahi and Fei-Fei 2016, arXiv 1603.08155).

With instance normalization (Ulyanov et al. 2016, arXiv 1607.08022), as published since.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from ieast.config import Settings
from ieast.config.stylization import PreserveColour
from ieast.errors import ConfigError, UnknownStyleError
from ieast.io.files import evenly
from ieast.io.images import central_square, read_image, to_tensor
from ieast.layers.convolution import ReflectedConvolution
from ieast.layers.statistics import mean_std
from ieast.models.encoder import Encoder
from ieast.stylizer.base import Originals, Stylizer, recoloured, size_of
from ieast.stylizer.memory import Size, encoding_bytes, map_bytes
from ieast.stylizer.style import Style
from ieast.stylizer.tiling import Tile

SIGNATURE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
SIGNATURE_SIDE = 64
"""Pixels a side to which a style is brought before it is compared with others."""
# Measured on 238 paintings and prints: in another size or squeezed into a square a picture moved by up to 0.023, at JPEG
# quality 30 by 0.027, cut to nine tenths of its sides by 0.1 or less 19 times in 20. For 19 styles in 20 the nearest
# other one was further than 0.12 away.
TOLERANCE = 0.1

RESIDUAL_BLOCKS = 5
LIVE_MAPS = 7
"""Maps of the first convolution's width that exist at once where a network is largest; measured."""
SMALLEST = 16
"""Pixels a side below which reflection padding and instance normalization have nothing to go by."""


class Layer(nn.Sequential):
    """A reflection-padded convolution with instance normalization, and ReLU unless it is the last of a block."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True):
        convolution = ReflectedConvolution(inputs, outputs, kernel, stride)
        super().__init__(convolution, nn.InstanceNorm2d(outputs, affine=True), *[nn.ReLU()] * relu)


class ResidualBlock(nn.Module):
    """x plus two convolutions of it."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(Layer(width, width, 3), Layer(width, width, 3, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), as it came."""
        return x + self.layers(x)


class StyleNetwork(nn.Sequential):
    """Pictures (B, 3, H, W) in [0, 1] to as large ones in [0, 1], with H and W multiples of 4.

    The released networks end in a scaled tanh, of which this is a part: σ(x) = (1 + tanh(x / 2)) / 2. They upsample by
    transposed convolutions; nearest neighbours and a convolution leave no chequerboard (Odena et al. 2016).
    """

    def __init__(self, width: int):
        super().__init__(
            Layer(3, width, 9),
            Layer(width, 2 * width, 3, 2),
            Layer(2 * width, 4 * width, 3, 2),
            *[ResidualBlock(4 * width) for _ in range(RESIDUAL_BLOCKS)],
            nn.Upsample(scale_factor=2),
            Layer(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            Layer(2 * width, width, 3),
            ReflectedConvolution(width, 3, 9),
            nn.Sigmoid(),
        )


class Johnson(Stylizer):
    """As many networks as styles, which learn together; a picture goes through that of the style it is asked in.

    The network is found by the style's signature: channel means and deviations of its taps at a fixed size, which hardly change
    with the size and the file that the style comes in.
    """

    name = "johnson"
    reconstructs = False
    any_style = False
    has_alpha = False
    has_masks = False
    has_coral = False
    blends = False
    recipe = {
        "objective": {
            "external_learning": False,
            "contrastive_learning": False,
            "distance": "mse",
            "content_layers": "relu3_1",
            "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
            "style_statistics": "gram",
            # The mean square of differences of Gram matrices that are divided by C goes with 1/C²: at a quarter of the width, a
            # sixteenth of this weight does the same.
            "weights": {"style": 1e4, "identity": 0.0, "total_variation": 1.0},
        },
        "training": {"iterations": 40_000, "batch_size": 6, "learning_rate": 1e-3},  # published: 4, which CL cannot pair
    }

    class Options(Settings):
        """Which styles, and how large the networks are."""

        styles: PositiveInt | tuple[str, ...] = Field(
            1, description="how many of the styles that models are scored in, evenly spread; or which, by their files' names"
        )
        width: PositiveInt = Field(32, description="channels of the first convolution")

        @model_validator(mode="after")
        def _names_differ(self) -> "Johnson.Options":
            if not isinstance(self.styles, int) and (not self.styles or len(set(self.styles)) < len(self.styles)):
                raise ValueError(f"styles {list(self.styles)} must be at least one name, and none twice")
            return self

    options: Options
    signatures: Tensor

    def __init__(self, encoder: Encoder, options: Settings | None = None):
        super().__init__(encoder, options)
        count = self.styles if isinstance(self.styles, int) else len(self.styles)
        self.networks = nn.ModuleList(StyleNetwork(self.options.width) for _ in range(count))
        # Of each style whole and of its central square. Zeros, which are near no picture's, until `choose_styles`.
        self.register_buffer("signatures", torch.zeros(count, 2, 2 * sum(encoder.widths[: len(SIGNATURE_TAPS)])))

    @property
    def styles(self) -> int | tuple[str, ...]:
        """Their names, or before training perhaps only how many."""
        return self.options.styles

    # -- training -------------------------------------------------------------------------------------------------------

    def choose_styles(self, training: Sequence[Path], scoring: Sequence[Path]) -> Sequence[Path]:
        """As many as there are networks; their names and signatures stay with the model.

        A number of them is taken from `scoring`, spread as where pictures of models are shown side by side: each network is
        of one style, and can be compared with other methods in no other.

        Raises:
            ConfigError: There are fewer, or none of a name that `model.options.styles` gives.
        """
        if isinstance(self.styles, int):
            if self.styles > len(scoring):
                raise ConfigError(
                    f"model.options.styles is {self.styles}, but there are {len(scoring)} styles that models are scored in; "
                    "lower it, or raise prepare.held_out"
                )
            chosen = evenly(scoring, self.styles)
        else:
            by_name = {path.stem: path for path in [*training, *scoring]}
            if missing := [name for name in self.styles if name not in by_name]:
                raise ConfigError(
                    f"model.options.styles names {some_of(missing)}, of which there is no picture among the {len(by_name)} "
                    f"styles; they are {some_of(sorted(by_name))}"
                )
            chosen = [by_name[name] for name in self.styles]
        self.options = self.options.model_copy(update={"styles": tuple(path.stem for path in chosen)})
        with torch.no_grad():
            for number, path in enumerate(chosen):
                picture = to_tensor(read_image(path)).to(self.signatures)
                self.signatures[number] = torch.cat([self.signature(picture), self.signature(central_square(picture))])
        return chosen

    def known_styles(self, paths: Sequence[Path]) -> Sequence[Path]:
        """Those of the names it learnt."""
        return [path for path in paths if not isinstance(self.styles, int) and path.stem in self.styles]

    def parts(self) -> dict[str, nn.Module]:
        """The networks."""
        return {"networks": self.networks}

    def generate(self, content: Originals, style: Originals) -> tuple[Tensor, Tensor | None]:
        """Each content by the network of its style, and no features."""
        assert style.index is not None
        return self._through(content.images, style.index % len(self.networks)), None

    def _through(self, images: Tensor, numbers: Tensor) -> Tensor:
        """`images` (B, 3, H, W), each by the network of its number (B,)."""
        pictures, places = [], []
        for number in numbers.unique().tolist():
            chosen = (numbers == number).nonzero().flatten()
            pictures.append(self.networks[number](images[chosen]))
            places.append(chosen)
        return torch.cat(pictures)[torch.cat(places).argsort()]

    # -- use ------------------------------------------------------------------------------------------------------------

    def signature(self, styles: Tensor) -> Tensor:
        """Channel means and deviations (B, D) of the taps of `styles` (B, 3, H, W) in [0, 1], of any size."""
        side = (SIGNATURE_SIDE, SIGNATURE_SIDE)
        taps = self.encoder(F.interpolate(styles, side, mode="bilinear", antialias=True), SIGNATURE_TAPS)
        return torch.cat([part for name in SIGNATURE_TAPS for part in mean_std(taps[name])], dim=1)

    def find(self, signatures: Tensor) -> Tensor:
        """Numbers (B,) of the networks of the styles with these signatures (B, D).

        Raises:
            UnknownStyleError: There is no network for one of them.
        """
        if isinstance(self.styles, int):
            raise UnknownStyleError(
                "this johnson model knows no style yet: train it, which gives it one for each of its networks"
            )
        nearest, numbers = self.distances(signatures).min(dim=1)
        if (nearest > TOLERANCE).any():
            which = "the style" if len(signatures) == 1 else f"style {int((nearest > TOLERANCE).nonzero()[0])} of the batch"
            raise UnknownStyleError(
                f"{which} is none that this johnson model was trained on; it knows {some_of(self.styles)}. Give the whole "
                "picture of one of them, in any size, or take a method that knows every style"
            )
        return numbers

    def distances(self, signatures: Tensor) -> Tensor:
        """How far signatures (B, D) are from those of the K styles, (B, K): from the nearer one and relative to it."""
        sizes = [2 * width for width in self.encoder.widths[: len(SIGNATURE_TAPS)]]
        by_tap = []
        for own, known in zip(signatures.float().split(sizes, dim=1), self.signatures.split(sizes, dim=2), strict=True):
            norms = torch.linalg.vector_norm(known, dim=2).clamp(min=torch.finfo(known.dtype).tiny)  # (K, 2)
            by_tap.append(torch.linalg.vector_norm(own[:, None, None] - known, dim=3) / norms)  # (B, K, 2)
        return torch.stack(by_tap).mean(dim=0).amin(dim=2)

    def _encode(self, image: Tensor, tile: Tile) -> Mapping[str, Tensor]:
        del tile
        return {"signature": self.signature(image)}

    @torch.inference_mode()
    def _paint(self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile) -> Tensor:
        """At once: every pixel depends on the statistics of all, at every layer."""
        del alpha
        (style,) = styles
        values = self._values(style.image, content, preserve_colour, tile)
        numbers = self.find(values["signature"]).expand(len(content))
        height, width = content.shape[-2:]
        below, beyond = (-(-max(side, SMALLEST) // 4) * 4 - side for side in (height, width))
        pictures = self._through(F.pad(content, (0, beyond, 0, below), mode="replicate"), numbers)
        return recoloured(pictures[..., :height, :width], content, preserve_colour)

    # -- memory ---------------------------------------------------------------------------------------------------------

    def encoding_bytes(self, image: Size, tile: Tile) -> int:
        """Of the small picture that is looked at."""
        del tile
        return encoding_bytes((image[0], SIGNATURE_SIDE, SIGNATURE_SIDE), self.encoder.widths)

    def stylization_bytes(
        self, content: Tensor, styles: list[Style], alpha: float, preserve_colour: PreserveColour, tile: Tile
    ) -> int:
        """What the network takes where it is largest, or the encoder on the small style."""
        del alpha, preserve_colour
        looking = max(self.encoding_bytes(size_of(style.image), tile) for style in styles)
        return max(looking, map_bytes(size_of(content), LIVE_MAPS * self.options.width))


def some_of(names: Sequence[str], count: int = 12) -> str:
    """`names` for people, at most `count` of them."""
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest} others" if rest > 0 else "")


METHOD = Johnson
