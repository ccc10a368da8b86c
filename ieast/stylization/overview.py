"""One photo in every style of a folder, on one sheet."""

import math
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ieast.errors import ConfigError, ImageError, MemoryLimitError, NumericsError
from ieast.io.contact_sheet import Cell, sheet
from ieast.stylization.files import read_style
from ieast.stylization.session import StyleSession, StylizeOptions
from ieast.stylizer.base import Stylizer

_LONGEST_CAPTION = 28


def stylize_sheet(
    stylizer: Stylizer, photo: Image.Image, styles: Mapping[str, Path], options: StylizeOptions, cell: int = 256
) -> tuple[Image.Image, dict[str, str]]:
    """A sheet about as wide as high: `photo`, then `photo` in each style with the style's name below.

    Args:
        stylizer: The model.
        photo: As large as it is to be stylized; the sheet shows its central square.
        styles: Artworks by the names that are to stand below.
        options: Options; there are no weights, because each style is applied alone.
        cell: Side of a picture on the sheet, in pixels.

    Returns:
        The sheet, and for each style that could not be applied the reason; its place on the sheet is empty.

    Raises:
        ConfigError: An option does not fit, or there are weights.
    """
    if options.weights:
        raise ConfigError("weights blend the styles of one picture; on a sheet each is applied alone")
    options.check(1)
    cells, failed = [Cell(photo, "photo")], {}
    for name, path in tqdm(styles.items(), desc="stylizing", unit="style", leave=False):
        try:
            session = StyleSession(stylizer, [read_style(path, options.style_size)], options)
            cells.append(Cell(session.stylize(photo), name[:_LONGEST_CAPTION]))
        except (ImageError, MemoryLimitError, NumericsError) as error:  # one bad file must not lose the rest
            failed[name] = str(error)
            cells.append(Cell(None, f"{name}: failed"[:_LONGEST_CAPTION]))
    columns = math.ceil(math.sqrt(len(cells)))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return sheet(rows, cell), failed
