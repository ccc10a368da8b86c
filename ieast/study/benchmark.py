"""The folder of a benchmark run, from which a study takes its pictures.

pairs.csv                  columns pair, content, style
contents/CONTENT.png       styles/STYLE.png
methods/METHOD/PAIR.png    every pair stylized by every method
artworks/NAME.png          real artworks; may lie elsewhere, in any format and in folders
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ieast.errors import ImageError, StudyError
from ieast.io.images import read_size
from ieast.io.listing import find_pictures

PAIRS = "pairs.csv"
_COLUMNS = ("pair", "content", "style")


class Source(NamedTuple):
    """A picture of a benchmark.

    Attributes:
        kind: What it is.
        name: Of the content, style or artwork; of a stylized picture, the method.
        pair: Of a stylized picture, the pair.
    """

    kind: Literal["content", "style", "stylized", "artwork"]
    name: str
    pair: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark folder that was found complete.

    Attributes:
        folder: Where it lies.
        pairs: Content and style of each pair.
        methods: Sorted.
        artworks: File of each real artwork.
        area: Pixels of a stylized picture, the median over pairs.
    """

    folder: Path
    pairs: Mapping[str, tuple[str, str]]
    methods: tuple[str, ...]
    artworks: Mapping[str, Path]
    area: int

    def path(self, source: Source) -> Path:
        """The file of a picture."""
        if source.kind == "artwork":
            return self.artworks[source.name]
        if source.kind == "stylized":
            return self.folder / "methods" / source.name / f"{source.pair}.png"
        return self.folder / f"{source.kind}s" / f"{source.name}.png"


def read_benchmark(folder: Path, artworks: Path | None = None) -> Benchmark:
    """Read a benchmark folder and see that all of it is there.

    Args:
        folder: As this module describes.
        artworks: Where the real artworks lie; by default `folder`/artworks, if there is one.

    Raises:
        StudyError: Something is missing, is there twice, or fits nothing else; says what and where.
    """
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder. Name the folder of a benchmark run, which holds {PAIRS}")
    pairs = _read_pairs(folder / PAIRS)
    methods = _methods(folder / "methods")
    benchmark = Benchmark(folder, pairs, methods, _artworks(folder, artworks), area=0)
    for pair, (content, style) in pairs.items():
        for source in (Source("content", content), Source("style", style)):
            _size(benchmark.path(source), f"pair {pair} of {folder / PAIRS} needs it")
    for method in methods:
        _refuse_strangers(folder / "methods" / method, pairs)
    areas = [_stylized_area(benchmark, pair) for pair in pairs]
    for path in benchmark.artworks.values():
        _size(path, "it is among the artworks")
    return Benchmark(folder, pairs, methods, benchmark.artworks, sorted(areas)[len(areas) // 2])


def _read_pairs(path: Path) -> dict[str, tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise StudyError(f"{path}: has no column {missing[0]!r}; its first line must be {','.join(_COLUMNS)}")
            rows = [tuple((row[name] or "").strip() for name in _COLUMNS) for row in reader]
    except FileNotFoundError:
        raise StudyError(
            f"{path}: there is no such file. It names each pair, its content and its style; run the benchmark"
        ) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: is not a CSV file ({error}). Write it again with the benchmark") from None
    if not rows:
        raise StudyError(f"{path}: names no pairs. Run the benchmark on at least one")
    for number, row in enumerate(rows, start=2):
        for column, value in zip(_COLUMNS, row, strict=True):
            # Names become paths, and a benchmark may come from somebody else.
            if not value or value.startswith(".") or "/" in value or "\\" in value:
                raise StudyError(f"{path}: {column} in line {number} is {value!r}; it must be a file's name without its suffix")
    _refuse_twice((row[0] for row in rows), f"{path}: names pair {{}} twice; every pair needs an id of its own")
    _refuse_twice(
        (f"{content}, {style}" for _, content, style in rows),
        f"{path}: has two pairs of content and style {{}}; people would be asked the same twice. Remove one",
    )
    return {pair: (content, style) for pair, content, style in rows}


def _methods(folder: Path) -> tuple[str, ...]:
    folders = (
        tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
        if folder.is_dir()
        else ()
    )
    if len(folders) < 2:
        has = f"has only {folders[0]}" if folders else "has no folder of any method"
        raise StudyError(f"{folder}: {has}; a study compares two methods or more. Run the benchmark with others")
    return folders


def _artworks(folder: Path, artworks: Path | None) -> dict[str, Path]:
    place = folder / "artworks" if artworks is None else artworks
    if not place.is_dir():
        if artworks is None:
            return {}
        raise StudyError(f"{place}: there is no such folder. Name a folder of real artworks with --artworks")
    return {path.relative_to(place).as_posix(): path for path in find_pictures(place).pictures}


def _refuse_strangers(folder: Path, pairs: Mapping[str, tuple[str, str]]) -> None:
    for path in sorted(folder.glob("*.png")):
        if path.stem not in pairs:
            raise StudyError(f"{path}: {PAIRS} has no pair {path.stem!r}. Add the pair, or remove the picture")


def _stylized_area(benchmark: Benchmark, pair: str) -> int:
    sizes = {}
    for method in benchmark.methods:
        path = benchmark.path(Source("stylized", method, pair))
        sizes[method] = _size(path, f"every method must have stylized every pair of {benchmark.folder / PAIRS}")
    # Side by side another size would tell one method from the others.
    first, *others = sizes
    for other in others:
        if sizes[other] != sizes[first]:
            (width, height), (its_width, its_height) = sizes[first], sizes[other]
            raise StudyError(
                f"{benchmark.path(Source('stylized', other, pair))}: is {its_width}x{its_height} pixels, and {first}'s is "
                f"{width}x{height}; pictures shown side by side must have one size. Run the benchmark on this pair again"
            )
    return sizes[first][0] * sizes[first][1]


def _size(path: Path, why: str) -> tuple[int, int]:
    try:
        return read_size(path)
    except ImageError as error:
        raise StudyError(f"{error} ({why})") from None


def _refuse_twice(names: Iterable[str], message: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise StudyError(message.format(name))
