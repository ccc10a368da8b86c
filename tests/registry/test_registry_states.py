"""Registries as people leave them, by MLflow's UI or by moving files: the right version, or a sentence that says what to do."""

import shutil
import sqlite3
import time
from collections.abc import Callable

import mlflow
import pytest
from helpers.registries import Registry
from mlflow import MlflowClient

from ieast.errors import RegistryError
from ieast.models.pretrained import MODELS
from ieast.registry import champions
from ieast.registry.champions import force, roll_back
from ieast.registry.listing import list_models
from ieast.registry.lookup import look_up
from ieast.registry.register import FOLDERS, champion_version, fetch_model, register_folder
from ieast.registry.store import connect, set_experiment


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def sources(registry):
    """Of a sound model, and of one whose files were moved away since."""
    moved = registry.log(MODELS["sanet"], "moved")
    shutil.move(registry.folder / "moved", registry.folder / "elsewhere")
    return {"sound": registry.log(MODELS["sanet"], "sound"), "moved": moved}


def alias_deleted(client: MlflowClient, name: str) -> None:
    client.delete_registered_model_alias(name, "champion")


def alias_moved(client: MlflowClient, name: str) -> None:
    client.set_registered_model_alias(name, "champion", "3")


def version_deleted(client: MlflowClient, name: str) -> None:
    client.delete_model_version(name, "2")


def renamed(client: MlflowClient, name: str) -> None:
    client.rename_registered_model(name, f"{name} of today")


def deleted(client: MlflowClient, name: str) -> None:
    client.delete_registered_model(name)


def history_deleted(client: MlflowClient, name: str) -> None:
    client.delete_registered_model_tag(name, champions.HISTORY)


def history_spoilt(client: MlflowClient, name: str) -> None:
    client.set_registered_model_tag(name, champions.HISTORY, "7 x  1 2 ")


ACTIONS: dict[str, Callable[[str], object]] = {
    "who is champion": champion_version,
    "look up": lambda name: look_up(f"models:/{name}@champion").version,
    "fetch": lambda name: fetch_model(f"models:/{name}@champion").name,
    "roll back": roll_back,
    "promote 3": lambda name: (force(name, "3", "a reason"), champion_version(name)),
    "list": lambda name: list(list_models(name)["version"]),
}
NO_ALIAS = "alias champion not found"
NO_MODEL = r"(there is no registered model|Registered Model with name=)"
UNKNOWN = dict.fromkeys(["look up", "fetch", "roll back", "promote 3", "list"], RegistryError(NO_MODEL))
# Versions 1 and 2 were promoted in this order, and 3 was not; what each action then gives, or says.
STATES: dict[Callable[[MlflowClient, str], None], dict[str, object]] = {
    alias_deleted: {
        "who is champion": None,
        "look up": RegistryError(NO_ALIAS),
        "fetch": RegistryError(NO_ALIAS),
        "roll back": RegistryError("has no champion to roll back from; `ieast models .*` lists its versions"),
        "promote 3": (None, "3"),
        "list": ["3", "2", "1"],
    },
    alias_moved: {
        "who is champion": "3",
        "look up": "3",
        "roll back": ("3", "2"),
        "promote 3": RegistryError("champion already"),
    },
    version_deleted: {
        "who is champion": None,
        "fetch": RegistryError(NO_ALIAS),
        "roll back": RegistryError("has no champion to roll back from"),
        "promote 3": (None, "3"),
        "list": ["3", "1"],
    },
    renamed: {"who is champion": None} | UNKNOWN,
    deleted: {"who is champion": None} | UNKNOWN,
    history_deleted: {"who is champion": "2", "fetch": "sanet", "roll back": ("2", "1"), "promote 3": ("2", "3")},
    history_spoilt: {"who is champion": "2", "roll back": ("2", "1"), "promote 3": ("2", "3")},
}


def champions_1_and_2(registry: Registry, name: str, source: str) -> str:
    registry.add(name, *[source] * 3)
    registry.client.set_registered_model_tag(name, champions.HISTORY, "1 2")
    registry.client.set_model_version_tag(name, "2", champions.PREVIOUS, "1")
    registry.client.set_registered_model_alias(name, "champion", "2")
    return name


def check(expected: object, action: str, name: str) -> None:
    if isinstance(expected, RegistryError):
        with pytest.raises(RegistryError, match=str(expected)):
            ACTIONS[action](name)
    else:
        assert ACTIONS[action](name) == expected


@pytest.mark.parametrize(("leave", "action"), [(leave, action) for leave, cells in STATES.items() for action in cells])
def test_a_registry_as_it_was_left(registry, sources, leave, action):
    name = champions_1_and_2(registry, f"{leave.__name__} {action}", sources["sound"])
    leave(registry.client, name)
    check(STATES[leave][action], action, name)


def test_who_was_champion_is_known_after_the_alias_was_deleted(registry, sources):
    name = champions_1_and_2(registry, "forgotten", sources["sound"])
    alias_deleted(registry.client, name)
    force(name, "3", "a reason")
    assert roll_back(name) == ("3", "2")


def test_a_renamed_model_keeps_its_champions(registry, sources):
    name = champions_1_and_2(registry, "old name", sources["sound"])
    renamed(registry.client, name)
    assert roll_back("old name of today") == ("2", "1")


@pytest.mark.parametrize("action", ["fetch", "roll back", "promote 3"])
def test_versions_whose_files_were_moved(registry, sources, action):
    name = champions_1_and_2(registry, f"moved {action}", sources["moved"])
    check(RegistryError(rf"model models:/{name}.* cannot be fetched from sqlite:///"), action, name)
    assert registry.champion(name) == "2"
    shutil.copytree(registry.folder / "elsewhere", registry.folder / "moved")
    try:
        ACTIONS[action](name)
    finally:
        shutil.rmtree(registry.folder / "moved")


def test_an_experiment_that_was_deleted_and_restored(registry):
    set_experiment(FOLDERS)
    number = mlflow.get_experiment_by_name(FOLDERS).experiment_id
    registry.client.delete_experiment(number)
    with pytest.raises(RegistryError, match=r"Cannot set a deleted experiment 'registered folders'.*You can restore"):
        register_folder(MODELS["sanet"], "restored")
    registry.client.restore_experiment(number)
    assert register_folder(MODELS["sanet"], "restored") == "1"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("sqlite:///FOLDER/old.db", r"out-of-date database schema .*run 'mlflow db upgrade"),
        ("sqlite:///FOLDER/none.db", r"there is no MLflow store .*the file does not exist"),
        ("sqlite:///FOLDER/text.db", r"the file is not an SQLite database"),
        ("file://FOLDER/mlruns", r"in maintenance mode"),
        ("nonsense://x", r"got unsupported URI 'nonsense://x'"),
        ("postgresql://me:secret@127.0.0.1:9/mlflow", r"database failed in MLflow at postgresql://127.0.0.1:9/"),
        ("mysql+pymysql://me:secret@127.0.0.1:9/mlflow", r"database failed in MLflow at mysql\+pymysql://127.0.0.1:9/"),
        ("http://me:secret@127.0.0.1:9", r"http://127.0.0.1:9.* failed"),
    ],
)
@pytest.mark.parametrize(
    "action", [lambda: list_models(), lambda: fetch_model("models:/ieast@champion")], ids=["list", "fetch"]
)
def test_another_store_in_the_environment(registry, tmp_path, monkeypatch, uri, says, action):
    shutil.copy(registry.folder / "mlflow.db", tmp_path / "old.db")
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")  # of MLflow 1.0
    (tmp_path / "text.db").write_text("a text")
    mlflow.set_tracking_uri(None)  # which takes it out of the environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("FOLDER", str(tmp_path)))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    began = time.monotonic()

    def connect_and_act() -> None:
        connect(tmp_path)
        action()

    try:
        with pytest.raises(RegistryError) as refusal:
            connect_and_act()
    finally:
        mlflow.set_tracking_uri(registry.uri)
    assert refusal.match(says)
    assert "secret" not in str(refusal.value)
    assert time.monotonic() - began < 20
