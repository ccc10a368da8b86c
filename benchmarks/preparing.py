"""Preparing 12-megapixel JPEGs, against opening, resizing and saving them with Pillow: `python -m benchmarks.preparing`.

The pictures are drawn: smooth colours under a grain as fine as a camera's, which decides how many bytes a JPEG has and so how
long its entropy decoding takes, the part that decoding at half or an eighth of the size does not save. That decoding alone,
into a picture of an eighth, is therefore measured beside as the limit of what libjpeg can do.
"""

import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rows import Row, take_turns
from ieast.config import PrepareConfig
from ieast.data.prepare import PreparedDataset, prepare_dataset
from ieast.io.cores import usable_cores

WIDTH, HEIGHT, QUALITY = 4000, 3000, 92
PICTURES, REPETITIONS = 12, 3
GRAIN = 10
"""Largest difference in grey levels that a pixel's grain makes: 12-megapixel files of some 3.5 MB, as cameras write."""


def draw_photographs(folder: Path, count: int, width: int = WIDTH, height: int = HEIGHT) -> list[Path]:
    """Write `count` different JPEGs of `width` x `height` pixels."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        grain = random.integers(-GRAIN, GRAIN + 1, (height, width, 1), dtype=np.int16)
        paths.append(folder / f"{number:03d}.jpg")  # so that they are listed in this order
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(paths[-1], quality=QUALITY)
    return paths


def prepare_plainly(source: Path, target: Path, size: int, quality: int) -> None:
    """Open, resize, save, as one would write it in a line."""
    with Image.open(source) as image:
        picture = image.convert("RGB")
    scale = size / min(picture.size)
    extents = (round(picture.width * scale), round(picture.height * scale))
    picture.resize(extents, Image.Resampling.LANCZOS).save(target, quality=quality)


def differences(prepared: Sequence[Path], plain: Sequence[Path]) -> float:
    """Mean absolute difference in grey levels, 0 to 255, between pictures of the same sizes."""
    pairs = [[np.asarray(Image.open(path)).astype(np.int16) for path in pair] for pair in zip(prepared, plain, strict=True)]
    return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))


def decode_entropy(sources: Sequence[Path]) -> None:
    """Decode what every reader must: an eighth of the size needs no more of each block than its mean."""
    for source in sources:
        with Image.open(source) as image:
            image.draft(None, (image.width // 8, image.height // 8))
            image.load()


def rows() -> list[Row]:
    """How much faster `prepare_dataset` is on one core, and how much faster on all of them than on one."""
    config = PrepareConfig(workers=1)
    cores = usable_cores()
    runs = itertools.count()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in ("content", "style"):
            (folder / side).mkdir()
        sources = draw_photographs(folder / "content", PICTURES)
        for number, source in enumerate(sources):
            if number >= PICTURES // 2:
                sources[number] = source.rename(folder / "style" / source.name)
        plain = [folder / f"plain-{source.name}" for source in sources]

        def prepare(workers: int) -> PreparedDataset:
            # Another digest, so that nothing is taken from the run before.
            return prepare_dataset(folder, folder / "work", config.model_copy(update={"workers": workers}), f"{next(runs)}")

        def prepare_all_plainly() -> None:
            for source, target in zip(sources, plain, strict=True):
                prepare_plainly(source, target, config.size, config.jpeg_quality)

        medians = take_turns(
            {
                "plain": prepare_all_plainly,
                "one": lambda: prepare(1),
                "all": lambda: prepare(cores),
                "entropy": lambda: decode_entropy(sources),
            },
            REPETITIONS,
        )
        dataset = prepare(cores)
        paths = [path for side in ("content", "style") for path in dataset.training_paths(side)]
        agreement = differences(paths, plain)
        megabytes = np.mean([source.stat().st_size for source in sources]) / 1e6

    each = {name: 1000 * seconds / PICTURES for name, seconds in medians.items()}
    note = (
        f"{each['plain']:.0f} ms and {each['one']:.0f} ms a picture of {megabytes:.1f} MB, of which entropy decoding alone "
        f"{each['entropy']:.0f} ms; results differ by {agreement:.2f} grey levels in the mean"
    )
    possible = each["entropy"] / each["one"]
    on_all = f"{cores} threads on {cores} cores: {each['all']:.0f} ms a picture"
    return [
        Row("prepare 12-megapixel JPEGs, a core", each["plain"] / each["one"], "x", 3, 5, note=note, possible=possible),
        Row("the same, all cores against one", each["one"] / each["all"], "x", note=on_all),
    ]


def main() -> None:
    """Print the lines."""
    for row in rows():
        sys.stdout.write(f"{row.what}: {row.measured:.2f} {row.unit} ({row.verdict}); {row.note}\n")


if __name__ == "__main__":
    main()
