"""Commands ended by SIGKILL and SIGTERM at random points, and given again: to the bit what they make when left alone."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.configurations import QUICKSTART, SMALL, merge
from helpers.datasets import draw_dataset, draw_picture
from helpers.dvc_repositories import Origin, git, write
from helpers.hunting import digests, hidden, hunt_by_ending
from helpers.trainings import checkpoint, curves
from helpers.videos import write_video

from ieast import MODELS
from ieast.io.video.reading import VideoSource

STAGES = {"reconstruction_iterations": 3, "iterations": 5, "checkpoint_every": 2, "picture_every": 3, "loader_workers": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("data") / "data", 7, 7)


@pytest.mark.timeout(1800)
def test_training(data, tmp_path):
    document = yaml.safe_load(QUICKSTART.read_text())["parameters"]["config"]
    config = merge(merge(document, SMALL), {"training": STAGES})

    def begin(folder: Path) -> list[str]:
        (folder / "config.yaml").write_text(yaml.safe_dump({"parameters": {"config": config}}))
        return ["ieast", "train", str(data), "--config", "config.yaml", "-o", "run"]

    def outcome(folder: Path) -> dict[str, object]:
        (training,) = (folder / "run" / "training").iterdir()
        saved = checkpoint(training)
        numbers = {f"{part}": repr(flat(saved[part])) for part in ("state_dict", "optimizer_states")}
        # The dataset's folder is named by the times of its files, which all trials share.
        files = digests(folder, "run/prepared/**/*", "run/training/*/model/*.safetensors", "run/training/*/pictures/*")
        return files | numbers | {f"curve {name}": value for name, value in curves(training).items()}

    hunt_by_ending("`ieast train`", 4, tmp_path, begin, outcome)


def flat(value: object) -> object:
    """Nested tensors as bytes, for comparing."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    if isinstance(value, dict):
        return {key: flat(part) for key, part in value.items()}
    return [flat(part) for part in value] if isinstance(value, list | tuple) else value


@pytest.mark.timeout(1800)
def test_a_folder(tmp_path):
    sources = tmp_path / "sources"
    for side, count in (("photos", 3), ("paintings", 2)):
        (sources / side).mkdir(parents=True)
        for number in range(count):
            draw_picture(number, 40 + number, 32).save(sources / side / f"{number}.png")

    def begin(_folder: Path) -> list[str]:
        return ["ieast", "stylize", str(sources / "photos"), str(sources / "paintings"), "-o", "out"]

    hunt_by_ending("a folder", 4, tmp_path, begin, lambda folder: digests(folder, "out/**/*"))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["out.mkv", "out"])
def test_a_video(tmp_path, name):
    clip = write_video(tmp_path / "clip.mp4", frames=110, size=(32, 24))
    draw_picture(1, 40, 32).save(tmp_path / "style.png")

    def begin(folder: Path) -> list[str]:
        # Something is there already, which must be either itself or whole at any time.
        if name == "out":
            earlier = tmp_path / "whole" / name
            if earlier.is_dir():
                shutil.copytree(earlier, folder / name)
        else:
            (folder / name).write_bytes(b"an earlier result")
        return ["ieast", "stylize", str(clip), str(tmp_path / "style.png"), "-o", name]

    def outcome(folder: Path) -> dict[str, object]:
        if name == "out":
            return digests(folder, "out/*.png")
        frames = VideoSource(folder / name).frames()
        return {str(frame.time): hashlib.sha256(frame.image().tobytes()).hexdigest() for frame in frames}

    hunt_by_ending(f"a video, to {'a file' if name != 'out' else 'a folder of frames'}", 4, tmp_path, begin, outcome)


@pytest.mark.timeout(1800)
def test_exporting_over_a_model(tmp_path):
    def begin(folder: Path) -> list[str]:
        shutil.copytree(MODELS["sanet"], folder / "model")
        return ["ieast", "export", "ieast", "-o", "model"]

    hunt_by_ending("`ieast export` over a model", 4, tmp_path, begin, lambda folder: digests(folder, "**/*.safetensors"))


@pytest.mark.timeout(1800)
def test_adding_data(environment, tmp_path):
    origin = Origin(tmp_path / "origin")
    for side in ("photographs", "paintings"):
        write(tmp_path / side, *(f"{number}.jpg" for number in range(6)), "more/7.jpg")

    def begin(folder: Path) -> list[str]:
        shutil.copytree(origin.folder, folder / "repository", symlinks=True)
        sources = [str(tmp_path / side) for side in ("photographs", "paintings")]
        return ["ieast", "data", "add", "--repository", "repository", "--content", sources[0], "--style", sources[1]]

    def outcome(folder: Path) -> dict[str, object]:
        repository = folder / "repository"
        files = digests(folder, "repository/data/**/*", "repository/data.dvc", "repository/.gitignore")
        return files | {"git": git(repository, "status", "--porcelain")}

    def left_over(folder: Path) -> list[str]:
        temporaries = [path.name for path in (folder / "repository/.dvc/tmp").glob("ieast-*") if path.is_dir()]
        return temporaries + hidden(folder)

    hunt_by_ending("`ieast data add`", 6, tmp_path, begin, outcome, left_over)
