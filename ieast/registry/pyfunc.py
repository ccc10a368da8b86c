"""The registered model as MLflow serves it: encoded pictures in, encoded pictures out."""

import base64
import binascii
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_EXHAUSTED
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from PIL import Image

from ieast.checkpoint import load_model
from ieast.config import StylizeOptions
from ieast.errors import ConfigError, IeastError, ImageError, MemoryLimitError
from ieast.io.images import MAX_PIXELS, Behind, decode_bytes, encode_png
from ieast.stylization.inputs import check_mask, scaled_down
from ieast.stylization.novelty import novelty_of
from ieast.stylization.session import StyleSession
from ieast.stylizer.allocator import keep_freed_memory

PIXELS_SETTING = "IEAST_MAX_PIXELS"
"""A variable of the server's environment: pixels above which it refuses a picture; without it, as many as the command takes.

Below that memory decides, as for the command: what a stylization needs is known before it begins.
"""

# What a stranger may send.
MAX_STYLES = 8
MAX_STYLE_SIZE = 2048

# Optional cells are of any type, and checked here, because MLflow refuses NaN in arrays and, over REST, null in binary
# columns, and cuts off the zeros at the end of binary values in arrays.
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.binary, "content"),
            *(ColSpec(AnyType(), name, required=False) for name in ("style", "styles", "weights", "masks")),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.binary, "stylized", required=False),
            ColSpec(DataType.string, "error", required=False),
            ColSpec(AnyType(), "novelty", required=False),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("alpha", DataType.double, StylizeOptions.alpha),
            ParamSpec("style_size", DataType.long, StylizeOptions.style_size),
            ParamSpec("preserve_colour", DataType.string, StylizeOptions.preserve_colour),
            ParamSpec("precision", DataType.string, StylizeOptions.precision),
            ParamSpec("content_noise", DataType.double, StylizeOptions.content_noise),
            ParamSpec("keep_alpha", DataType.boolean, False),
            ParamSpec("novelty", DataType.boolean, False),
        ]
    ),
)


class StylizerModel(PythonModel):
    """Each row holds a content and its styles, the bytes of picture files; the answer is a PNG of the content's size.

    A row that cannot be used has no `stylized` but says why in `error`, which is null for the others; these are answered.

    Columns: `content`; either `style`, or `styles`, a list of up to `MAX_STYLES` that are blended; and, where wanted, `weights`
    and `masks`, lists with one number or picture a style, as for `ieast stylize`. Where a row lacks one, its cell is null or
    NaN. Pictures may also be base64 text, which is how they come as JSON.

    Parameters: `alpha` in [0, 1], the strength of the style; `style_size`, the smallest side in pixels at which styles are
    looked at; `preserve_colour`, as for `Stylizer.stylize`; `content_noise`, as of `StylizeOptions`; and `keep_alpha`, whether
    a content's transparency is kept or laid on white. With `novelty`, the answer has a column of this name: for each of the
    row's styles how far it is from those that the model was trained on, and which share of them is nearer
    (`ieast.stylizer.novelty`); null where the model does not know, or the row cannot be used.
    """

    def load_context(self, context: Any) -> None:
        """Read the exported model that was logged as the artifact `model`."""
        keep_freed_memory(1 << 30)  # a server that once met a large picture need not hold on to all it took
        self.max_pixels = _max_pixels()
        self.stylizer, self.card = load_model(context.artifacts["model"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Stylize row by row.

        Raises:
            MlflowException: A parameter cannot be used, or no row can; names the rows and columns. MLflow's server answers with
                its message, and of other errors only says that there was one.
        """
        del context
        params = dict(params or {})
        asked = bool(params.pop("novelty", False))
        try:
            keep_alpha = bool(params.pop("keep_alpha", False))
            options = _checked(StylizeOptions(**params))
        except IeastError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        stylized: list[bytes | None] = []
        novelty: list[list[dict[str, float]] | None] = []
        errors: list[IeastError | None] = []
        for number, row in enumerate(model_input.to_dict("records")):
            try:
                png, styles = self._stylize(number, row, options, keep_alpha)
                novelty.append(self._novelty(styles) if asked else None)
                stylized.append(png)
                errors.append(None)
            except IeastError as error:
                stylized.append(None)
                novelty.append(None)
                errors.append(error)
        if errors and all(errors):
            code = RESOURCE_EXHAUSTED if isinstance(errors[0], MemoryLimitError) else INVALID_PARAMETER_VALUE
            raise MlflowException("\n".join(map(str, errors)), code) from errors[0]
        said = [None if error is None else str(error) for error in errors]
        columns = {"stylized": stylized, "error": said} | ({"novelty": novelty} if asked else {})
        return pd.DataFrame(columns, dtype=object)

    def _novelty(self, styles: list[Image.Image]) -> list[dict[str, float]] | None:
        if self.card.styles is None:
            return None
        return [asdict(novelty_of(style, self.stylizer.encoder, self.card.styles)) for style in styles]

    def _stylize(
        self, number: int, row: dict[Any, Any], options: StylizeOptions, keep_alpha: bool
    ) -> tuple[bytes, list[Image.Image]]:
        """The row's picture as PNG, and its styles."""
        with _named(f"row {number}, content"):
            content = _picture(row.get("content"), self.max_pixels, behind=None if keep_alpha else "white")
        styles = _styles(number, row, options.style_size, self.max_pixels)
        with _named(f"row {number}, weights"):
            options = replace(options, weights=_weights(row.get("weights")))
            options.check(len(styles))
        with _named(f"row {number}, masks"):
            cells = _cells(row.get("masks"), "pictures")
            options.check(len(styles), len(cells))
        masks = []
        for place, cell in enumerate(cells):
            with _named(f"row {number}, masks[{place}]"):
                masks.append(_picture(cell, self.max_pixels, behind="black"))
            check_mask(f"row {number}, masks[{place}]", masks[-1], "the content", content.size)
        with _named(f"row {number}"):
            return encode_png(StyleSession(self.stylizer, styles, options, masks).stylize(content)), styles


def _checked(options: StylizeOptions) -> StylizeOptions:
    options.check(styles=1)
    if options.style_size > MAX_STYLE_SIZE:
        raise ConfigError(f"style_size is {options.style_size}; it must be at most {MAX_STYLE_SIZE} pixels")
    return options


def _max_pixels() -> int:
    text = os.environ.get(PIXELS_SETTING, str(MAX_PIXELS))
    if not text.isdecimal() or not int(text):
        raise ConfigError(f"{PIXELS_SETTING} is {text!r}; give the most pixels that a picture may have, such as 12000000")
    return int(text)


def _styles(number: int, row: dict[Any, Any], size: int, max_pixels: int) -> list[Image.Image]:
    single = row.get("style")
    with _named(f"row {number}, styles"):
        several = _cells(row.get("styles"), "pictures")
        if len(several) > MAX_STYLES:
            raise ImageError(f"holds {len(several)} pictures; give at most {MAX_STYLES}")
        if several and not _is_absent(single):
            raise ImageError("is given beside style; put all pictures into styles, or give style alone")
    if not several and _is_absent(single):
        raise ImageError(f"row {number}, style: is missing; give a picture there, or several in styles")
    named = [("style", single)] if not several else [(f"styles[{place}]", cell) for place, cell in enumerate(several)]
    styles = []
    for column, cell in named:
        with _named(f"row {number}, {column}"):
            styles.append(scaled_down(_picture(cell, max_pixels, smallest_side=size), size))
    return styles


def _weights(cell: object) -> tuple[float, ...]:
    weights: list[float] = []
    for number in _cells(cell, "numbers"):
        if not isinstance(number, Real):
            raise ConfigError(f"hold {type(number).__name__} in place {len(weights)}, not a number")
        try:
            weights.append(float(number))
        except OverflowError:  # JSON has integers of any size
            raise ConfigError(f"hold too large a number in place {len(weights)}; only proportions matter") from None
    return tuple(weights)


def _picture(cell: object, max_pixels: int, smallest_side: int | None = None, behind: Behind | None = "white") -> Image.Image:
    if isinstance(cell, str):
        try:
            cell = base64.b64decode(re.sub(r"\s", "", cell), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ImageError(f"holds text that is not base64 ({error}). Encode the picture's file") from None
    if not isinstance(cell, (bytes, bytearray)):
        raise ImageError(f"holds {type(cell).__name__}, not the bytes of a picture's file")
    return decode_bytes(bytes(cell), smallest_side=smallest_side, max_pixels=max_pixels, behind=behind)


def _cells(cell: object, what: str) -> list[Any]:
    """What a list holds; nothing if it is absent."""
    if _is_absent(cell):
        return []
    if not isinstance(cell, (list, tuple, np.ndarray)):
        raise ImageError(f"holds {type(cell).__name__}, not a list of {what}")
    return list(cell)


def _is_absent(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell))


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Put `place` before whatever goes wrong."""
    try:
        yield
    except IeastError as error:
        raise type(error)(f"{place}: {error}") from error
