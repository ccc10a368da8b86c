"""The work itself: an order becomes a picture, and encoded styles are kept for the next one."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cachetools import LRUCache
from PIL import Image

from ieast.config.stylization import StylizeOptions
from ieast.errors import ConfigError, ImageError, TooManyPixelsError
from ieast.io.images import Behind, decode_bytes, encode_jpeg, encode_png, encode_webp
from ieast.models.vgg19 import SMALLEST_SIDE
from ieast.service.limits import Limits
from ieast.service.metrics import Measures
from ieast.service.models import ServedModel
from ieast.service.orders import Order
from ieast.styles import shipped_styles
from ieast.stylization.inputs import check_mask, scaled_down
from ieast.stylization.novelty import novelty_of
from ieast.stylization.session import StyleSession
from ieast.stylizer.novelty import Novelty
from ieast.stylizer.style import EncodedStyle

_ENCODERS = {"jpeg": encode_jpeg, "png": encode_png, "webp": encode_webp}
_WEBP_SIDE = 16_383


@dataclass(frozen=True)
class Painted:
    """A finished picture.

    Attributes:
        data: The file's content.
        width: In pixels.
        height: In pixels.
        cached: How many of its styles had been encoded before.
        novelty: Of each style, as far as it is known, how far it is from those of training.
        seconds: What each stage took.
    """

    data: bytes
    width: int
    height: int
    cached: int
    novelty: tuple[Novelty | None, ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class KnownStyle:
    """A style that was encoded.

    Attributes:
        encoded: What the method keeps of it.
        novelty: How far it is from the training styles, if the model knows these.
    """

    encoded: EncodedStyle
    novelty: Novelty | None


class StyleCache:
    """Encoded styles by model, digest of the file and size looked at; those not used for longest give way."""

    def __init__(self, most: int, measures: Measures) -> None:
        """Keep up to `most` bytes."""
        self._kept: LRUCache[tuple[object, ...], KnownStyle] = LRUCache(most, getsizeof=_bytes_of)
        self._lock = threading.Lock()
        self._measures = measures

    def get(self, key: tuple[object, ...], make: Callable[[], KnownStyle]) -> tuple[KnownStyle, bool]:
        """The style of `key`, and whether it was there; otherwise what `make` returns."""
        with self._lock:
            kept = self._kept.get(key)
        self._measures.lookups.labels("hit" if kept is not None else "miss").inc()
        if kept is not None:
            return kept, True
        encoded = make()
        with self._lock:
            if _bytes_of(encoded) <= self._kept.maxsize:
                self._kept[key] = encoded
            self._measures.cached_bytes.set(self._kept.currsize)
        return encoded, False


def paint(order: Order, model: ServedModel, cache: StyleCache, limits: Limits) -> Painted:
    """Make what `order` asks for.

    Raises:
        TooManyPixelsError: A picture is larger than `limits` allow.
        ImageError: A picture cannot be read, or a mask does not fit.
        ConfigError: The method has not what is asked of it.
        MemoryLimitError: There is not enough memory.
    """
    watch = _Watch()
    with watch("decoding"):
        content, original = _content(order, limits)
        masks = [_mask(number, data, content, original, limits) for number, data in enumerate(order.masks)]
    with watch("styles"):
        styles = [_style(number, style, order.options, model, cache, limits) for number, style in enumerate(order.styles)]
        encoded = [style.encoded if isinstance(style, KnownStyle) else style for style, _ in styles]
        session = StyleSession(model.stylizer, encoded, order.options, masks)
    with watch("stylizing"):
        picture = session.stylize(content)
    with watch("encoding"):
        data = _ENCODERS[order.format](picture)
    novelty = tuple(style.novelty if isinstance(style, KnownStyle) else _novelty(style, model) for style, _ in styles)
    return Painted(data, *picture.size, sum(hit for _, hit in styles), novelty, watch.seconds)


class _Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start


def _content(order: Order, limits: Limits) -> tuple[Image.Image, tuple[int, int]]:
    """The content as it is stylized, and its size as it came."""
    behind: Behind | None = None if order.keep_alpha else "white"
    image = decode_bytes(order.content, name="content", min_side=SMALLEST_SIDE, max_pixels=limits.decoded_pixels, behind=behind)
    original = image.size
    if order.longest_side is not None and max(original) > order.longest_side:
        width, height = (max(SMALLEST_SIDE, round(side * order.longest_side / max(original))) for side in original)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    if image.width * image.height > limits.stylized_pixels:
        side = int(limits.stylized_pixels**0.5)
        raise TooManyPixelsError(
            f"content: has too many pixels to be stylized here: {image.width}x{image.height} is more than "
            f"{limits.stylized_pixels:,} in all. Make it smaller, or send longest_side={side} to have that done"
        )
    if order.format == "webp" and max(image.size) > _WEBP_SIDE:
        raise ConfigError(f"WebP holds no picture of {image.width}x{image.height} pixels; ask for format=png")
    return image, original


def _mask(number: int, data: bytes, content: Image.Image, original: tuple[int, int], limits: Limits) -> Image.Image:
    # Where a mask is transparent, its style does not apply.
    image = decode_bytes(data, name=f"mask {number + 1}", max_pixels=limits.decoded_pixels, behind="black")
    check_mask(f"mask {number + 1}", image, "content", original)
    return image if image.size == content.size else image.resize(content.size, Image.Resampling.BILINEAR)


def _style(
    number: int, style: bytes | str, options: StylizeOptions, model: ServedModel, cache: StyleCache, limits: Limits
) -> tuple[Image.Image | KnownStyle, bool]:
    data = shipped_styles()[style].read_bytes() if isinstance(style, str) else style

    def read() -> Image.Image:
        name, size = f"style {number + 1}", options.style_size
        image = decode_bytes(data, name=name, smallest_side=size, min_side=SMALLEST_SIDE, max_pixels=limits.decoded_pixels)
        try:
            image = scaled_down(image, size)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None
        if image.width * image.height > limits.stylized_pixels:
            raise TooManyPixelsError(
                f"{name}: has too many pixels to be looked at here: {image.width}x{image.height} is more than "
                f"{limits.stylized_pixels:,} in all. Make it smaller, crop it, or send a smaller style_size"
            )
        return image

    if options.preserve_colour == "coral":
        return read(), False  # which is recoloured for each content before it is looked at

    def encode() -> KnownStyle:
        image = read()
        [encoded] = StyleSession(model.stylizer, [image], replace(options, weights=()), encode=True).styles
        assert isinstance(encoded, EncodedStyle)
        return KnownStyle(encoded, _novelty(image, model))

    # Of another version with these weights, the card may know other training styles.
    key = (model.digest, model.version, id(model.styles), hashlib.sha256(data).digest(), options.style_size, options.precision)
    return cache.get(key, encode)


def _novelty(style: Image.Image, model: ServedModel) -> Novelty | None:
    return None if model.styles is None else novelty_of(style, model.stylizer.encoder, model.styles)


def _bytes_of(style: KnownStyle) -> int:
    return sum(values.nbytes for values in style.encoded.values.values())
