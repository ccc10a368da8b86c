"""Artistic style transfer with internal-external learning and contrastive learning.

What using a trained model takes can be imported from here; nothing is loaded before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ieast.checkpoint import load_model as load_model
    from ieast.io.images import read_image as read_image
    from ieast.io.images import to_image as to_image
    from ieast.io.images import to_tensor as to_tensor
    from ieast.io.images import write_image as write_image
    from ieast.models.pretrained import MODELS as MODELS
    from ieast.stylization.session import StyleSession as StyleSession
    from ieast.stylization.session import StylizeOptions as StylizeOptions
    from ieast.stylizer.style import Style as Style

__version__ = "0.1.0"

_HOMES = {
    "MODELS": "ieast.models.pretrained",
    "Style": "ieast.stylizer.style",
    "StyleSession": "ieast.stylization.session",
    "StylizeOptions": "ieast.stylization.session",
    "load_model": "ieast.checkpoint",
    "read_image": "ieast.io.images",
    "to_image": "ieast.io.images",
    "to_tensor": "ieast.io.images",
    "write_image": "ieast.io.images",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
