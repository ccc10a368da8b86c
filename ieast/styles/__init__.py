"""Styles that the package ships: the artworks of the drawn sample with seed 0, as `ieast data sample` draws them.

Drawing all of them takes half a minute and SciPy; as files they are there at once.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def shipped_styles() -> dict[str, Path]:
    """Their files by their names, such as `wave_print`, in the order in which they were drawn."""
    return {path.stem.split("_", 1)[1]: path for path in sorted(FOLDER.glob("*.jpg"))}
