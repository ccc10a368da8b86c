"""A method is one file and one line of configuration, as docs/methods.md says: done here with the file printed there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.datasets import draw_dataset
from PIL import Image

from ieast.checkpoint import read_card

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "method": "mean-shift",  # the line
    "prepare": {"size": 48, "min_side": 32},
    "encoder": {"name": "vgg19-compact"},
    "model": {"discriminator_scales": 1, "discriminator_width": 4},
    "training": {"iterations": 2, "batch_size": 6, "crop": 32, "loader_workers": 0},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs `ieast` on a copy of the package that has one file more."""
    folder = tmp_path_factory.mktemp("new")
    shutil.copytree(ROOT / "ieast", folder / "ieast", ignore=shutil.ignore_patterns("__pycache__"))
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "methods.md").read_text(), re.DOTALL)
    (folder / "ieast" / "methods" / "mean_shift.py").write_text(code)
    (folder / "mine.yaml").write_text(yaml.safe_dump({"parameters": {"config": CONFIG}}))
    draw_dataset(folder / "data", 4, 4)

    def ieast(*words):
        command = [sys.executable, "-c", "from ieast.cli.main import main; main()", *words]
        environment = os.environ | {"PYTHONPATH": str(folder)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout

    return folder, ieast


def test_it_trains_is_exported_and_stylizes(run):
    folder, ieast = run
    said = ieast("train", "data", "--config", "mine.yaml", "-o", "runs")
    model = folder / re.search(r"model +(\S+)", said).group(1)
    card = read_card(model)
    assert (card.method, card.network, card.provenance["iterations"]) == ("mean-shift+el", "mean-shift", 2)
    content, style = (next((folder / "data" / side).iterdir()) for side in ("content", "style"))
    said = ieast("stylize", str(content), str(style), "-o", "made.png", "--model", str(model), "--alpha", "0.5")
    assert "mean-shift+el" in said
    with Image.open(content) as given, Image.open(folder / "made.png") as stylized:
        assert stylized.size == given.size


def test_without_its_file_the_model_is_refused_by_name(run, capsys):
    from ieast.checkpoint import load_model
    from ieast.errors import WeightsError

    folder, _ = run
    (model,) = (path.parent for path in folder.glob("runs/**/model/config.json"))
    with pytest.raises(WeightsError, match="there is no method 'mean-shift'; known are adain, avatar-net, ccpl, gatys"):
        load_model(model)
