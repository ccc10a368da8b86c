import filecmp
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ieast.errors import ImageError, RegistryError
from ieast.images import encode_png, to_image, to_tensor
from ieast.models.checkpoint import load_model, save_model
from ieast.registry.promotion import Decision

mlflow = pytest.importorskip("mlflow")

from ieast.registry import pyfunc, register  # noqa: E402 - needs mlflow

NAME = "ieast"
KEPT = Decision(promote=False, reasons=("style_distance 2, at most 1 x the champion's 1 asked: fails", "second"))
PROMOTED = Decision(promote=True, reasons=("there is no champion yet",))


def picture(seed: int, width: int, height: int) -> Image.Image:
    samples = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(samples).resize((width, height), Image.Resampling.BICUBIC)


CONTENT, STYLE = picture(0, 45, 38), picture(1, 40, 52)


def rows(*pairs: tuple[object, object]) -> pd.DataFrame:
    return pd.DataFrame([{"content": content, "style": style} for content, style in pairs])


@pytest.fixture(scope="module")
def exported(tmp_path_factory, stylizer) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={"iterations": 0})
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[str]:
    """An MLflow of this module's own, on SQLite."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri()))
    yield uri
    mlflow.set_tracking_uri(before)


def version(number: str) -> object:
    return mlflow.MlflowClient().get_model_version(NAME, number)


def aliases() -> dict[str, str]:
    found = mlflow.MlflowClient().get_registered_model(NAME).aliases
    return {alias: str(number) for alias, number in found.items()}  # SQLite stores give integers


class History(dict):
    """What the registry said after each step of the story below."""


@pytest.fixture(scope="module")
def history(store, exported) -> History:
    """Version 1 is registered and promoted, version 2 registered and kept."""
    found = History(before_all=register.champion_version(NAME))
    with mlflow.start_run():
        found["first"] = register.register(exported, NAME, {"data.md5": "f00", "score.style_distance": "1.5"})
        found["registered"], found["champion before"] = aliases(), register.champion_version(NAME)
        register.apply_decision(NAME, found["first"], PROMOTED)
        found["promoted"], found["champion after"] = aliases(), register.champion_version(NAME)
    with mlflow.start_run():
        found["second"] = register.register(exported, NAME, {"data.md5": "f01"})
        found["second registered"] = aliases()
        register.apply_decision(NAME, found["second"], KEPT)
        found["kept"] = aliases()
    return found


@pytest.fixture(scope="module")
def downloaded(history) -> Path:
    return Path(mlflow.artifacts.download_artifacts("models:/ieast@champion"))


def test_there_is_no_champion_before_the_first_model_and_before_the_first_promotion(history):
    assert history["before_all"] is None
    assert history["champion before"] is None


def test_a_registered_model_is_the_challenger_with_its_tags(history):
    assert history["first"] == "1"
    assert history["registered"] == {"challenger": "1"}
    assert version("1").tags.items() >= {"data.md5": "f00", "score.style_distance": "1.5"}.items()


def test_promotion_moves_the_champion_and_removes_the_challenger(history):
    assert history["promoted"] == {"champion": "1"}
    assert history["champion after"] == "1"
    assert version("1").tags.items() >= {"gate.decision": "promoted", "gate.reasons": "there is no champion yet"}.items()
    assert "gate.previous_champion" not in version("1").tags


def test_a_kept_challenger_leaves_the_champion_and_says_why(history):
    assert history["second"] == "2"
    assert history["second registered"] == history["kept"] == {"champion": "1", "challenger": "2"}
    assert version("2").tags == {"data.md5": "f01", "gate.decision": "kept", "gate.reasons": "\n".join(KEPT.reasons)}


def test_a_later_promotion_remembers_the_champion_it_replaced(store, history, downloaded):
    name = "succession"
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    for number in ("1", "2"):
        client.create_model_version(name, downloaded.as_uri())
        client.set_registered_model_alias(name, "challenger", number)
        register.apply_decision(name, number, PROMOTED)
    assert list(client.get_registered_model(name).aliases) == ["champion"]
    assert register.champion_version(name) == "2"
    assert client.get_model_version(name, "2").tags["gate.previous_champion"] == "1"
    assert client.get_model_version(name, "1").tags["gate.decision"] == "promoted"


def test_the_logged_model_has_a_signature_and_an_input_example(downloaded):
    model = mlflow.models.Model.load(downloaded)
    assert model.signature == pyfunc.SIGNATURE
    assert model.saved_input_example_info is not None
    example = model.load_input_example(str(downloaded))
    assert list(example) == ["content", "style"]
    assert model.load_input_example_params(str(downloaded)) == {"alpha": 1.0, "style_size": 512}


def test_nothing_in_the_logged_model_is_pickled(downloaded):
    files = [path for path in downloaded.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")]
    assert not [path for path in files if path.read_bytes()[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")]
    assert {path.name for path in (downloaded / "artifacts" / "model").iterdir()} == {
        "config.json",
        "encoder.safetensors",
        "model.safetensors",
    }


def test_the_logged_model_pins_what_serving_needs_and_nothing_of_training(downloaded):
    lines = (downloaded / "requirements.txt").read_text().split()
    names = {line.split("==")[0] for line in lines}
    assert {"mlflow", "torch", "torchvision", "pillow", "safetensors"} <= names
    assert not {"lightning", "zenml", "dvc", "lpips", "ieast"} & names
    assert all("==" in line for line in lines)


@pytest.mark.parametrize("uri", ["models:/ieast@champion", "models:/ieast/1", "models:/ieast@challenger", "models:/ieast/2"])
def test_a_fetched_model_is_the_exported_folder(history, exported, uri):
    fetched = register.fetch_model(uri)
    comparison = filecmp.dircmp(exported, fetched)
    assert comparison.left_only == comparison.right_only == []
    _, mismatch, errors = filecmp.cmpfiles(exported, fetched, comparison.common_files, shallow=False)
    assert mismatch == errors == []
    assert load_model(fetched)[1] == load_model(exported)[1]


@pytest.mark.parametrize(
    "uri",
    ["models:/nothing@champion", "models:/ieast@nobody", "models:/ieast/99", "models:/ieast", "runs:/0123/model", "no uri"],
)
def test_a_model_that_is_not_there_is_an_error_that_says_where_it_was_looked_for(history, store, uri):
    with pytest.raises(RegistryError) as caught:
        register.fetch_model(uri)
    assert str(caught.value).startswith(f"model {uri} cannot be fetched from {store}: ")
    assert str(caught.value).endswith(
        ". Set MLFLOW_TRACKING_URI to the store that holds it; the Models page of its UI lists names, versions and aliases"
    )


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://user:secret@host/db", "postgresql://host/db"),
        ("https://host:5000", "https://host:5000"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_messages_show_no_password(uri, shown):
    assert register.redacted(uri) == shown


SERVE = """
import sys
from pathlib import Path
import mlflow, pandas as pd

# The package is installed in development mode; a server would not have it.
for finder in list(sys.meta_path):
    if "__editable__" in getattr(finder, "__module__", "") or "editable" in repr(finder).lower():
        sys.meta_path.remove(finder)
repository = Path(sys.argv[2])
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != repository]
try:
    import ieast
except ModuleNotFoundError:
    print("ieast cannot be imported before")
model = mlflow.pyfunc.load_model("models:/ieast@champion")
folder = Path(sys.argv[1])
rows = pd.DataFrame([{"content": (folder / "content.png").read_bytes(), "style": (folder / "style.png").read_bytes()}])
for alpha in (1.0, 0.5):
    (folder / f"served_{alpha}.png").write_bytes(model.predict(rows, params={"alpha": alpha}).loc[0, "stylized"])
import ieast
print("ieast from", Path(ieast.__file__).resolve().parent)
"""


def test_a_fresh_process_without_this_code_serves_the_champion_from_the_code_it_was_logged_with(
    history, store, exported, tmp_path
):
    repository = Path(register.__file__).resolve().parents[2]
    (tmp_path / "content.png").write_bytes(encode_png(CONTENT))
    (tmp_path / "style.png").write_bytes(encode_png(STYLE))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path), str(repository)],
        cwd=tmp_path,
        env=environment | {"MLFLOW_TRACKING_URI": store},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    before, origin = answer.stdout.splitlines()[-2:]
    assert before == "ieast cannot be imported before"
    assert origin.endswith("/code/ieast")
    assert not Path(origin.removeprefix("ieast from ")).is_relative_to(repository)
    stylizer, _ = load_model(exported)
    for alpha in (1.0, 0.5):
        with Image.open(tmp_path / f"served_{alpha}.png") as served:
            assert (served.format, served.mode, served.size) == ("PNG", "RGB", CONTENT.size)
            expected = to_image(stylizer.stylize(to_tensor(CONTENT), to_tensor(STYLE), alpha))
            assert served.tobytes() == expected.tobytes()


@pytest.fixture(scope="module")
def served(downloaded) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(downloaded))


def answer(served: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, **params: object) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)) for data in served.predict(frame, params=params or None)["stylized"]]


def test_rows_are_answered_in_order_each_in_its_contents_size(served, exported):
    stylizer, _ = load_model(exported)
    pairs = [(CONTENT, STYLE), (STYLE, CONTENT), (CONTENT, CONTENT)]
    found = answer(served, rows(*((encode_png(content), encode_png(style)) for content, style in pairs)))
    for (content, style), picture in zip(pairs, found, strict=True):
        assert picture.size == content.size
        assert picture.tobytes() == to_image(stylizer.stylize(to_tensor(content), to_tensor(style))).tobytes()


def test_alpha_zero_ignores_the_style_and_the_default_is_one(served):
    frame, other = (rows((encode_png(CONTENT), encode_png(style))) for style in (STYLE, picture(9, 40, 40)))
    zero, zero_other = answer(served, frame, alpha=0.0)[0], answer(served, other, alpha=0.0)[0]
    assert zero.tobytes() == zero_other.tobytes()
    full, default = answer(served, frame, alpha=1.0)[0], answer(served, frame)[0]
    assert full.tobytes() == default.tobytes() != zero.tobytes()


def test_a_large_style_is_looked_at_in_the_given_size(served, exported):
    stylizer, _ = load_model(exported)
    frame = rows((encode_png(CONTENT), encode_png(picture(1, 64, 96))))
    small = picture(1, 64, 96).resize((32, 48), Image.Resampling.LANCZOS)
    expected = to_image(stylizer.stylize(to_tensor(CONTENT), to_tensor(small)))
    assert answer(served, frame, style_size=32)[0].tobytes() == expected.tobytes()
    assert answer(served, frame, style_size=64)[0].tobytes() == answer(served, frame)[0].tobytes()


@pytest.fixture(scope="module")
def model(exported) -> pyfunc.StylizerModel:
    """The model itself: MLflow wraps nothing around its errors, and here they are of this process's classes."""
    found = pyfunc.StylizerModel()
    found.load_context(type("Context", (), {"artifacts": {"model": str(exported)}}))
    return found


GOOD = encode_png(CONTENT)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows((GOOD, b"no picture")), "row 0, style: the picture: is not an image in a known format ("),
        (rows(("text", GOOD)), "row 0, content: holds str, not the bytes of a picture's file"),
        (rows((GOOD, None)), "row 0, style: holds NoneType, not the bytes of a picture's file"),
        (rows((GOOD, GOOD), (b"", GOOD)), "row 1, content: the picture: is not an image in a known format ("),
        (rows((GOOD[: len(GOOD) // 2], GOOD)), "row 0, content: the picture: is damaged or truncated ("),
        (
            rows((encode_png(Image.new("RGB", (2049, 2048))), GOOD)),
            "row 0, content: the picture: has too many pixels: 2049x2048 is more than 4,194,304 in all.",
        ),
        (
            rows((GOOD, encode_png(Image.new("L", (4_194_305, 1)).convert("RGB")))),
            "row 0, style: the picture: is too small: 4194305x1 pixels, and the smaller side must have at least 17.",
        ),
    ],
)
def test_a_picture_that_cannot_be_used_is_named_by_row_and_column(model, frame, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}"):
        model.predict(None, frame)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5; it must lie between 0 and 1"),
        ({"alpha": -0.1}, "alpha is -0.1; it must lie between 0 and 1"),
        ({"alpha": float("nan")}, "alpha is nan; it must lie between 0 and 1"),
        ({"style_size": 15}, "style_size is 15; it must lie between 16 and 2048 pixels"),
        ({"style_size": 4096}, "style_size is 4096; it must lie between 16 and 2048 pixels"),
    ],
)
def test_a_parameter_out_of_range_is_refused(model, params, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        model.predict(None, rows((GOOD, GOOD)), params)


@pytest.mark.parametrize("frame", [pd.DataFrame({"content": [GOOD]}), rows((1, GOOD))])
def test_inputs_that_do_not_fit_the_signature_are_refused(served, frame):
    with pytest.raises(mlflow.exceptions.MlflowException, match="Failed to enforce schema"):
        served.predict(frame)
