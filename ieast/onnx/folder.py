"""The folder that an exported model is: four graphs or more, and a JSON that vouches for them.

onnx.json        method, sizes, and a digest for each graph
encoder.onnx     images (1, 3, H, W) in [0, 1], sides of 17 or more -> relu4_1, relu5_1: an eighth, a sixteenth, rounded up
transform.onnx   content4_1, content5_1, style4_1, style5_1 -> features (1, C, H/8, W/8), for contents with sides of whole 16;
                 in models that match statistics, also mean, std (1, C) of the style, which come from the next
statistics.onnx  style4_1, style5_1 -> mean, std; only in these
decoder.onnx     features (1, C, h, w) -> pictures (1, 3, 8h, 8w), not cut off at 0 and 1
colours.onnx     content and stylized (1, 3, H, W) in [0, 1] -> pictures (1, 3, H, W): stylized in the content's colours
palette.onnx     images (1, 3, H, W) in [0, 1] -> palette (1, 5); it and the next only in models that keep to palettes
bound.onnx       pictures (1, 3, H, W) in [0, 1], palettes (N, 5) of styles, shares (N) -> bounded (1, 3, H, W)
"""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ieast.config import describe
from ieast.errors import WeightsError
from ieast.io.files import sha256

CARD = "onnx.json"
GRAPHS = ("encoder", "transform", "decoder", "colours")
STATISTICS = "statistics"
"""The graph that only models which match statistics have."""
PALETTE, BOUND = "palette", "bound"
"""The graphs that only models which keep to palettes have."""
FORMAT = 3
"""1 knew no models that match statistics, 2 none that keep to palettes."""
INSIDE = "onnx"
"""The subfolder of a model folder that holds its exported form."""


class OnnxCard(BaseModel):
    """What onnx.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    method: str
    opset: int
    multiple: int
    """Pixels to multiples of which a content's sides are continued."""
    smallest_side: int
    """Pixels to which shorter sides are continued."""
    channels: int
    """Of relu4_1 and relu5_1."""
    width: int
    """Channels at the picture's own resolution, which take most of the memory."""
    largest_difference: float
    """From PyTorch, in any value of the pictures that were compared on export."""
    files: dict[str, str]

    def digest(self) -> str:
        """Hex SHA-256 over the digests of the graphs."""
        return hashlib.sha256("".join(self.files[name] for name in sorted(self.files)).encode()).hexdigest()


def read_onnx_card(folder: Path) -> OnnxCard:
    """The card of the exported model in `folder`, whose files are checked against it.

    Raises:
        WeightsError: There is no exported model, it is of a newer format, or a file is missing or damaged.
    """
    path = folder / CARD
    try:
        values = json.loads(path.read_text())
        newer = isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT
        card = None if newer else OnnxCard.model_validate(values)
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(f"{folder} holds no exported model: there is no {CARD} in it") from None
    except ValidationError as error:
        raise WeightsError(describe(error, str(path))) from None
    except (OSError, ValueError, RecursionError) as error:  # also numbers of thousands of digits, and nesting without end
        raise WeightsError(f"{path} is damaged ({error}); export or copy the model again") from error
    if card is None:
        raise WeightsError(f"{path} is of format {values['format']}; this version reads up to {FORMAT}: update ieast")
    graphs = {name.removesuffix(".onnx") for name in card.files}
    if graphs - {STATISTICS} not in ({*GRAPHS}, {*GRAPHS, PALETTE, BOUND}) or len(graphs) != len(card.files):
        raise WeightsError(f"{path} must vouch for {', '.join(GRAPHS)}, not for {sorted(card.files)}; export the model again")
    for name, digest in card.files.items():
        if not (folder / name).is_file():
            raise WeightsError(f"{folder} lacks its file {name}; export or copy the model again")
        if sha256(folder / name) != digest:
            raise WeightsError(f"{folder / name} is not the file that was exported (its SHA-256 differs); copy it again")
    return card
