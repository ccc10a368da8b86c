"""What stylizes, to those who only need it done: PyTorch with everything, or ONNX Runtime in a small install."""

from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from ieast.config.stylization import StylizeOptions


class Session(Protocol):
    """A model with styles and options at hand, for any number of contents."""

    def stylize(self, content: Image.Image) -> Image.Image:
        """`content`, RGB or RGBA, stylized at its own size; as transparent as before.

        Raises:
            MemoryLimitError: There is not enough memory; nothing was computed yet.
        """


class Engine(Protocol):
    """A trained model."""

    def digest(self) -> str:
        """Hex SHA-256 that changes with the model: results made with the same one are the same."""

    def open(
        self, styles: Sequence[Image.Image], options: StylizeOptions, masks: Sequence[Image.Image] = (), *, encode: bool = False
    ) -> Session:
        """Take up the styles, as large as they are to be looked at; `encode` them now, for many contents.

        Raises:
            ConfigError: An option does not fit, or the model or engine has no such control.
            MemoryLimitError: There is not enough memory to encode a style.
        """
