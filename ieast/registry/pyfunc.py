"""The registered model as MLflow serves it: encoded pictures in, encoded pictures out."""

from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from ieast.errors import ImageError
from ieast.images import decode_bytes, encode_png, resize_smallest_side, to_image, to_tensor
from ieast.models.checkpoint import load_model
from ieast.models.encoder import SMALLEST_SIDE

# What a stranger may send; a larger picture would tie up the server's memory.
MAX_PIXELS = 2048 * 2048
# Smaller sides are padded to this many pixels, by which a picture of 1 x MAX_PIXELS would take tens of gigabytes.
MIN_SIDE = SMALLEST_SIDE

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.binary, "content"), ColSpec(DataType.binary, "style")]),
    outputs=Schema([ColSpec(DataType.binary, "stylized")]),
    params=ParamSchema([ParamSpec("alpha", DataType.double, 1.0), ParamSpec("style_size", DataType.long, 512)]),
)


class StylizerModel(PythonModel):
    """Each row holds a content and a style, the bytes of PNG or JPEG files; the answer is a PNG of the content's size.

    Parameters: `alpha` in [0, 1], the strength of the style, and `style_size`, the smallest side in pixels at which the style
    is looked at.
    """

    def load_context(self, context: Any) -> None:
        """Read the exported model that was logged as the artifact `model`."""
        self.stylizer, self.card = load_model(context.artifacts["model"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Stylise row by row.

        Raises:
            ImageError: A picture cannot be read, is too small or too large; names the row and column.
        """
        del context
        options = params or {}
        alpha, style_size = float(options.get("alpha", 1.0)), int(options.get("style_size", 512))
        if not 0 <= alpha <= 1:
            raise ImageError(f"alpha is {alpha}; it must lie between 0 and 1")
        if not 16 <= style_size <= 2048:
            raise ImageError(f"style_size is {style_size}; it must lie between 16 and 2048 pixels")
        return pd.DataFrame(
            {"stylized": [self._stylize(k, row, alpha, style_size) for k, row in enumerate(model_input.to_dict("records"))]}
        )

    def _stylize(self, number: int, row: dict[Any, Any], alpha: float, style_size: int) -> bytes:
        pictures = {}
        for column in ("content", "style"):
            if not isinstance(row[column], bytes):  # MLflow lets text pass for binary
                raise ImageError(
                    f"row {number}, {column}: holds {type(row[column]).__name__}, not the bytes of a picture's file"
                )
            try:
                pictures[column] = decode_bytes(row[column], min_side=MIN_SIDE, max_pixels=MAX_PIXELS)
            except ImageError as error:
                raise ImageError(f"row {number}, {column}: {error}") from error
        style = pictures["style"]
        if min(style.size) > style_size:
            style = resize_smallest_side(style, style_size)
        return encode_png(to_image(self.stylizer.stylize(to_tensor(pictures["content"]), to_tensor(style), alpha)))
