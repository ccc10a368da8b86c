"""What several tests share: prepared pictures drawn with numpy, and the quickstart's configuration made small."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers.configurations import QUICKSTART, SMALL, merge
from helpers.databases import copy_what_mlflow_makes, folder
from helpers.datasets import PICTURES, draw_dataset

from ieast.data.prepare import PreparedDataset, prepare_dataset
from ieast.experiment import ExperimentConfig
from ieast.methods import new_model
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer.base import Stylizer

pytest_plugins = ["helpers.dvc_repositories", "helpers.studies"]


LONGEST = ("pipelines", "servers", "training", "hunt", "benchmarks")
"""Folders of the files that take longest, which begin first: at the end, two workers should finish together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.parent.name, len(ranks)))


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's 15 its workers wait for the other half of the tests
    databases = folder()  # before pytest's workers start, which share it
    if not hasattr(config, "workerinput"):
        config.add_cleanup(lambda: shutil.rmtree(databases, ignore_errors=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    if "mlflow" in sys.modules:
        copy_what_mlflow_makes()
    if training := sys.modules.get("ieast.training.fit"):
        training.SHOWN = 1  # type: ignore[attr-defined]  # drawing sixteen pictures takes longer than a test's iterations


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The networks here are too small to gain by more, and beside other work on the machine threads wait for each other.
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _no_experiment_stays_chosen() -> Iterator[None]:
    """MLflow keeps what `set_experiment` chose for the whole process, in which other files' tests run as well."""
    yield
    if fluent := sys.modules.get("mlflow.tracking.fluent"):
        fluent._active_experiment_id = None  # type: ignore[attr-defined]
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


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
