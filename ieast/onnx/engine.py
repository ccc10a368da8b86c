"""Stylizing by ONNX Runtime: one or several weighted styles, alpha and luminance, at any size that fits into memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from ieast.config.stylization import StylizeOptions
from ieast.errors import ConfigError, MemoryLimitError, WeightsError
from ieast.io.content_noise import with_noise
from ieast.io.cores import usable_cores
from ieast.io.memory import free_bytes, gigabytes
from ieast.io.transparency import keeping_alpha
from ieast.layers.sampling import sampled
from ieast.onnx.folder import BOUND, PALETTE, STATISTICS, read_onnx_card

Array = NDArray[np.float32]
Taps = tuple[Array, Array]
"""relu4_1 and relu5_1."""
StyleValues = dict[str, Array]
"""What the graph `transform` asks of a style."""

# Measured: maps of the picture's resolution and the encoder's first width that exist at once, and copies of the attention's
# scores.
_LIVE_MAPS = 5
_SCORES = 2.2
_OVERHEAD = 128 << 20


class OnnxEngine:
    """A model that `ieast.onnx.export.export_onnx` exported."""

    def __init__(self, folder: Path, threads: int | None = None):
        """Load the graphs.

        Args:
            folder: Where they lie.
            threads: How many to compute on; by default as many as this process may use.

        Raises:
            WeightsError: There is no exported model in it, or a file is missing or damaged.
        """
        self.card = read_onnx_card(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # it keeps what each graph had at its peak: twice the memory, at equal speed
        try:
            self._graphs = {
                name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
                for name in (file.removesuffix(".onnx") for file in self.card.files)
            }
        except Exception as error:  # ONNX Runtime has no common base of its errors
            raise WeightsError(f"{folder} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {error}") from error

    @property
    def bounds_palette(self) -> bool:
        """Whether pictures keep to the chrominances of their styles."""
        return PALETTE in self._graphs

    def digest(self) -> str:
        """Hex SHA-256 over the graphs."""
        return self.card.digest()

    def open(
        self, styles: Sequence[Image.Image], options: StylizeOptions, masks: Sequence[Image.Image] = (), *, encode: bool = False
    ) -> "OnnxSession":
        """Encode the styles, whether `encode` asks for it or not: they take little memory here.

        Raises:
            ConfigError: An option does not fit, or needs PyTorch.
            MemoryLimitError: There is not enough memory to encode a style.
        """
        del encode
        options.check(len(styles), len(masks))
        wants = [("masks", bool(masks)), ("preserve_colour coral", options.preserve_colour == "coral")]
        wants.append((f"precision {options.precision}", options.precision != "fp32"))
        for name, asked in wants:
            if asked:
                raise ConfigError(
                    f"{name}: ONNX Runtime's engine does not have it. Install ieast with its extra `torch` for it"
                )
        pixels = [to_array(style) for style in styles]
        values = [self.as_style(self.encode(each, 1, "a style")) for each in pixels]
        palettes = [self.palette(each) for each in pixels] if self.bounds_palette else None
        return OnnxSession(self, values, options, palettes)

    def encode(self, image: Array, multiple: int, name: str) -> Taps:
        """Taps of `image` (1, 3, H, W), which is continued by its borders to sides that `multiple` divides.

        Raises:
            MemoryLimitError: There is not enough memory.
        """
        least = self.card.smallest_side
        height, width = (-(-max(side, least) // multiple) * multiple for side in image.shape[2:])
        self._check_memory(height * width, 0, f"encoding {name} of {image.shape[3]}x{image.shape[2]} pixels")
        below, beyond = height - image.shape[2], width - image.shape[3]
        fine, coarse = self._run("encoder", images=np.pad(image, ((0, 0), (0, 0), (0, below), (0, beyond)), mode="edge"))
        return fine, coarse

    def as_style(self, taps: Taps) -> StyleValues:
        """What `transfer` looks at of the picture with these taps.

        Raises:
            MemoryLimitError: There is not enough memory.
        """
        values = {"style4_1": taps[0], "style5_1": taps[1]}
        if STATISTICS not in self._graphs:
            return values
        self._check_memory(
            0, taps[0][0, 0].size ** 2, f"looking at a style of about {8 * taps[0].shape[3]}x{8 * taps[0].shape[2]} pixels"
        )
        names = [output.name for output in self._graphs[STATISTICS].get_outputs()]
        return values | dict(zip(names, self._run(STATISTICS, **values), strict=True))

    def transfer(self, content: Taps, style: StyleValues) -> Array:
        """Features (1, C, H/8, W/8) of the content in the style."""
        return self._run("transform", content4_1=content[0], content5_1=content[1], **style)[0]

    def decode(self, features: Array, height: int, width: int) -> Array:
        """The picture (1, 3, H, W) in [0, 1] that `features` show."""
        return self._run("decoder", features=features)[0][:, :, :height, :width].clip(0, 1)

    def palette(self, image: Array) -> Array:
        """The palette (1, 5) of `image` (1, 3, H, W), in models that keep to palettes."""
        return self._run(PALETTE, images=np.ascontiguousarray(sampled(image)))[0]

    def within(self, stylized: Array, palettes: Sequence[Array], shares: Sequence[float]) -> Array:
        """`stylized` (1, 3, H, W) with the colours that the styles with these palettes and shares have."""
        return self._run(BOUND, pictures=stylized, palettes=np.concatenate(palettes), shares=np.array(shares, np.float32))[0]

    def in_colours_of(self, content: Array, stylized: Array) -> Array:
        """`stylized` with the colours of `content`, both (1, 3, H, W) in [0, 1]."""
        return self._run("colours", content=content, stylized=stylized)[0]

    def check_stylization(self, content: Array, styles: Sequence[StyleValues], reconstructs: bool) -> None:
        """Raise MemoryLimitError unless `content` (1, 3, H, W) can be stylized in `styles`, and reconstructed if that is so."""
        height, width = content.shape[2:]
        tokens = -(-height // 8) * -(-width // 8)
        largest = max([style["style4_1"][0, 0].size for style in styles] + [tokens] * reconstructs)
        self._check_memory(height * width, tokens * largest, f"stylizing {width}x{height} pixels")

    def _check_memory(self, pixels: int, scores: int, doing: str) -> None:
        needed = int(4 * max(_LIVE_MAPS * self.card.width * pixels, _SCORES * scores)) + _OVERHEAD
        if needed > (free := free_bytes()):
            raise MemoryLimitError(
                f"{doing} needs up to {gigabytes(needed)} of memory, and {gigabytes(free)} are available. Make the picture "
                "smaller, look at the style smaller (--style-size), or install ieast with its extra `torch`, which computes "
                "large pictures in tiles"
            )

    def _run(self, graph: str, **inputs: Array) -> list[Array]:
        return self._graphs[graph].run(None, inputs)


class OnnxSession:
    """A model with its styles and options at hand, for any number of contents."""

    def __init__(
        self, engine: OnnxEngine, styles: Sequence[StyleValues], options: StylizeOptions, palettes: Sequence[Array] | None
    ):
        self.engine, self.styles, self.options, self.palettes = engine, styles, options, palettes

    def stylize(self, content: Image.Image) -> Image.Image:
        """`content`, RGB or RGBA, stylized at its own size; as transparent as before.

        Raises:
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """
        return keeping_alpha(self._stylize, content)

    def _stylize(self, content: Image.Image) -> Image.Image:
        engine, alpha = self.engine, self.options.alpha
        weights = self.options.weights or (1.0,) * len(self.styles)
        shares = [alpha * weight / sum(weights) for weight in weights]
        pixels = to_array(with_noise(content, alpha * self.options.content_noise))
        engine.check_stylization(pixels, self.styles, alpha < 1)
        taps = engine.encode(pixels, engine.card.multiple, "a content")
        terms = [(share, style) for share, style in zip(shares, self.styles, strict=True) if share]
        if alpha < 1:
            terms.append((1 - alpha, engine.as_style(taps)))
        features = sum((np.float32(share) * engine.transfer(taps, style) for share, style in terms), np.float32(0))
        stylized = engine.decode(np.asarray(features), content.height, content.width)
        if self.options.preserve_colour == "luminance":
            stylized = engine.in_colours_of(pixels, stylized)
        elif self.palettes is not None:
            rest = [engine.palette(pixels)] if alpha < 1 else []
            stylized = engine.within(stylized, [*self.palettes, *rest], [*shares, *([1 - alpha] * len(rest))])
        return Image.fromarray((stylized[0].transpose(1, 2, 0) * 255).round().astype(np.uint8))


def to_array(image: Image.Image) -> Array:
    """An RGB picture as float32 (1, 3, H, W) in [0, 1]."""
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / np.float32(255))
