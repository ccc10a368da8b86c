"""Frames of a clip stylized one after another: each by itself, or steadily, which needs OpenCV."""

from collections.abc import Callable
from importlib.util import find_spec

from PIL import Image

from ieast.errors import ConfigError
from ieast.installation import install_with
from ieast.io.video.memory import Memory

Stylize = Callable[[Image.Image], Image.Image]


def require_opencv() -> None:
    """Raise unless clips can be stylized steadily.

    Raises:
        ConfigError: OpenCV is not installed.
    """
    if find_spec("cv2") is None:
        raise ConfigError(f"steady clips need OpenCV, by whose optical flow they hold still: {install_with('steady')}")


def in_order(stylize: Stylize, steady: bool) -> tuple[Stylize, Memory | None]:
    """What stylizes the frames of one clip in their order, and what it keeps of those before.

    Args:
        stylize: Maps an RGB picture to one of the same size.
        steady: Whether frames are carried over from those before, by `ieast.stylization.steady.Steady`.

    Raises:
        ConfigError: OpenCV is needed and not installed.
    """
    if not steady:
        return stylize, None
    require_opencv()
    from ieast.stylization.steady import Steady

    clip = Steady(stylize)
    return clip, clip
