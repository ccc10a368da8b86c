"""From a benchmark folder to a study: pictures under opaque names, and a database of questions."""

import hashlib
import math
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from PIL import Image

from ieast.errors import StudyError
from ieast.io.files import disk_full_explained, temporary_folder
from ieast.io.images import encode_jpeg, read_image
from ieast.io.progress import progress_bar
from ieast.study.benchmark import Benchmark, Source, read_benchmark
from ieast.study.layout import Question, lay_out
from ieast.study.plan import Plan
from ieast.study.schema import SCHEMA
from ieast.study.store import DATABASE, PICTURES, PictureFile, Store

Rows = list[tuple[object, ...]]


def build_study(benchmark: Path, output: Path, plan: Plan, artworks: Path | None = None) -> Benchmark:
    """Lay out a study and write it, whole or not at all.

    Pictures are encoded alike, without metadata, and named at random. Artworks, contents and styles that have more pixels than
    the stylized pictures are made as small, for sharpness would tell them apart.

    Args:
        benchmark: A folder as `ieast.study.benchmark` describes.
        output: The study's folder, which must not be there yet, or be empty; a link is followed.
        plan: Its size and seed; the same plan and benchmark give the same study.
        artworks: Where real artworks lie; by default `benchmark`/artworks.

    Returns:
        What the study was made from.

    Raises:
        StudyError: The benchmark is incomplete or too small for the plan, or `output` holds something else.
        ImageError: A picture is damaged.
        DiskFullError: No space was left.
    """
    _refuse_to_overwrite(output)
    source = read_benchmark(benchmark, artworks)
    layout = lay_out(plan, source.methods, list(source.pairs), list(source.artworks))
    place = output.resolve() if output.is_symlink() else output  # a folder cannot be renamed onto a link
    place.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_explained(place), temporary_folder(beside=place) as temporary:
        pictures = _write_pictures(source, layout, temporary / PICTURES, plan.seed)
        with closing(sqlite3.connect(temporary / DATABASE)) as db:
            _write_questions(db, source, layout, pictures)
        _refuse_to_overwrite(output)
        temporary.rename(place)
    return source


def _refuse_to_overwrite(output: Path) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / DATABASE).is_file():
        raise StudyError(f"{output}: is there already and is not a study. Name another folder with -o")
    # Not even one without votes: somebody may be serving it, and SQLite's files must not be moved under those who use them.
    with Store(output).reading() as db:
        begun, votes = db.execute("SELECT count(token), (SELECT count(*) FROM vote) FROM participant").fetchone()
    raise StudyError(
        f"{output}: is a study already, begun by {begun} people, with {votes} votes. Name another folder with -o, or move "
        "this one away"
    )


def _write_pictures(
    benchmark: Benchmark, layout: Sequence[Sequence[Question]], folder: Path, seed: int
) -> dict[Source, tuple[int, PictureFile]]:
    """Write each picture that is asked about; returns its id and what a browser may know of it."""
    folder.mkdir()
    sources = sorted({source for questions in layout for question in questions for source in _needed(benchmark, question)})
    # Shuffled, so that not even the order of ids or of the times at which files were made follows the methods.
    draw = random.Random(f"pictures {seed}")
    draw.shuffle(sources)
    written = {}
    for number, source in enumerate(progress_bar(sources, desc="copying pictures", unit="picture"), start=1):
        image = read_image(benchmark.path(source))
        if source.kind != "stylized":
            image = _no_larger(image, benchmark.area)
        data = encode_jpeg(image)
        # By what is in it as well: browsers keep pictures for days, and a study that is built again may have others.
        file = hashlib.sha256(draw.getrandbits(64).to_bytes(8, "big") + data).hexdigest()[:16] + ".jpg"
        (folder / file).write_bytes(data)
        written[source] = number, PictureFile(file, *image.size)
    return written


def _needed(benchmark: Benchmark, question: Question) -> tuple[Source, ...]:
    return (*question.pictures, *_context(benchmark, question))


def _context(benchmark: Benchmark, question: Question) -> tuple[Source, ...]:
    """The content and style beside a preference question."""
    if question.kind != "preference":
        return ()
    content, style = benchmark.pairs[question.pictures[0].pair]
    return Source("content", content), Source("style", style)


def _no_larger(image: Image.Image, area: int) -> Image.Image:
    scale = math.sqrt(area / (image.width * image.height))
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _write_questions(
    db: sqlite3.Connection,
    benchmark: Benchmark,
    layout: Sequence[Sequence[Question]],
    pictures: dict[Source, tuple[int, PictureFile]],
) -> None:
    questions: Rows = []
    choices: Rows = []
    for participant, asked in enumerate(layout, start=1):
        for number, question in enumerate(asked, start=1):
            content, style = [pictures[source][0] for source in _context(benchmark, question)] or (None, None)
            questions.append((participant, number, question.kind, content, style))
            for place, source in enumerate(question.pictures, start=1):
                choices.append((participant, number, place, pictures[source][0]))
    rows: dict[str, Rows] = {
        "picture": [(key, p.file, p.width, p.height, s.kind, s.name, s.pair) for s, (key, p) in pictures.items()],
        "participant": [(participant, None, None, None, None, None) for participant in range(1, len(layout) + 1)],
        "question": questions,
        "choice": choices,
    }
    db.executescript(SCHEMA)
    with db:
        for table, values in rows.items():
            db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)  # noqa: S608  our names
