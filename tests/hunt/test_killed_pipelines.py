"""Pipelines ended by SIGKILL and SIGTERM at random points of every step, and given again."""

import hashlib
import sys
from pathlib import Path

import mlflow
import pytest
from helpers.hunting import LIMIT, Tally, assert_same, endings, in_time, trials
from helpers.warm_processes import Outcome, run_warm_together
from helpers.zenml_projects import SMALL_ABLATION, AblationProject, Project, TrainingProject
from mlflow import MlflowClient
from mlflow.entities import Run

# None may be said to run when nothing does.
RUNNING = (
    "from zenml.client import Client; "
    "runs = [run for status in ('initializing', 'running') for run in Client().list_pipeline_runs(status=status).items]; "
    "print([run.name for run in runs])"
)


def ended(project: Project, command: list[str], ending=None) -> Outcome:
    environment = {name: value for name, value in project.environment.items() if name != "MLFLOW_TRACKING_URI"}
    (outcome,) = run_warm_together([command], project.folder, environment | {"OMP_NUM_THREADS": "1"}, ending, LIMIT)
    return outcome


def all_runs(client: MlflowClient, name: str) -> list[Run]:
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])


def facts(client: MlflowClient, run: Run, folder: Path) -> dict[str, object]:
    """Scores, curves, pictures' names and model of a run; not how fast it was."""
    slow = ("seconds", "images_per_second", "memory", "system/")
    found: dict[str, object] = {}
    for name in run.data.metrics:
        if not any(word in name for word in slow):
            found[name] = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
    models = mlflow.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", output_format="list")
    for model in models:
        place = Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}", dst_path=str(folder)))
        for path in sorted(place.rglob("*.safetensors")):
            found[f"model {path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(name.startswith("model ") for name in found)
    return found


def settled(project: Project, client: MlflowClient, experiment: str) -> None:
    """No run of any store is said to run, and nothing unfinished is left in the working folder."""
    assert [run.info.run_name for run in all_runs(client, experiment) if run.info.status == "RUNNING"] == []
    assert project.run(sys.executable, "-c", RUNNING).stdout.splitlines()[-1] == "[]"
    work = project.folder / ".work"
    assert [str(path.relative_to(work)) for path in work.rglob("*") if "-ieast-" in path.name] == []
    assert list(work.glob("training/*/last.ckpt")) == []


@pytest.mark.timeout(3600)
def test_the_training_pipeline(tmp_path):
    count = trials(0)
    if not count:
        pytest.skip("takes minutes; `make hunt` has it")
    tally = Tally("the training pipeline")
    project = TrainingProject(tmp_path)
    whole = ended(project, project.command("whole"))
    assert whole.status == 0, whole.stdout[-4000:] + whole.stderr[-4000:]
    mlflow.set_tracking_uri(project.store)
    client = MlflowClient(project.store)
    (reference,) = all_runs(client, "training_pipeline")
    expected = facts(client, reference, tmp_path / "whole")
    for number, ending in enumerate(in_time(endings(tally.kind, count, whole, 0.2))):
        with tally.trial(ending):
            tally.see(ended(project, project.command(f"killed{number}"), ending), may_trace=True)
            again = tally.see(ended(project, project.command(f"again{number}")))
            assert again.status == 0, again.stdout[-3000:] + again.stderr[-3000:]
            run = next(run for run in all_runs(client, "training_pipeline") if run.info.run_name.startswith(f"again{number}-"))
            assert run.info.status == "FINISHED"
            assert_same(without_gate(facts(client, run, tmp_path / f"trial{number}")), without_gate(expected))
            settled(project, client, "training_pipeline")
            # The first model stays champion, since another that is as good does not beat it; none is lost.
            assert str(client.get_model_version_by_alias("ieast", "champion").version) == "1"
            assert client.search_model_versions(f"run_id = '{run.info.run_id}'")
    tally.conclude()


def without_gate(found: dict[str, object]) -> dict[str, object]:
    """The first run had no champion to compare with."""
    return {name: value for name, value in found.items() if not name.startswith(("gate", "champion/"))}


@pytest.mark.timeout(3600)
def test_the_ablation(tmp_path):
    count = trials(0)
    if not count:
        pytest.skip("takes two minutes; `make hunt` has it")
    tally = Tally("the ablation")
    sections = SMALL_ABLATION
    reference = AblationProject(tmp_path / "reference")
    whole = ended(reference, reference.command("whole", sections))
    assert whole.status == 0, whole.stdout[-4000:] + whole.stderr[-4000:]
    expected = variants(reference, "whole", tmp_path / "whole")
    for number, ending in enumerate(in_time(endings(tally.kind, count, whole, 0.2))):
        with tally.trial(ending):
            # Each in a project of its own: a variant that is done is not trained again.
            project = AblationProject(tmp_path / f"project{number}")
            tally.see(ended(project, project.command("killed", sections), ending), may_trace=True)
            again = tally.see(ended(project, project.command("again", sections)))
            assert again.status == 0, again.stdout[-3000:] + again.stderr[-3000:]
            assert_same(variants(project, "again", tmp_path / f"trial{number}"), expected)
            settled(project, MlflowClient(project.store), "ablation_pipeline")
    tally.conclude()


def variants(project: Project, name: str, folder: Path) -> dict[str, object]:
    """What `facts` says of each variant that the report of the run `name` is about."""
    mlflow.set_tracking_uri(project.store)
    client = MlflowClient(project.store)
    runs = all_runs(client, "ablation_pipeline")
    found: dict[str, object] = {}
    for run in runs:
        if "mlflow.parentRunId" in run.data.tags and run.info.status == "FINISHED":
            label = run.info.run_name
            assert label not in found, f"two finished runs of {label}"
            found[label] = facts(client, run, folder / run.info.run_id)
    parent = next(run for run in runs if run.info.run_name.startswith(f"{name}-"))
    assert parent.info.status == "FINISHED"
    assert any(artifact.path.endswith(".html") or artifact.is_dir for artifact in client.list_artifacts(parent.info.run_id))
    return found
