"""The pipeline as a user runs it: ZenML's command line, a real MLflow store, the repository's own DVC dataset."""

import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from helpers.zenml_projects import TrainingProject
from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return TrainingProject(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def first(project):
    project.train("first", training={"model_every": 4})
    return MlflowClient(project.store)


def run_named(client, name):
    experiment = client.get_experiment_by_name("training_pipeline")
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name LIKE '{name}-%'")
    return run


def scores_table(client, run, folder):
    return pd.read_csv(client.download_artifacts(run.info.run_id, "evaluation/scores.csv", str(folder)), index_col="score")


def aliases(client):
    return {alias: str(number) for alias, number in client.get_registered_model("ieast").aliases.items()}


def test_one_run_holds_curves_scores_data_settings_and_pictures(project, first, tmp_path):
    run = run_named(first, "first")
    assert run.info.status == "FINISHED"
    terms = ("style", "content", "identity_pixels", "identity_taps", "adversarial", "discriminator", "total")
    contrastive = ("style_contrastive", "content_contrastive")
    for term in (*terms, *contrastive):
        assert [m.step for m in first.get_metric_history(run.info.run_id, f"train/{term}")] == [3, 4, 5]
    for name in ("train/images_per_second", "train_learning_rate/decoder", "train_learning_rate/discriminator"):
        assert run.data.metrics[name] > 0
    scores = scores_table(first, run, tmp_path)
    for name in ("style_distance", "content_distance", "temporal_encoder_tap_distance", "warping_error_1"):
        low, value, high = scores.loc[name, ["low", "value", "high"]]
        assert 0 < low <= value <= high
        assert run.data.metrics[name] == pytest.approx(value)
    assert run.data.params["batch"] == "6"
    settings = yaml.safe_load(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.yaml"))
    assert settings["training"]["batch_size"] == 6
    assert len(run.data.params) < 15
    assert run.data.tags["encoder.weights"] == "as in ieast"
    assert run.data.tags["method"] == "ieast"
    md5 = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == md5
    assert json.loads(data.dataset.source)["path"] == "data"
    artifacts = {a.path for a in first.list_artifacts(run.info.run_id, "evaluation")}
    assert {
        f"evaluation/{name}" for name in ("grid.png", "report.html", "pairs.csv", "flicker.csv", "flicker.png")
    } <= artifacts
    heatmaps = {a.path for a in first.list_artifacts(run.info.run_id, "evaluation/heatmaps")}
    assert "evaluation/heatmaps/00_balloon_flight.png" in heatmaps


def test_a_model_of_the_way_is_logged_with_its_own_scores_and_can_become_a_version(project, first):
    run = run_named(first, "first")
    models = {output.step: first.get_logged_model(output.model_id) for output in run.outputs.model_outputs if output.step}
    assert sorted(models) == [4, 5]
    curve = {point.step: point.value for point in first.get_metric_history(run.info.run_id, "style_distance")}
    md5 = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    for step, model in models.items():
        scores = {metric.key: metric for metric in model.metrics}
        assert scores["style_distance"].value == curve[step]
        assert scores["temporal_encoder_tap_distance"].dataset_digest == md5
    assert curve[4] != curve[5]
    said = project.run("ieast", "register", f"models:/{models[4].model_id}", "earlier").stdout
    assert "version 1 of earlier, alias challenger, is the model models:/m-" in said
    version = first.get_model_version("earlier", "1")
    assert version.tags["iteration"] == "4"
    assert version.tags["method"] == "ieast"
    assert float(version.tags["score.style_distance"]) == pytest.approx(curve[4], rel=1e-5)
    refused = project.run("ieast", "register", "models:/m-0000", "earlier", check=False)
    assert refused.returncode != 0
    assert "there is no logged model models:/m-0000" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_first_model_becomes_champion_and_the_last_lines_say_so(project, first):
    assert aliases(first) == {"champion": "1"}
    version = first.get_model_version("ieast", "1")
    assert version.tags["gate.decision"] == "promoted"
    assert "there is no champion yet" in version.tags["gate.reasons"]
    assert version.tags["gate.run"] == run_named(first, "first").info.run_id
    assert version.tags["gate.data.md5"] == yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    # The shipped encoder has scored the model already, since it was trained on that one.
    assert version.tags["gate.score.style_distance"] == version.tags["score.style_distance"]
    last = project.run("ieast", "last-run").stdout
    run = run_named(first, "first")
    page = f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"MLflow run          {page}" in last
    assert "registered model    ieast version 1, alias champion: models:/ieast@champion" in last
    assert "untrained" not in last
    picture = next(line.split()[-1] for line in last.splitlines() if line.strip().startswith("picture"))
    assert (project.folder / picture).is_file()


def test_zenml_mirrors_the_alias_and_records_the_data(project, first):
    code = (
        "from zenml.client import Client; c = Client(); v = c.get_model_version('ieast', 'production'); "
        "d = c.get_artifact_version('data'); g = v.run_metadata['gate']; "
        "print(v.number, d.run_metadata['data']['md5'], g['data']['md5'], g['promoted'], g['encoder'])"
    )
    answer = project.run(sys.executable, "-c", code).stdout.split()
    md5 = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    assert answer[-6:-1] == ["1", md5, md5, "True", "vgg19-compact"]


def test_the_champion_stylizes_in_a_fresh_process(project, first):
    code = (
        "import sys, io, mlflow, numpy as np, pandas as pd; from PIL import Image\n"
        "mlflow.set_tracking_uri(sys.argv[1]); model = mlflow.pyfunc.load_model('models:/ieast@champion')\n"
        "def png(w, h):\n"
        "    b = io.BytesIO(); Image.fromarray(np.random.default_rng(w).integers(0, 256, (h, w, 3), np.uint8)).save(b, 'PNG')\n"
        "    return b.getvalue()\n"
        "out = model.predict(pd.DataFrame({'content': [png(70, 50)], 'style': [png(40, 60)]}), params={'alpha': 0.5})\n"
        "print(*Image.open(io.BytesIO(out['stylized'][0])).size)"
    )
    assert project.run(sys.executable, "-c", code, project.store).stdout.split()[-2:] == ["70", "50"]


def test_a_second_run_reuses_the_preparation_and_must_beat_the_champion(project, first, tmp_path):
    prepared = project.folder / ".work" / "prepared"
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.jpg")}
    # What the gate asks of this run no model can give.
    impossible = [{"metric": "style_distance", "relative_to_champion": 0.001}]
    changes = {"encoder": {"weights": "untrained"}, "model": {"start": None, "attention_start": "identity"}}
    project.train("second", promotion={"thresholds": impossible}, **changes)
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*.jpg")} == before
    assert aliases(first) == {"champion": "1", "challenger": "2"}
    tags = first.get_model_version("ieast", "2").tags
    assert tags["gate.decision"] == "kept"
    assert "asked: fails" in tags["gate.reasons"]
    run = run_named(first, "second")
    gate = pd.read_csv(first.download_artifacts(run.info.run_id, "gate.csv", str(tmp_path)), index_col="score")
    candidate, champion = gate.loc["style_distance", ["candidate", "champion"]]
    assert champion > 0
    assert float(tags["gate.score.style_distance"]) == pytest.approx(candidate, rel=1e-5)
    changes, page = (
        Path(first.download_artifacts(run.info.run_id, name, str(tmp_path))).read_text()
        for name in ("data_changes.json", "evaluation/report.html")
    )
    changes = pd.DataFrame(**json.loads(changes))
    assert set(changes["side"]) == {"content", "style"}
    assert (changes["shift"].dropna() == 0).all()  # of the same data
    assert "beside the champion" in page
    # Not by the candidate's own features, which are random.
    assert candidate != pytest.approx(run.data.metrics["style_distance"])
    assert "The encoder is untrained" in project.run("ieast", "last-run").stdout


def test_the_command_line_finds_the_registry_and_asks_the_gate_again(project, first):
    if "challenger" not in aliases(first):
        pytest.skip("goes on from the second run")
    kept = project.run("ieast", "promote", "ieast", "2", "-c", "config.yaml", check=False)
    assert kept.returncode == 3, kept.stderr
    assert "kept: the champion stays" in kept.stdout
    assert f"models:/ieast/2 in {project.store}" in kept.stdout
    assert first.get_model_version("ieast", "2").tags["gate.run"] == "ieast promote -c config.yaml"
    project.run("ieast", "promote", "ieast", "2", "--force", "--reason", "a test")
    assert aliases(first) == {"champion": "2"}
    assert "forced" in project.run("ieast", "models", "ieast").stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trainign": {"seed": 1}},
            "parameters.config is not a valid configuration:\n  trainign: unknown key; check its spelling",
        ),
        ({"data": {"repository": str(ROOT), "revision": "no-such-tag"}}, f"{ROOT} has no revision 'no-such-tag'. Its tags: "),
        ({"model": {"start": "nowhere"}}, "nowhere holds no model: there is no config.json in it"),
        ({"promotion": {"encoder": {"name": "vgg19", "weights": "nowhere.pth"}}}, "there is no weights file nowhere.pth;"),
    ],
)
def test_what_cannot_work_is_refused_in_the_line_that_matters_before_anything_runs(project, changes, message):
    result = project.train(check=False, **changes)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {message}"), result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_missing_lpips_weights_stop_the_run_before_training(project):
    project.environment["TORCH_HOME"] = str(project.folder / "no-weights")
    project.environment["https_proxy"] = "http://127.0.0.1:9"  # no network, whatever the machine has
    try:
        result = project.train(check=False, evaluation={"perceptual_distance": "lpips-squeeze"})
    finally:
        del project.environment["TORCH_HOME"], project.environment["https_proxy"]
    assert result.returncode != 0
    assert "squeezenet1_1-b8a52dc0.pth" in result.stdout + result.stderr
    assert not list((project.folder / ".work").glob("training/*"))


def test_the_stack_is_registered_once(project):
    assert project.run(sys.executable, "-m", "pipelines.stack").stdout.splitlines()[-1] == project.store
    assert mlflow.get_tracking_uri() != project.store  # this process is left alone


KILLED = """
import os, signal
from zenml.cli.cli import cli
from ieast.training.callbacks import Progress

after = Progress.on_train_batch_end

def dies(self, trainer, module, *rest):
    after(self, trainer, module, *rest)
    if module.finished == 5:
        os.kill(os.getpid(), signal.SIGKILL)

Progress.on_train_batch_end = dies
cli(["pipeline", "run", "pipelines.training.training_pipeline", "-c", "config.yaml"])
"""

KILLED_BEFORE_ITS_FIRST_STEP = """
import os, signal
from zenml.cli.cli import cli
from zenml.orchestrators.step_launcher import StepLauncher

StepLauncher.launch = lambda self: os.kill(os.getpid(), signal.SIGKILL)
cli(["pipeline", "run", "pipelines.training.training_pipeline", "-c", "config.yaml"])
"""


def zenml_status(project, name):
    code = f"from zenml.client import Client; print(Client().list_pipeline_runs(name='startswith:{name}-').items[0].status)"
    return project.run(sys.executable, "-c", code).stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def without_clips(project, first, tmp_path_factory):
    """The revision of another repository, whose dataset has no clips."""
    repository = tmp_path_factory.mktemp("own")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=repository, env=project.environment, check=True)
    source = next((project.folder / ".work" / "datasets").iterdir())
    project.run(
        "ieast", "data", "add", "--content", str(source / "content"), "--style", str(source / "style"),
        "--repository", str(repository),
    )  # fmt: skip
    subprocess.run([*git, "add", "-A"], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-qm", "data"], cwd=repository, check=True)
    return {"repository": str(repository), "revision": "HEAD"}


@pytest.fixture(scope="module")
def killed(project, first, without_clips):
    """A run that was killed in training, as it was left; after another one, killed at once, the third has gone on from it."""
    impossible = [{"metric": "style_distance", "at_most": 0}]
    changes = {"training": {"seed": 7, "picture_every": 1}, "data": without_clips, "promotion": {"thresholds": impossible}}
    project.write("killed", **changes)
    assert project.run(sys.executable, "-c", KILLED, check=False).returncode == -9
    dead = run_named(first, "killed")
    project.write("unbegun", **changes)
    assert project.run(sys.executable, "-c", KILLED_BEFORE_ITS_FIRST_STEP, check=False).returncode == -9
    assert zenml_status(project, "unbegun") in ("initializing", "running")
    project.train("after", **changes)
    return dead


def test_a_killed_run_is_closed_and_the_next_holds_its_curves_from_the_start(project, first, killed):
    assert killed.info.status == "RUNNING"
    assert [m.step for m in first.get_metric_history(killed.info.run_id, "train/total")] == [3, 4, 5]
    dead, run = run_named(first, "killed"), run_named(first, "after")
    assert (dead.info.status, dead.data.tags["continued_by"]) == ("KILLED", run.info.run_id)
    assert (run.info.status, run.data.tags["continues"]) == ("FINISHED", dead.info.run_id)
    # The checkpoint had four iterations behind it.
    for name, count in (("train/total", 2), ("train_learning_rate/decoder", 4)):
        before, now = (first.get_metric_history(each.info.run_id, name) for each in (dead, run))
        assert [m.step for m in now] == [m.step for m in before]
        assert [(m.step, m.value, m.timestamp) for m in now][:count] == [(m.step, m.value, m.timestamp) for m in before][:count]
        assert now[count].timestamp > before[-1].timestamp
    paths = [artifact.path for artifact in first.list_artifacts(run.info.run_id, "images")]
    shown = (re.search(r"stylizations\Wstep\W(\d+)", path) for path in paths)
    assert {int(match[1]) for match in shown if match} == {0, 1, 2, 3, 4, 5}
    assert [zenml_status(project, name) for name in ("killed", "unbegun", "after")] == ["failed", "failed", "completed"]
    assert not (project.folder / ".work" / "runs" / f"{dead.info.run_id}.json").exists()


def test_no_clips_are_said_so_and_do_not_stop_the_run(project, first, killed):
    run = run_named(first, "after")
    clips, deception = run.data.tags["evaluation.skipped"].split("; ")
    assert clips == "the dataset has no clips: temporal stability was not scored"
    assert deception.startswith("deception was not scored: it takes stylizations in 10 styles, and there are ")
    assert not [name for name in run.data.metrics if "temporal" in name]
    assert "no clips, so temporal stability was not scored" in project.run("ieast", "last-run").stdout
    # The champion, of whom the command line may have decided, is now ZenML's too.
    code = (
        "from zenml.client import Client; print(Client().get_model_version('ieast', 'production').run_metadata['mlflow_model'])"
    )
    assert project.run(sys.executable, "-c", code).stdout.splitlines()[-1] == f"ieast v{aliases(first)['champion']}"
