"""What `ieast stylize --verbose` says of styles."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ieast.errors import ConfigError, ImageError
from ieast.installation import install_with

if TYPE_CHECKING:
    from ieast.stylizer.base import Stylizer

FAR = 0.95
"""Share of the training styles that are nearer to their middle, from which on an adaptation is recommended."""


def describe_novelty(
    model: Path, stylizer: "Stylizer | None", styles: Sequence[Path]
) -> tuple[str, dict[str, dict[str, float]]]:
    """Lines for people on how far each of `styles` is from those that `model` was trained on, and the same by path.

    Args:
        model: The model's folder.
        stylizer: What was loaded of it; None on ONNX Runtime, whose graphs give two of the five taps that this takes.
        styles: Artworks, and folders of them.

    Raises:
        ConfigError: It is on ONNX Runtime.
        ImageError: A style cannot be read.
    """
    if stylizer is None:
        raise ConfigError(f"--verbose looks at styles by PyTorch; leave it out, or {install_with('torch')}")
    from ieast.checkpoint import read_card
    from ieast.io.listing import find_pictures
    from ieast.stylization.inputs import read_style
    from ieast.stylization.novelty import novelty_of
    from ieast.stylizer.novelty import LOOKED_AT

    known = read_card(model).styles
    if known is None:
        return f"\nnovelty   unknown: {model} does not say where its training styles lie; see `ieast measure-styles`", {}
    in_folders = {picture for path in styles if path.is_dir() for picture in find_pictures(path).pictures}
    lines, numbers = [], {}
    for path in sorted(in_folders) or styles:
        try:
            novelty = novelty_of(read_style(path, LOOKED_AT), stylizer.encoder, known)
        except ImageError:
            if path in in_folders:  # one bad file, which stylizing will name
                continue
            raise
        advice = f"; `ieast adapt {model} {path} -o MODEL` brings it nearer" if novelty.share >= FAR else ""
        lines.append(f"\nnovelty   {path}: {novelty}{advice}")
        numbers[str(path)] = asdict(novelty)
    return "".join(lines), numbers
