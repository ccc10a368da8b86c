"""What several tests share: prepared pictures drawn with numpy, and the quickstart's configuration made small."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ieast.data.prepare import PreparedDataset, prepare_dataset
from ieast.experiment import ExperimentConfig
from ieast.methods import new_model
from ieast.models.encoder import Encoder, build_encoder
from ieast.stylizer.base import Stylizer

pytest_plugins = ["helpers.dvc_repositories", "helpers.studies"]

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
PICTURES = 13
"""Pictures on each side: a prime, so that no epoch ends where a batch does."""

# What makes the quickstart small enough for a test: iterations of milliseconds.
SMALL: dict[str, Any] = {
    "prepare": {"size": 48, "min_side": 16, "workers": 1, "held_out": 0},
    "encoder": {"weights": "untrained"},
    "model": {
        "start": None,
        "attention_start": "identity",
        "discriminator_scales": 1,
        "discriminator_width": 8,
        "style_head": [16, 8],
        "content_head": [16, 8],
    },
    "training": {
        "iterations": 4,
        "reconstruction_iterations": 2,
        "crop": 32,
        "accelerator": "cpu",
        "channels_last": False,
        "log_every": 1,
        "picture_every": 4,
        "checkpoint_every": 100,
    },
    "evaluation": {"size": 48, "pairs": 3, "grid_contents": 2, "grid_styles": 3, "max_frames": 3},
}


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, section by section."""
    both = {key: merge(base.get(key) or {}, value) if isinstance(value, dict) else value for key, value in over.items()}
    return base | both


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


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The networks here are too small to gain by more, and beside other work on the machine threads wait for each other.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., ExperimentConfig]:
    """The quickstart's configuration, shrunk; keywords are sections that go over it."""

    def make(**sections: Any) -> ExperimentConfig:
        quickstart = ExperimentConfig.load(QUICKSTART).model_dump(mode="json")
        return ExperimentConfig.parse(merge(merge(quickstart, SMALL), sections))

    return make


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, make_config) -> PreparedDataset:
    """13 contents, 13 styles and 2 clips of 4 frames."""
    folder = tmp_path_factory.mktemp("dataset")
    source = draw_dataset(folder / "source", PICTURES, PICTURES, clips=2)
    return prepare_dataset(source, folder / "work", make_config().prepare, "drawn")


@pytest.fixture(scope="session")
def encoder(make_config) -> Encoder:
    """The quickstart's encoder, with its taps as they are."""
    return build_encoder(make_config().encoder)


@pytest.fixture(scope="session")
def stylizer(encoder, make_config) -> Stylizer:
    """A stylizer with random weights whose pictures have contrast, and differ from style to style."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        stylizer = new_model("ieast", encoder, make_config().model).eval()
        for layer in stylizer.decoder.children():
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        content, style = torch.rand(2, 1, 3, 48, 48)
        picture = stylizer.decoder(stylizer.transform(encoder(content), encoder(style)))
        last, factor = stylizer.decoder.conv1_1, 0.25 / picture.std()
        last.bias.copy_((last.bias - picture.mean(dim=(0, 2, 3))) * factor + 0.5)
        last.weight.mul_(factor)
    return stylizer
