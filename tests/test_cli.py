import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from ieast.cli import app, main
from ieast.config import EncoderConfig, ModelConfig
from ieast.errors import IeastError
from ieast.images import read_image, to_tensor
from ieast.models.checkpoint import load_model, save_model
from ieast.models.encoder import build_encoder
from ieast.models.stylizer import build_stylizer

runner = CliRunner()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    encoder.normalise_taps([torch.rand(2, 3, 64, 64)])
    stylizer = build_stylizer(encoder, ModelConfig(attention_start="identity"))
    with torch.no_grad():  # spread the untrained decoder's output over the range of a picture
        stylizer.decoder.conv1_1.weight.mul_(8)
        stylizer.decoder.conv1_1.bias.fill_(0.5)
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={})
    return folder


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(0)
    for name, size in (("content", (75, 101)), ("style", (64, 48))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path / "content.png", tmp_path / "style.png"


def stylize(*arguments):
    return runner.invoke(app, ["stylize", *map(str, arguments)])


def refusal(*arguments):
    result = stylize(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, IeastError)
    return str(result.exception)


def test_stylize_keeps_the_contents_size_and_equals_the_library(model, pictures, tmp_path):
    content, style = pictures
    result = stylize(content, style, "-o", tmp_path / "deep" / "out.png", "--model", model)
    assert result.exit_code == 0, result.output
    assert "101x75" in result.output
    written = to_tensor(read_image(tmp_path / "deep" / "out.png"))
    expected = load_model(model)[0].stylize(to_tensor(read_image(content)), to_tensor(read_image(style)))
    assert written.shape[-2:] == (75, 101)
    assert written.std() > 0.02  # not a flat or clipped picture, on which anything would agree
    assert (written - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_alpha_changes_the_picture(model, pictures, tmp_path):
    for alpha in ("0", "1"):
        stylize(*pictures, "-o", tmp_path / f"{alpha}.png", "--model", model, "--alpha", alpha)
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("alpha", ["-0.1", "1.5", "nan"])
def test_alpha_out_of_range_is_refused(model, pictures, tmp_path, alpha):
    message = refusal(*pictures, "-o", tmp_path / "out.png", "--model", model, "--alpha", alpha)
    assert message == f"alpha is {float(alpha)}; it must lie between 0 and 1"


def test_unknown_extension_is_refused_before_anything_is_read(tmp_path):
    message = refusal(tmp_path / "nothing.png", tmp_path / "nothing.png", "-o", tmp_path / "out.xyz", "--model", tmp_path)
    assert ".xyz" in message
    assert ".png" in message


def test_an_input_is_not_overwritten(model, pictures):
    before = pictures[0].read_bytes()
    assert "is one of the inputs" in refusal(*pictures, "-o", pictures[0], "--model", model)
    assert pictures[0].read_bytes() == before


def test_unreadable_picture_is_named(model, pictures, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("not a picture")
    assert str(broken) in refusal(broken, pictures[1], "-o", tmp_path / "out.png", "--model", model)
    assert not (tmp_path / "out.png").exists()


def test_folder_without_a_model_is_named(pictures, tmp_path):
    message = refusal(*pictures, "-o", tmp_path / "out.png", "--model", tmp_path)
    assert message == f"{tmp_path} holds no model: there is no config.json in it"


def test_large_styles_are_looked_at_in_the_asked_size(model, pictures, tmp_path):
    Image.new("RGB", (900, 600), "red").save(tmp_path / "large.png")
    result = stylize(pictures[0], tmp_path / "large.png", "-o", tmp_path / "o.png", "--model", model, "--style-size", "64")
    assert result.exit_code == 0, result.output


def test_errors_are_one_message_and_exit_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["ieast", "last-run", "--work-folder", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"ieast: no pipeline run has finished yet: there is no {tmp_path / 'last_run.txt'}\n"


def test_train_works_without_the_pipeline_and_notices_new_pictures(tmp_path):
    random = np.random.default_rng(0)

    def draw(side, name):
        path = tmp_path / "data" / side / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(path)

    for number in range(3):
        draw("content", f"{number}.png")
        draw("style", f"{number}.png")
    document = yaml.safe_load((Path(__file__).parents[1] / "configs" / "quickstart.yaml").read_text())
    document["parameters"]["config"]["training"] |= {"iterations": 1, "reconstruction_iterations": 1}
    document["parameters"]["config"]["prepare"]["size"] = 64
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    command = ["train", str(tmp_path / "data"), "--config", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "out")]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    draw("style", "new.png")
    assert runner.invoke(app, command).exit_code == 0
    assert len(list((tmp_path / "out" / "prepared").iterdir())) == 2
    models = list((tmp_path / "out" / "training").glob("*/model"))
    assert len(models) == 2
    assert all(load_model(model) for model in models)


def test_train_names_the_missing_folder(tmp_path):
    config = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
    result = runner.invoke(app, ["train", str(tmp_path / "no"), "--config", str(config), "-o", str(tmp_path / "out")])
    assert str(result.exception) == f"there is no folder {tmp_path / 'no'}; give one that holds content/ and style/"


def test_import_checkpoint_names_the_missing_file(tmp_path):
    files = [tmp_path / name for name in ("vgg.pth", "transform.pth", "decoder.pth")]
    arguments = ["--vgg", files[0], "--transform", files[1], "--decoder", files[2], "-o", tmp_path / "model"]
    result = runner.invoke(app, ["import-checkpoint", *map(str, arguments)])
    assert str(result.exception) == f"there is no weights file {files[0]}; check the path, or put the file there"
    assert not (tmp_path / "model").exists()


def test_importing_the_package_changes_nothing_and_needs_no_pipeline_libraries():
    code = (
        "import sys, random, torch; state = torch.get_rng_state(); "
        "import ieast.training.launch, ieast.evaluation.report, ieast.models.checkpoint, ieast.data.prepare, ieast.cli; "
        "assert torch.equal(state, torch.get_rng_state()); "
        "print(*sorted({'zenml', 'mlflow', 'dvc'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""


def test_no_layer_imports_upwards():
    root = Path(__file__).resolve().parents[1]
    science = [p for folder in ("models", "losses", "training", "evaluation") for p in (root / "ieast" / folder).glob("*.py")]
    assert science
    for path in (root / "ieast").rglob("*.py"):
        text = path.read_text()
        assert "import zenml" not in text, path
        assert "from zenml" not in text, path
    for path in science:
        for library in ("mlflow", "dvc"):
            assert f"import {library}" not in path.read_text(), path
            assert f"from {library}" not in path.read_text(), path
