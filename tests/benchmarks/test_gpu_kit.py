import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from helpers.configurations import QUICKSTART, SMALL, merge
from helpers.datasets import draw_dataset
from typer.testing import CliRunner

from benchmarks import gpu
from ieast.errors import InterruptedTrainingError
from ieast.training.folders import CHECKPOINT

ROOT = Path(__file__).parents[2]
MISSING_ELSEWHERE = ("av", "zenml", "mlflow", "dvc", "alembic", "sqlmodel")


def run(*command: str, **variables: str) -> str:
    python = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{python}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "WHEELS": "none"} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_kit_needs_none_of_the_packages_that_a_gpu_machine_lacks():
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in MISSING_ELSEWHERE)
    run(sys.executable, "-c", f"import sys; {blocked}; import benchmarks.gpu, benchmarks.training, ieast.training.fit")


def test_terms_are_compared_and_a_difference_that_is_too_large_is_refused():
    done = CliRunner().invoke(gpu.app, ["equality", "--device", "cpu", "--iterations", "2", "--largest", "-1"])
    assert done.stdout.count("differ by at most 0.0e+00") == 2
    assert done.exit_code == 1
    assert "not equal" in done.stderr


@pytest.fixture(scope="module")
def brought(tmp_path_factory) -> Path:
    """What two runs brought back; the second, by the script, goes on from what the first has, and begins another training."""
    folder = tmp_path_factory.mktemp("gpu")
    data = draw_dataset(folder / "data", 13, 13)
    quickstart = yaml.safe_load(QUICKSTART.read_text())["parameters"]["config"]
    configs = []
    for name, objective in (("full", {}), ("plain", {"external_learning": False, "contrastive_learning": False})):
        configs.append(folder / f"{name}.yaml")
        settings = merge(merge(quickstart, SMALL), {"objective": objective, "training": {"log_every": 1}})
        configs[-1].write_text(yaml.safe_dump({"parameters": {"config": settings}}))
    trained = folder / "work1" / "training" / "full"
    for path in (trained, folder / "first"):
        path.mkdir(parents=True)
    gpu.one(data, configs[0], trained, 3, folder / "work1")  # as the script's processes do, which take long to start
    gpu._pack(trained.parent, configs[:1], folder / "first")
    more = {"CHECKS": "", "ITERATIONS": "5", "WORK": str(folder / "work2"), "FROM": str(folder / "first")}
    run("bash", "benchmarks/gpu.sh", str(folder / "second"), str(data), "250", *map(str, configs), **more)
    return folder


@pytest.mark.parametrize(("name", "before"), [("full", 3), ("plain", 0)])
def test_models_curves_and_pictures_come_back(brought, name, before):
    with tarfile.open(brought / "second" / "results.tar.gz") as results:
        names = results.getnames()
        curves = next(member for member in names if member.startswith(f"{name}/curves") and member.endswith("metrics.csv"))
        rows = pd.read_csv(io.BytesIO(results.extractfile(curves).read()))
    assert f"{name}/model/model.safetensors" in names
    assert any(member.startswith(f"{name}/pictures/") for member in names)
    reconstruction = SMALL["training"]["reconstruction_iterations"]
    assert rows["step"].min() == (reconstruction + before + 1 if before else 1)


def test_checkpoints_come_back_in_parts_that_joined_are_whole(brought):
    def iterations(run: str) -> dict[str, int]:
        joined = b"".join(path.read_bytes() for path in sorted((brought / run).glob("checkpoints.tar.*")))
        with tarfile.open(fileobj=io.BytesIO(joined)) as checkpoints:
            return {
                member.name: int(torch.load(checkpoints.extractfile(member), weights_only=True)["state_dict"]["iteration"])
                for member in checkpoints.getmembers()
            }

    before = SMALL["training"]["reconstruction_iterations"]
    assert iterations("first") == {"full/last.ckpt": before + 3}
    assert iterations("second") == {f"{name}/last.ckpt": before + 5 for name in ("full", "plain")}


def test_what_is_no_number_is_not_equal(monkeypatch):
    terms = {"cpu": [{"a": 1.0, "b": 2.0}], "cuda:0": [{"a": 1.0, "b": float("nan")}]}
    monkeypatch.setattr(gpu, "_first_terms", lambda device, _: terms[device])
    result = CliRunner().invoke(gpu.app, ["equality", "--device", "cuda:0"])
    assert result.exit_code == 1
    assert "not equal" in result.output


def test_two_configurations_of_one_name_are_refused(tmp_path):
    paths = [tmp_path / folder / "full.yaml" for folder in ("a", "b")]
    words = ["train", str(tmp_path), "-o", str(tmp_path / "out"), "--seconds", "9", *(f"--config={path}" for path in paths)]
    result = CliRunner().invoke(gpu.app, words)
    assert result.exit_code == 2
    assert "would train in one folder" in re.sub(r"\W+", " ", result.output)


def test_the_preset_of_the_released_models_can_be_timed(tmp_path, monkeypatch):
    asked = []
    config = tmp_path / "compact.yaml"
    judge = {"loss_network": {"name": "vgg19-compact"}}
    config.write_text(yaml.safe_dump({"parameters": {"config": {"preset": "compact", "objective": judge}}}))
    monkeypatch.setattr(gpu, "drive", lambda _, precision: asked.append(precision) or (lambda batch: {}))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
    result = CliRunner().invoke(gpu.app, ["rates", "--config", str(config), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert len(asked) == 4
    assert set(asked) <= {"32-true", "bf16-mixed"}


def test_a_training_that_is_stopped_while_it_reconstructs_trains_no_further(tmp_path, monkeypatch):
    asked = []

    def stopped(config, prepared, folder):
        asked.append(config)
        torch.save({"state_dict": {"iteration": torch.tensor(1)}}, folder / CHECKPOINT)
        raise InterruptedTrainingError("stopped")

    config = tmp_path / "full.yaml"
    quickstart = yaml.safe_load(QUICKSTART.read_text())["parameters"]["config"]
    config.write_text(yaml.safe_dump({"parameters": {"config": merge(quickstart, SMALL)}}))
    monkeypatch.setattr(gpu, "fit", stopped)
    monkeypatch.setattr(gpu, "_rate", lambda *_: 2.0)
    data = draw_dataset(tmp_path / "data", 13, 13)
    folder, output = tmp_path / "work" / "training" / "full", tmp_path / "out"
    folder.mkdir(parents=True)
    output.mkdir()
    gpu.one(data, config, folder, 9, tmp_path / "work")
    assert len(asked) == 1
    gpu._pack(folder.parent, [config], output)
    assert [path.name for path in output.glob("checkpoints.tar.*")]
