"""Following the champion of a real MLflow registry while clients ask."""

import itertools
import threading
import time

import mlflow
import pytest
import torch
from helpers.browsers import until
from helpers.datasets import draw_picture
from helpers.registries import Registry
from helpers.services import SMALL, file_of, served

from ieast.errors import RegistryError
from ieast.models.pretrained import MODELS
from ieast.registry.champions import force, roll_back
from ieast.registry.lookup import look_up
from ieast.service.app import Service
from ieast.service.models import Follower, ServedModel, _scores, load_registered, load_served

URI = "models:/painter@champion"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Versions 1 (ieast), 2 (sanet), and 3, whose weights are gone."""
    before = mlflow.get_tracking_uri()
    registry = Registry(tmp_path_factory.mktemp("registry"))
    sources = [registry.log(MODELS["ieast"], "a"), registry.log(MODELS["sanet"], "b"), registry.log(MODELS["sanet"], "broken")]
    for weights in (registry.folder / "broken").rglob("model.safetensors"):
        weights.write_bytes(b"damaged")
    registry.add("painter", *sources, **{"score.style_distance": "0.25", "score.content_distance": "nan", "licence": "MIT"})
    yield registry
    mlflow.set_tracking_uri(before)


class Clients:
    """Two who ask without a pause, and what they were answered: status and version, in order."""

    def __init__(self, client) -> None:
        self.client, self.stop = client, threading.Event()
        self.answers: list[tuple[int, str]] = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def _ask(self) -> None:
        parts = (("content", file_of(draw_picture(1, 48, 40))), ("style", file_of(draw_picture(2, 40, 40))))
        while not self.stop.is_set():
            answer = self.client.stylize(*parts)
            self.answers.append((answer.status, answer.headers["x-model-version"]))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def meet(self, version) -> None:
        until(lambda: self.answers and self.answers[-1][1] == version, f"version {version} answers")


def test_promotions_and_rollbacks_lose_no_request(registry):
    force("painter", "1", "for the test")
    service = Service(load_registered(URI, CPU), SMALL)
    changes = service.measures.changes
    follower = Follower(
        look=lambda: look_up(URI).version,
        load=lambda: load_registered(URI, CPU),
        use=service.use,
        fail=changes.labels("failed").inc,
        current="1",
        seconds=0.05,
    )
    with served(service, follower) as client:
        with Clients(client) as clients:
            clients.meet("1")
            force("painter", "2", "better")
            clients.meet("2")
            registry.client.set_registered_model_alias("painter", "champion", "3")
            until(lambda: client.metric('ieast_model_changes_total{result="failed"}') == 1, "version 3 is refused")
            count = len(clients.answers)
            until(lambda: len(clients.answers) > count + 4, "clients go on")
            registry.client.set_registered_model_alias("painter", "champion", "2")
            roll_back("painter")
            clients.meet("1")
        model = client.ask("/v1/model").json
    assert {status for status, _ in clients.answers} == {200}
    versions = [version for version, _ in itertools.groupby(version for _, version in clients.answers)]
    # At a change one client's request may end after one of the other's that began later.
    assert versions[0] == versions[-1] == "1"
    assert set(versions) == {"1", "2"}
    assert model["metrics"] == {"style_distance": 0.25}  # NaN is no JSON
    assert model["licence"] == "MIT"
    assert model["aliases"] == ["champion"]
    time.sleep(0.1)
    assert follower.current == "1"


def test_what_does_not_load_is_not_tried_at_each_look():
    model = ServedModel(None, "drawn", "1", (), "ieast", "e", "d")
    looks = itertools.chain(["1", "2", "2", "2"], itertools.repeat("3"))
    tried, failed = [], []

    def load():
        tried.append(1)
        raise RegistryError("gone")

    follower = Follower(lambda: next(looks), load, lambda _: None, lambda: failed.append(1), "1", 60)
    for _ in range(5):
        follower.follow()
    assert (len(tried), len(failed)) == (2, 2)  # version 2 once, version 3 once
    for _ in range(Follower.RETRY):
        follower.follow()
    assert len(tried) == 3
    follower.load = lambda: model
    for _ in range(Follower.RETRY):
        follower.follow()
    assert follower.current == "1"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("models:/painter@nobody", "models:/painter@nobody failed"),
        ("models:/nothing/1", "failed in MLflow"),
        ("models:/painter/x", "is not the address of a registered model"),
        ("runs:/1/model", "write models:/NAME@ALIAS"),
    ],
)
def test_addresses_that_mean_nothing(registry, uri, says):
    with pytest.raises(RegistryError, match=says):
        look_up(uri)


def test_a_version_by_its_number(registry):
    found = look_up("models:/painter/2")
    assert (found.name, found.version, found.uri) == ("painter", "2", "models:/painter/2")


def test_a_shipped_model_knows_its_version_and_licence():
    from ieast import __version__

    model = load_served(MODELS["sanet"], CPU)
    assert (model.title, model.licence) == (f"sanet {__version__}", "MIT")


def test_a_tag_that_people_wrote_by_hand_is_no_score():
    tags = {"score.detail": "3.5", "score.note": "very good", "gate.score.detail": "3.6", "score.warping": "nan"}
    assert _scores(tags) == {"detail": 3.6}
