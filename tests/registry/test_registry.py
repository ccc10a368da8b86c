import ast
import asyncio
import base64
import filecmp
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from ieast.checkpoint import load_model, save_model
from ieast.config import StylizeOptions
from ieast.errors import ConfigError, RegistryError, WeightsError
from ieast.io.content_noise import with_noise
from ieast.io.images import decode_bytes, encode_png, to_image, to_tensor
from ieast.stylization.session import StyleSession
from ieast.stylizer.novelty import StyleRange, style_vector

mlflow = pytest.importorskip("mlflow")

from mlflow.exceptions import MlflowException  # noqa: E402 - needs mlflow
from mlflow.pyfunc import scoring_server  # noqa: E402

from ieast.registry import pyfunc, register  # noqa: E402 - needs mlflow
from ieast.registry.store import connect  # noqa: E402

NAME = "ieast"


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
    """Version 1 is registered and made champion, version 2 is registered."""
    found = History(before_all=register.champion_version(NAME))
    with mlflow.start_run():
        found["first"] = register.register(exported, NAME, {"data.md5": "f00", "score.style_distance": "1.5"})
        found["registered"], found["champion before"] = aliases(), register.champion_version(NAME)
        mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", found["first"])
        found["champion after"] = register.champion_version(NAME)
    with mlflow.start_run():
        found["second"] = register.register(exported, NAME, {"data.md5": "f01"})
        found["second registered"] = aliases()
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


def test_a_second_model_becomes_the_challenger_beside_the_champion(history):
    assert history["champion after"] == "1"
    assert history["second"] == "2"
    assert history["second registered"] == {"champion": "1", "challenger": "2"}


def test_the_logged_model_has_a_signature_and_an_input_example(downloaded):
    model = mlflow.models.Model.load(downloaded)
    assert model.signature == pyfunc.SIGNATURE
    assert model.saved_input_example_info is not None
    example = model.load_input_example(str(downloaded))
    assert list(example) == ["content", "style"]
    assert model.load_input_example_params(str(downloaded)) == {"alpha": 1.0, "style_size": 512, "preserve_colour": "none"}


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
    assert all("==" in line for line in lines)
    code = (
        "import sys, ieast.registry.served_model; from ieast.methods import find, names; [find(name) for name in names()]; "
        "print(*[module.__file__ for name, module in sys.modules.items() if name[:5] == 'ieast'])"
    )
    files = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(files) > 20
    imported = set().union(*(imports(ast.parse(Path(file).read_text())) for file in files))
    distributions = {"PIL": "pillow", "yaml": "pyyaml"}
    assert names == {distributions.get(module, module) for module in imported - {"ieast"} - sys.stdlib_module_names}


def imports(tree: ast.Module) -> set[str]:
    """Top-level packages that a module imports when it is imported itself."""
    plain = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {str(n.module) for n in tree.body if isinstance(n, ast.ImportFrom)}}


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
        ("postgresql://user:s3/cr@et@host/db", "postgresql://host/db"),
        (
            "postgresql://host/db?user=u&password=secret&sslmode=require",
            "postgresql://host/db?user=u&password=...&sslmode=require",
        ),
        ("see https://a:b@one and https://two/x", "see https://one and https://two/x"),
    ],
)
def test_messages_show_no_password(uri, shown):
    assert register.redacted(uri) == shown


def test_an_address_that_is_none_of_a_database_is_said_without_its_password(monkeypatch):
    monkeypatch.setattr(mlflow, "get_registry_uri", lambda: "postgresql://mlflow:s3cret@host:port/db")
    with pytest.raises(RegistryError, match=r"^postgresql://host:port/db is no address of a database") as caught:
        connect(Path("nowhere"))
    assert "s3cret" not in str(caught.value)


def test_storage_that_refuses_is_an_error_like_any_other(history, monkeypatch):
    """Such as botocore's NoCredentialsError, which is none of MLflow's."""

    class NoCredentialsError(Exception):
        pass

    def refuse(**_):
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuse)
    with pytest.raises(RegistryError, match=r"cannot be fetched from .*: Unable to locate credentials"):
        register.fetch_model("models:/ieast/1")


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
            content = to_tensor(with_noise(CONTENT, alpha * StylizeOptions.content_noise))
            expected = to_image(stylizer.stylize(content, to_tensor(STYLE), alpha))
            assert served.tobytes() == expected.tobytes()


@pytest.fixture(scope="module")
def served(downloaded) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(downloaded))


def answer(served: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, **params: object) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)) for data in served.predict(frame, params=params or None)["stylized"]]


def test_rows_are_answered_in_order_each_in_its_contents_size(served, exported):
    stylizer, _ = load_model(exported)
    pairs = [(CONTENT, STYLE), (STYLE, CONTENT), (CONTENT, CONTENT)]
    found = answer(served, rows(*((encode_png(content), encode_png(style)) for content, style in pairs)), content_noise=0.0)
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
    assert answer(served, frame, style_size=32, content_noise=0.0)[0].tobytes() == expected.tobytes()
    assert answer(served, frame, style_size=64)[0].tobytes() == answer(served, frame)[0].tobytes()


@pytest.fixture(scope="module")
def model(exported) -> pyfunc.StylizerModel:
    """The model itself, of this process's classes."""
    found = pyfunc.StylizerModel()
    found.load_context(type("Context", (), {"artifacts": {"model": str(exported)}}))
    return found


GOOD, ART, OTHER_ART = encode_png(CONTENT), encode_png(STYLE), encode_png(picture(2, 48, 33))
LEFT = Image.new("L", CONTENT.size, 0)
LEFT.paste(255, (0, 0, 24, 38))
RIGHT = ImageOps.invert(LEFT)


def painted(exported: Path, options: StylizeOptions, styles: list[bytes], masks: list[Image.Image] | None = None) -> bytes:
    """What the library makes of CONTENT."""
    pictures = [Image.open(io.BytesIO(style)) for style in styles]
    masks = [mask.convert("RGB") for mask in masks or []]
    return StyleSession(load_model(exported)[0], pictures, options, masks).stylize(CONTENT).tobytes()


def test_a_row_may_blend_styles_by_weights_and_masks_and_others_lack_these(served, exported):
    masks = [encode_png(LEFT.convert("RGB")), encode_png(RIGHT.convert("RGB"))]
    frame = pd.DataFrame(  # as pandas makes it from records: what is not there is NaN
        [
            {"content": GOOD, "style": ART},
            {"content": GOOD, "styles": [ART, OTHER_ART], "weights": [3, 1.0]},
            {"content": GOOD, "styles": (OTHER_ART, ART), "masks": masks},
            {"content": GOOD, "style": None, "styles": np.array([ART, OTHER_ART], dtype=object), "weights": np.array([0.5, 2])},
        ]
    )
    found = answer(served, frame)
    expected = [
        painted(exported, StylizeOptions(), [ART]),
        painted(exported, StylizeOptions(weights=(3, 1)), [ART, OTHER_ART]),
        painted(exported, StylizeOptions(), [OTHER_ART, ART], [LEFT, RIGHT]),
        painted(exported, StylizeOptions(weights=(0.5, 2)), [ART, OTHER_ART]),
    ]
    assert [picture.tobytes() for picture in found] == expected
    assert len(set(expected)) == 4


@pytest.mark.parametrize("preserve_colour", ["luminance", "coral"])
def test_the_contents_colours_are_kept(served, exported, preserve_colour):
    (found,) = answer(served, rows((GOOD, ART)), preserve_colour=preserve_colour)
    assert found.tobytes() == painted(exported, StylizeOptions(preserve_colour=preserve_colour), [ART])
    assert found.tobytes() != painted(exported, StylizeOptions(), [ART])


@pytest.mark.parametrize("optional", [None, float("nan"), pd.NA, []], ids=str)
def test_an_empty_optional_cell_is_absent(served, exported, optional):
    frame = pd.DataFrame([{"content": GOOD, "style": ART, "styles": optional, "weights": optional, "masks": optional}])
    assert answer(served, frame)[0].tobytes() == painted(exported, StylizeOptions(), [ART])


def test_zeros_that_end_a_file_in_a_list_are_kept(served, exported):
    pad = bytes(100)  # a format may end in zeros; MLflow's own arrays of binary values would lose them
    bitmap = io.BytesIO()
    Image.new("RGB", (32, 24)).save(bitmap, "BMP")
    assert bitmap.getvalue().endswith(pad)
    frame = pd.DataFrame([{"content": GOOD, "styles": [bitmap.getvalue()]}])
    assert answer(served, frame)[0].tobytes() == painted(exported, StylizeOptions(), [bitmap.getvalue()])


@pytest.fixture(scope="module")
def invoke(served) -> Callable[[object], tuple[int, object]]:
    """Posts to the application that `mlflow models serve` runs; answers with the status and what the JSON says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # `init` sets it, for the whole process
        app = scoring_server.init(served)

    async def post(body: object) -> tuple[int, object]:
        scope = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b""}
        sent = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await app(scope | {"headers": [(b"content-type", b"application/json")]}, receive, send)
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))

    return lambda body: asyncio.run(post(body))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_pictures_come_and_go_as_base64_over_rest(invoke, exported):
    mask, other_mask = (text(encode_png(mask.convert("RGB"))) for mask in (LEFT, RIGHT))
    records = [
        {"content": text(GOOD), "style": base64.encodebytes(ART).decode()},  # in lines, as MLflow itself writes it
        {"content": text(GOOD), "style": None, "styles": [text(ART), text(OTHER_ART)], "weights": [2, 1]},
        {"content": text(GOOD), "styles": [text(ART), text(OTHER_ART)], "masks": [mask, other_mask], "weights": None},
    ]
    expected = [
        painted(exported, StylizeOptions(0.5), [ART]),
        painted(exported, StylizeOptions(0.5, (2, 1)), [ART, OTHER_ART]),
        painted(exported, StylizeOptions(0.5), [ART, OTHER_ART], [LEFT, RIGHT]),
    ]
    columns = ["content", "style", "styles", "weights", "masks"]
    split = {"columns": columns, "data": [[record.get(column) for column in columns] for record in records]}
    for body in ({"dataframe_records": records}, {"dataframe_split": split}):
        status, said = invoke(body | {"params": {"alpha": 0.5}})
        assert status == 200, said
        found = [base64.b64decode(row["stylized"]) for row in said["predictions"]]
        assert [Image.open(io.BytesIO(data)).tobytes() for data in found] == expected


def test_errors_over_rest_say_what_was_wrong_in_their_message(invoke):
    status, said = invoke({"dataframe_records": [{"content": text(GOOD), "styles": [text(ART), "not base64!"]}]})
    assert status == 400
    assert "row 0, styles[1]: holds text that is not base64" in said["message"]
    records = [{"content": text(GOOD), "style": text(ART)}]
    status, said = invoke({"dataframe_records": records, "params": {"preserve_colour": "hue"}})
    assert status == 400
    assert "preserve_colour is 'hue'; it must be one of none, luminance, coral" in said["message"]


def test_what_is_too_large_for_memory_is_said_with_the_row_and_what_it_needs(model, monkeypatch):
    monkeypatch.setattr("ieast.stylizer.memory.available_bytes", lambda device: 50_000_000)
    with pytest.raises(MlflowException) as caught:
        model.predict(None, rows((GOOD, ART)))
    assert re.match(
        r"row 0: stylizing 1 x 45x38 pixels needs up to 0\.\d GB of memory on cpu, and 0\.1 GB are available\. ",
        caught.value.message,
    )
    assert caught.value.get_http_status_code() == 429


def row(**cells: object) -> pd.DataFrame:
    return pd.DataFrame([{"content": GOOD} | cells])


def header(width: int, height: int) -> bytes:
    """A PNG of that size by its header alone."""
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(data)) + b"IHDR" + data + struct.pack(">I", zlib.crc32(b"IHDR" + data))
    return GOOD[:8] + chunk + GOOD[33:]


def large_jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    picture(3, 400, 300).resize((width, height)).save(file, "JPEG")
    return file.getvalue()


TOO_LARGE = header(15_001, 10_000)


def test_a_contents_transparency_is_kept_when_asked(model):
    layer = CONTENT.copy()
    layer.putalpha(picture(2, *CONTENT.size).convert("L"))
    frame = rows((encode_png(layer), encode_png(STYLE)))
    kept = Image.open(io.BytesIO(model.predict(None, frame, {"keep_alpha": True})["stylized"][0]))
    np.testing.assert_array_equal(kept.getchannel("A"), layer.getchannel("A"))
    assert Image.open(io.BytesIO(model.predict(None, frame)["stylized"][0])).mode == "RGB"


def test_a_style_as_large_as_a_telephone_takes_it_is_shrunk(model, exported):
    photo = large_jpeg(4000, 3000)
    found = model.predict(None, row(style=photo), {"style_size": 64})
    small = decode_bytes(photo, smallest_side=64).resize((85, 64), Image.Resampling.LANCZOS)
    expected = StyleSession(load_model(exported)[0], [small], StylizeOptions(style_size=64)).stylize(CONTENT)
    assert Image.open(io.BytesIO(found["stylized"][0])).tobytes() == expected.tobytes()


def test_contents_beyond_four_megapixels_are_bounded_by_memory_alone(model, monkeypatch):
    needs = re.escape("row 0: stylizing 1 x 4000x3000 pixels needs up to ")
    frame = rows((large_jpeg(4000, 3000), ART))
    with monkeypatch.context() as patch:
        patch.setattr("ieast.stylizer.memory.available_bytes", lambda device: 50_000_000)
        with pytest.raises(MlflowException, match=needs):
            model.predict(None, frame)
    thin = model.predict(None, rows((encode_png(picture(4, 1, 40)), ART)))
    assert Image.open(io.BytesIO(thin["stylized"][0])).size == (1, 40)


def test_the_limit_is_a_setting_of_the_server(exported, monkeypatch):
    monkeypatch.setenv("IEAST_MAX_PIXELS", "1000")
    strict = pyfunc.StylizerModel()
    strict.load_context(type("Context", (), {"artifacts": {"model": str(exported)}}))
    with pytest.raises(MlflowException, match="row 0, content: the picture: has too many pixels: 45x38 is more than 1,000"):
        strict.predict(None, rows((GOOD, ART)))
    monkeypatch.setenv("IEAST_MAX_PIXELS", "4 MP")
    with pytest.raises(ConfigError, match="IEAST_MAX_PIXELS is '4 MP'; give the most pixels that a picture may have"):
        strict.load_context(type("Context", (), {"artifacts": {"model": str(exported)}}))


def test_a_row_that_fails_does_not_lose_the_others(invoke, exported):
    records = [{"content": text(content), "style": text(ART)} for content in (GOOD, GOOD[:100], GOOD)]
    status, said = invoke({"dataframe_records": records})
    assert status == 200, said
    first, second, third = said["predictions"]
    assert first == third
    assert first["error"] is None
    assert Image.open(io.BytesIO(base64.b64decode(first["stylized"]))).tobytes() == painted(exported, StylizeOptions(), [ART])
    assert second["stylized"] is None
    assert second["error"].startswith("row 1, content: the picture: is damaged or truncated (")


def test_a_mask_that_is_white_on_transparent_applies_where_it_is_white(model, exported):
    clear = Image.new("RGBA", CONTENT.size, "white")
    clear.putalpha(LEFT)
    found = model.predict(None, row(styles=[ART], masks=[encode_png(clear)]))
    assert Image.open(io.BytesIO(found["stylized"][0])).tobytes() == painted(exported, StylizeOptions(), [ART], [LEFT])


WRONG_SIZE = encode_png(Image.new("RGB", (38, 45), "white"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows((GOOD, b"no picture")), "row 0, style: the picture: is not an image in a known format ("),
        (rows(("text", GOOD)), "row 0, content: the picture: is not an image in a known format ("),
        (rows(("no base64!", GOOD)), "row 0, content: holds text that is not base64 ("),
        (rows((1, GOOD)), "row 0, content: holds int, not the bytes of a picture's file"),
        (rows((GOOD, 1)), "row 0, style: holds int, not the bytes of a picture's file"),
        (rows((GOOD, None)), "row 0, style: is missing; give a picture there, or several in styles"),
        (rows((b"", GOOD), (b"", GOOD)), "row 0, content: the picture: is not an image in a known format ("),
        (rows((GOOD[: len(GOOD) // 2], GOOD)), "row 0, content: the picture: is damaged or truncated ("),
        (
            rows((TOO_LARGE, GOOD)),
            "row 0, content: the picture: has too many pixels: 15001x10000 is more than 150,000,000 in all.",
        ),
        (
            rows((GOOD, TOO_LARGE)),
            "row 0, style: the picture: has too many pixels: 15001x10000 is more than 150,000,000 in all.",
        ),
        (row(style=ART, styles=[ART]), "row 0, styles: is given beside style; put all pictures into styles"),
        (row(styles=ART), "row 0, styles: holds bytes, not a list of pictures"),
        (row(styles=[ART] * 9), "row 0, styles: holds 9 pictures; give at most 8"),
        (row(styles=[ART, None]), "row 0, styles[1]: holds NoneType, not the bytes of a picture's file"),
        (row(styles=[ART, b"?"]), "row 0, styles[1]: the picture: is not an image in a known format ("),
        (row(styles=[ART, ART], weights=[1]), "row 0, weights: 1 weights for 2 styles; give one for each"),
        (row(styles=[ART, ART], weights=[0, 0]), "row 0, weights: the weights of all 2 styles are 0;"),
        (row(styles=[ART, ART], weights=[1, -1]), "row 0, weights: style 1 has weight -1.0; weights must be finite"),
        (
            row(styles=[ART, ART], weights=[1e308, 1e308]),
            "row 0, weights: the weights of all 2 styles are too large to add up;",
        ),
        (row(styles=[ART, ART], weights=[1, 10**400]), "row 0, weights: hold too large a number in place 1;"),
        (row(styles=[ART, ART], weights=[1, "1"]), "row 0, weights: hold str in place 1, not a number"),
        (row(style=ART, weights=1.0), "row 0, weights: holds float, not a list of numbers"),
        (row(style=ART, masks=[GOOD, GOOD]), "row 0, masks: 2 masks for 1 styles; give one for each"),
        (
            row(style=ART, masks=[WRONG_SIZE]),
            "row 0, masks[0]: is 38x45 pixels, but the content is 45x38; a mask must have exactly the content's size",
        ),
        (row(style=ART, masks=[b"?"]), "row 0, masks[0]: the picture: is not an image in a known format ("),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_by_row_and_column(model, frame, message):
    with pytest.raises(MlflowException, match=f"^{re.escape(message)}") as caught:
        model.predict(None, frame)
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5; it must lie between 0 and 1"),
        ({"alpha": -0.1}, "alpha is -0.1; it must lie between 0 and 1"),
        ({"alpha": float("nan")}, "alpha is nan; it must lie between 0 and 1"),
        ({"style_size": 15}, "style_size is 15; it must be at least 16 pixels"),
        ({"style_size": 4096}, "style_size is 4096; it must be at most 2048 pixels"),
        ({"preserve_colour": "hue"}, "preserve_colour is 'hue'; it must be one of none, luminance, coral"),
    ],
)
def test_a_parameter_out_of_range_is_refused(model, params, message):
    with pytest.raises(MlflowException, match=f"^{re.escape(message)}$"):
        model.predict(None, rows((GOOD, GOOD)), params)


@pytest.mark.parametrize("frame", [pd.DataFrame({"style": [GOOD]}), rows((1, GOOD))])
def test_inputs_that_do_not_fit_the_signature_are_refused(served, frame):
    with pytest.raises(MlflowException, match="Failed to enforce schema"):
        served.predict(frame)


# -- what is known of training styles -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def knowing(store, tmp_path_factory, stylizer):
    """A registered folder whose card knows its training styles, and these."""
    known = StyleRange.of([style_vector(stylizer.encoder, to_tensor(picture(seed, 64, 64))) for seed in range(10)])
    folder = tmp_path_factory.mktemp("knowing") / "adapted"
    provenance = {"code": "c0de", "adaptation": {"artworks": {"a.jpg": "1", "b.jpg": "2"}}}
    save_model(stylizer, folder, method="ieast", encoder_source="drawn", provenance=provenance, styles=known)
    number = register.register_folder(folder, "from-a-folder")
    return mlflow.pyfunc.load_model(f"models:/from-a-folder/{number}"), known, number


def test_a_folder_is_registered_as_a_run_of_its_own(knowing, store):
    client = mlflow.MlflowClient()
    registered = client.get_model_version("from-a-folder", knowing[2])
    expected = {"method": "ieast", "encoder": "vgg19-compact", "code": "c0de", "adapted_to": "a.jpg, b.jpg"}
    assert {name: value for name, value in registered.tags.items() if not name.startswith("sha256.")} == expected
    assert {alias: str(n) for alias, n in client.get_registered_model("from-a-folder").aliases.items()} == {
        "challenger": knowing[2]
    }
    run = client.get_run(registered.run_id)
    assert run.info.run_name == "adapted"
    assert run.info.status == "FINISHED"
    database = Path(store.removeprefix("sqlite:///"))
    assert run.info.artifact_uri.startswith((database.parent / "mlflow_artifacts").as_uri())  # and not where the test runs


def test_a_folder_without_a_model_is_not_registered(store, tmp_path):
    with pytest.raises(WeightsError, match="holds no model"):
        register.register_folder(tmp_path, "nothing")
    assert not mlflow.MlflowClient().search_registered_models("name = 'nothing'")


def test_a_registered_model_says_how_new_styles_are(knowing, stylizer):
    model, known, _ = knowing
    assert {name: value for name, value in model.metadata.metadata.items() if name != register.DIGESTS} == {
        "training_styles": 10,
        "novelty_median": known.quantile(0.5),
        "novelty_95": known.quantile(0.95),
    }
    table = rows((encode_png(CONTENT), encode_png(STYLE)), (b"no picture", encode_png(STYLE)))
    answer = model.predict(table, params={"novelty": True})
    new = known.novelty(style_vector(stylizer.encoder, to_tensor(STYLE)))
    assert answer["novelty"][0] == [{"distance": pytest.approx(new.distance), "share": pytest.approx(new.share)}]
    assert answer["novelty"][1] is None
    assert list(model.predict(table)) == ["stylized", "error"]
