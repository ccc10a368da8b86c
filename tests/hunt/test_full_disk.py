"""Disks that fill up during each write: said in a sentence, and the same command goes on once there is room."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from helpers.configurations import QUICKSTART, SMALL, merge
from helpers.datasets import draw_dataset, draw_picture
from helpers.dvc_repositories import Origin, git, new_repository, record
from helpers.hunting import SEED, Tally, assert_same, digests, hidden, in_time, run, trials
from helpers.studies import PLAN, Visitor, served
from helpers.trainings import curves
from helpers.videos import write_video
from helpers.zenml_projects import TrainingProject

from ieast import MODELS
from ieast.io.video.reading import VideoSource
from ieast.study.build import build_study

PAGE = 4096


@contextmanager
def disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own in memory; where that may not be made, the test is skipped."""
    place.mkdir()
    made = sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a disk in memory can be mounted by root on Linux only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def with_room(place: Path, room: int) -> Iterator[None]:
    """Leave `room` bytes of the disk for a while."""
    ballast = place / "ballast"
    state = os.statvfs(place)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, state.f_bavail * state.f_frsize - room))
    try:
        yield
    finally:
        ballast.unlink()


def used(place: Path) -> int:
    state = os.statvfs(place)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def hunt_by_filling(
    kind: str,
    sample: int,
    tmp_path: Path,
    begin: Callable[[Path], Sequence[str]],
    outcome_of: Callable[[Path], Mapping[str, object]],
    megabytes: int = 64,
) -> None:
    """Run a command on disks with too little room, and again when there is room, and compare with what it makes at once.

    Args:
        kind: As the report calls it.
        sample: Trials in the ordinary suite.
        tmp_path: A folder for this.
        begin: Fills a new folder, and says which command is to run there.
        outcome_of: Everything in such a folder that must be the same in the end.
        megabytes: That the disk has, which are enough.
    """
    tally = Tally(f"disk full: {kind}")
    draw = random.Random(f"{kind} {SEED}")
    with disk(tmp_path / "disk", megabytes) as place:
        command = begin(place)
        before = used(place)
        whole = run(command, place)
        assert whole.status == 0, whole.stderr
        needed = used(place) - before
        expected = outcome_of(place)
    count = trials(sample)
    for number in in_time(draw.sample(range(count), count)):
        room = int(needed * (number + draw.random() * 0.9) / count)
        with tally.trial(f"{room} of {needed} bytes"), disk(tmp_path / f"disk{number}", megabytes) as place:
            command = begin(place)
            with with_room(place, room):
                full = tally.see(run(command, place))
                assert full.status == 2, (full.status, full.stdout[-500:], full.stderr[-2000:])
                assert "disk is full" in full.stderr or "disk filled up" in full.stderr or "No space left" in full.stderr, (
                    full.stderr
                )
            again = tally.see(run(command, place))
            assert again.status == 0, again.stdout[-3000:] + again.stderr[-3000:]
            assert_same(outcome_of(place), expected)
            assert hidden(place) == []
    tally.conclude()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("data") / "data", 7, 7)


@pytest.mark.timeout(1800)
def test_training(data, tmp_path):
    document = yaml.safe_load(QUICKSTART.read_text())["parameters"]["config"]
    stages = {"reconstruction_iterations": 2, "iterations": 3, "checkpoint_every": 2, "picture_every": 2, "loader_workers": 0}
    config = merge(merge(document, SMALL), {"training": stages})

    def begin(folder: Path) -> list[str]:
        (folder / "config.yaml").write_text(yaml.safe_dump({"parameters": {"config": config}}))
        return ["ieast", "train", str(data), "--config", "config.yaml", "-o", "run"]

    def outcome(folder: Path) -> dict[str, object]:
        (training,) = (folder / "run" / "training").iterdir()
        files = digests(folder, "run/prepared/**/*", "run/training/*/model/*.safetensors", "run/training/*/pictures/*")
        return files | {f"curve {name}": value for name, value in curves(training).items()}

    hunt_by_filling("prepared pictures, checkpoint, curves, model", 3, tmp_path, begin, outcome, megabytes=128)


@pytest.mark.timeout(1800)
def test_a_folder(tmp_path):
    for side, count in (("photos", 3), ("paintings", 2)):
        (tmp_path / side).mkdir()
        for number in range(count):
            draw_picture(number, 140 + number, 132).save(tmp_path / side / f"{number}.png")

    def begin(_folder: Path) -> list[str]:
        return ["ieast", "stylize", str(tmp_path / "photos"), str(tmp_path / "paintings"), "-o", "out"]

    hunt_by_filling("a folder", 2, tmp_path, begin, lambda folder: digests(folder, "out/**/*"))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_a_video(tmp_path, name):
    clip = write_video(tmp_path / "clip.mp4", frames=60, size=(64, 48))
    draw_picture(1, 40, 32).save(tmp_path / "style.png")

    def begin(_folder: Path) -> list[str]:
        return ["ieast", "stylize", str(clip), str(tmp_path / "style.png"), "-o", name]

    def outcome(folder: Path) -> dict[str, object]:
        if name == "out":
            return digests(folder, "out/*.png")
        return {str(frame.time): frame.duration for frame in VideoSource(folder / name).frames()}

    hunt_by_filling(f"a video, to {name}", 2, tmp_path, begin, outcome)


@pytest.mark.timeout(1800)
def test_exporting_over_a_model(tmp_path):
    def begin(folder: Path) -> list[str]:
        shutil.copytree(MODELS["sanet"], folder / "model")
        return ["ieast", "export", "ieast", "-o", "model"]

    hunt_by_filling("an exported model", 1, tmp_path, begin, lambda folder: digests(folder, "**/*.safetensors"))


@pytest.mark.timeout(1800)
def test_adding_data(environment, tmp_path):
    origin = Origin(tmp_path / "origin")
    draw = random.Random(1)
    for side in ("photographs", "paintings"):
        (tmp_path / side).mkdir()
        for number in range(8):
            (tmp_path / side / f"{number}.jpg").write_bytes(draw.randbytes(9000))

    def begin(folder: Path) -> list[str]:
        shutil.copytree(origin.folder, folder / "repository", symlinks=True)
        sources = [str(tmp_path / side) for side in ("photographs", "paintings")]
        return ["ieast", "data", "add", "--repository", "repository", "--content", sources[0], "--style", sources[1]]

    def outcome(folder: Path) -> dict[str, object]:
        return digests(folder, "repository/data/**/*", "repository/data.dvc", "repository/.gitignore")

    hunt_by_filling("`ieast data add`", 2, tmp_path, begin, outcome)


READ = """
import sys
from pathlib import Path
from ieast.config import DataConfig
from ieast.data.versions import load_dataset
from ieast.errors import IeastError
try:
    print(load_dataset(DataConfig(repository="repository"), Path("work")).folder)
except IeastError as error:
    sys.stderr.write(f"{error}\\n")
    sys.exit(2)
"""


@pytest.mark.timeout(1800)
def test_reading_data(environment, tmp_path):
    """From the remote into DVC's cache and the folder of the version."""
    source = new_repository(tmp_path / "source", remote="../remote")
    draw = random.Random(1)
    for side in ("content", "style"):
        (source / "data" / side).mkdir(parents=True)
        for number in range(8):
            (source / "data" / side / f"{number}.jpg").write_bytes(draw.randbytes(9000))
    record(source, "version 1")

    def begin(folder: Path) -> list[str]:
        git(folder, "clone", "-q", str(source), "repository")
        shutil.copytree(tmp_path / "remote" if (tmp_path / "remote").exists() else source / "remote", folder / "remote")
        return [sys.executable, "-c", READ]

    hunt_by_filling("reading a dataset", 2, tmp_path, begin, lambda folder: digests(folder, "work/datasets/**/*"))


@pytest.mark.timeout(600)
def test_votes(benchmark_folder, tmp_path):
    """SQLite: a vote is on disk or was never cast, and whoever votes is told."""
    tally = Tally("disk full: votes of a study")
    for number in in_time(range(trials(1))):
        with tally.trial(number), disk(tmp_path / f"disk{number}", 16) as place:
            build_study(benchmark_folder, place / "study", PLAN)
            answered = 0
            with served(place / "study") as address:
                visitor = Visitor(address).begin()
                with with_room(place, number % 4 * PAGE):
                    for _ in range(6):
                        page = visitor.answer(visitor.form.answers[0])
                        if visitor.status != 200:
                            assert visitor.status == 503, page
                            break
                        answered += 1
                    else:
                        raise AssertionError("the disk was not full")
                visitor.get("/")
                assert visitor.status == 200
                visitor.get(f"/s/{visitor.jar._cookies['127.0.0.1']['/']['place'].value}")
                visitor.finish(lambda form: form.answers[0])
            with sqlite3.connect(place / "study" / "study.db") as db:
                assert db.execute("SELECT count(*), count(DISTINCT number) FROM vote").fetchone() == (13, 13)
    tally.conclude()


@pytest.mark.timeout(3600)
def test_the_pipeline(tmp_path):
    """MLflow's artifacts and SQLite, ZenML's, the report."""
    count = trials(0)
    if not count:
        pytest.skip("takes two minutes; `make hunt` has it")
    tally = Tally("disk full: the training pipeline")
    count = min(count, 6)
    for number in in_time(range(count)):
        with tally.trial(number), disk(tmp_path / f"disk{number}", 400) as place:
            project = TrainingProject(place)
            room = int(14_000_000 * (number + 0.5) / count)
            with with_room(place, room):
                full = project.run(*project.command("full"), check=False)
                assert full.returncode != 0, "there was room"
                said = full.stdout + full.stderr
                assert any(word in said for word in ("disk is full", "disk filled up", "No space left")), said[-3000:]
            again = project.run(*project.command("again"), check=False)
            assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    tally.conclude()
