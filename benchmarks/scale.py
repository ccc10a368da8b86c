"""Datasets of many small files, stage by stage: `python -m benchmarks.scale 10000 160000 --folder /dev/shm`.

Half of the files are contents, half styles: drawn JPEGs of 72 x 64 pixels, each with a comment of its own, so that no two
are equal. A stage is a process of its own, because what one leaves in memory would hide what the next takes. The table goes to
docs/scale.csv: seconds as a clock has them and of processors, and the most memory that the process held, of which importing
takes 600 MiB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from fsspec.implementations.local import LocalFileSystem
from tqdm import tqdm

from ieast.config import DataConfig, PrepareConfig
from ieast.data.additions import add_dataset
from ieast.data.batches import PairBatches
from ieast.data.handover import pack, unpack
from ieast.data.prepare import PreparedDataset, prepare_dataset
from ieast.data.versions import load_dataset
from ieast.io.files import atomic_write
from ieast.io.images import encode_jpeg, to_image
from ieast.stylizer.memory import resident_bytes

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 64, 72
DRAWN = 64
"""Different pictures; the rest differ in their comments alone."""
BATCHES, DISTINCT, CROP = 200, 8, 64
DIGEST, TAG = "drawn", "data-v1"
PREPARE = PrepareConfig(size=64, workers=1)
SHARDS = PrepareConfig(size=64, workers=1, shard_pictures=2048)


def draw_files(folder: Path, count: int) -> None:
    """Write `count` JPEGs, half of them to `folder`/content and half to `folder`/style."""
    from benchmarks.subjects import draw_pictures  # brings all that training needs, which would count for every stage

    drawn = [
        encode_jpeg(to_image(picture.float() / 255), quality=60) for picture in draw_pictures(DRAWN, HEIGHT, WIDTH, seed=0)
    ]
    for number in tqdm(range(count), desc="drawing", disable=None):
        target = folder / ("content", "style")[number % 2] / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        comment = b"%012d" % number
        start, rest = drawn[number % DRAWN][:2], drawn[number % DRAWN][2:]
        target.write_bytes(start + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + rest)


def prepare(folder: Path, config: PrepareConfig = PREPARE) -> PreparedDataset:
    """Prepare the files, or take what was prepared before."""
    return prepare_dataset(folder / "source", folder / "work", config, DIGEST)


def read_batches(folder: Path, config: PrepareConfig = PREPARE) -> None:
    """The first batches of a training."""
    prepared = prepare(folder, config)
    sides = (prepared.training_paths(side) for side in ("content", "style"))
    batches = PairBatches(*sides, distinct=DISTINCT, crop=CROP, seed=0)
    for iteration in range(BATCHES):
        batches[iteration]


def hand_over(folder: Path, config: PrepareConfig = PREPARE) -> None:
    """Pack for an artifact store, which is a folder here."""
    pack(prepare(folder, config), LocalFileSystem(auto_mkdir=True), str(folder / "store"))


def take_over(folder: Path, config: PrepareConfig = PREPARE) -> None:
    """Unpack on another machine, which is another folder here."""
    unpack(prepare(folder, config).key, folder / "elsewhere", LocalFileSystem(), str(folder / "store"))


def add(folder: Path) -> None:
    """`ieast data add`."""
    repository = folder / "repository"
    repository.mkdir()
    _type(repository, "git", "init", "-qb", "main")
    _type(repository, "dvc", "init", "-q")
    _type(repository, "dvc", "remote", "add", "-q", "-d", "storage", str(folder / "remote"))
    add_dataset(repository, folder / "source" / "content", folder / "source" / "style")
    _type(repository, "git", "add", "data.dvc", ".gitignore", ".dvc")
    _type(repository, "git", "-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-qm", "a dataset")
    _type(repository, "git", "tag", TAG)


def push(folder: Path) -> None:
    """`dvc push`, to a folder."""
    _type(folder / "repository", "dvc", "push", "-q")


def fetch(folder: Path) -> None:
    """The dataset at its tag, by a fresh clone that has nothing of it."""
    _type(folder, "git", "clone", "-q", "repository", "clone")
    load_dataset(DataConfig(repository=str(folder / "clone"), revision=TAG), folder / "clone-work")


def fetch_again(folder: Path) -> None:
    """The same in another work folder, with the files in DVC's cache."""
    load_dataset(DataConfig(repository=str(folder / "clone"), revision=TAG), folder / "clone-work-2")


_OPEN = f"open, and {BATCHES} batches of {DISTINCT} contents and {DISTINCT} styles"
STAGES: dict[str, Callable[[Path], object]] = {
    "prepare": prepare,
    "prepare again, all made before": prepare,
    _OPEN: read_batches,
    "pack for the artifact store": hand_over,
    "unpack": take_over,
    "prepare, in shards": partial(prepare, config=SHARDS),
    f"{_OPEN}, from shards": partial(read_batches, config=SHARDS),
    "shards to the artifact store": partial(hand_over, config=SHARDS),
    "shards from the artifact store": partial(take_over, config=SHARDS),
    "`ieast data add`": add,
    "`dvc push` to a folder": push,
    "get the revision in a fresh clone": fetch,
    "get it again, all in DVC's cache": fetch_again,
}


def measure_here(stage: str, folder: Path) -> dict[str, float]:
    """Carry out one stage in this process."""
    before, began = _processor_seconds(), time.perf_counter()
    STAGES[stage](folder)
    seconds = time.perf_counter() - began
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    return {
        "seconds": seconds,
        "processor_seconds": _processor_seconds() - before,
        "peak_mib": max(resident_bytes("VmHWM"), children) / 2**20,
    }


def _processor_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(stage: str, folder: Path) -> dict[str, float]:
    """`measure_here` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--child", stage, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _type(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and write the table, or be one stage's process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, help="of files")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on whose disk")
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES, help="these alone, after those they need")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "scale.csv")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        stage, folder = arguments.child
        print(json.dumps(measure_here(stage, Path(folder))))
        return
    rows = []
    for count in arguments.counts:
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="ieast-scale-") as name:
            draw_files(Path(name) / "source", count)
            for stage in arguments.stages:
                rows.append({"stage": stage, "files": count, **measure(stage, Path(name))})
                print(json.dumps(rows[-1]), flush=True)
    with atomic_write(arguments.table) as part:
        pd.DataFrame(rows).to_csv(part, index=False, float_format="%.1f")


if __name__ == "__main__":
    main()
