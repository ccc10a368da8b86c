"""Pictures and datasets drawn with numpy."""

from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = 13
"""Pictures on each side: a prime, so that no epoch ends where a batch does."""


def draw_picture(seed: int, width: int, height: int) -> Image.Image:
    """A gradient between two colours with blocks of noise on it."""
    random = np.random.default_rng(seed)
    start, stop = random.uniform(0, 255, (2, 3))
    ramp = np.linspace(0, 1, width)[None, :, None] * random.uniform(0.3, 1) + np.linspace(0, 1, height)[:, None, None] * 0.5
    noise = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    return Image.fromarray((0.6 * np.clip(start + (stop - start) * ramp, 0, 255) + 0.4 * np.asarray(noise)).astype(np.uint8))


def draw_dataset(folder: Path, contents: int, styles: int, clips: int = 0) -> Path:
    """A dataset of pictures and clips in `folder`."""
    for side, count, first in (("content", contents, 0), ("style", styles, 100)):
        (folder / side).mkdir(parents=True)
        for number in range(count):
            draw_picture(first + number, 60 + number, 52).save(folder / side / f"{number:02d}.png")
    for clip in range(clips):
        (folder / "clips" / f"clip{clip}").mkdir(parents=True)
        wide = draw_picture(200 + clip, 80, 48)
        for frame in range(4):
            wide.crop((4 * frame, 0, 4 * frame + 64, 48)).save(folder / "clips" / f"clip{clip}" / f"{frame}.png")
    return folder
