"""The benchmark as a user runs it: ZenML's command line, a real MLflow store, the repository's own DVC dataset."""

import re

import pandas as pd
import pytest
import yaml
from helpers.zenml_projects import SMALL_ABLATION, Project
from mlflow import MlflowClient
from PIL import Image
from test_ablation_pipeline import ROOT

from ieast.evaluation.published import TABLE_2

METHODS = ["adain+el+cl", {"model": "sanet", "label": "sanet-released"}]
LABELS = ["adain+el+cl", "sanet-released"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def run(project, methods, check=True):
    document = yaml.safe_load((ROOT / "configs" / "benchmark.yaml").read_text())
    config = document["parameters"]["config"] | {
        "methods": methods,
        "baseline": "sanet-released",
        "speed": {"sizes": [32, 64], "repeats": 1, "limit": 60},
        "showcase": {"contents": 2, "styles": 2, "artworks": 3, "size": 64},
    }
    for section, values in SMALL_ABLATION.items():
        config["experiment"].setdefault(section, {}).update(values)
    config["experiment"]["model"].pop("attention_start")
    document["parameters"]["config"] = config
    path = project.folder / "benchmark.yaml"
    path.write_text(yaml.safe_dump(document))
    return project.run("zenml", "pipeline", "run", "pipelines.benchmark.benchmark_pipeline", "-c", str(path), check=check)


@pytest.fixture(scope="module")
def benchmark(project):
    return run(project, METHODS)


@pytest.fixture(scope="module")
def runs(project, benchmark):
    client = MlflowClient(project.store)
    experiment = client.get_experiment_by_name("benchmark_pipeline")
    found = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in found if run.data.tags.get("kind") == "benchmark")
    return parent, {run.data.tags["variant"]: run for run in found if "variant" in run.data.tags}


def test_each_method_is_one_run_with_scores_speed_pictures_and_model(project, runs):
    parent, rows = runs
    assert sorted(rows) == sorted(LABELS)
    client = MlflowClient(project.store)
    for label, run in rows.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"
        for name in ("style_distance", "temporal_encoder_tap_distance"):
            assert run.data.metrics[name] > 0
        for size in (32, 64):
            assert run.data.metrics[f"seconds_{size}"] > 0
            assert run.data.metrics[f"peak_mb_{size}"] > 0
        assert len(client.list_artifacts(run.info.run_id, "showcase")) == 4
        assert run.data.tags["model_uri"].startswith("models:/")
        assert bool(client.get_metric_history(run.info.run_id, "train/adversarial")) == (label == "adain+el+cl")
    assert rows["adain+el+cl"].data.tags["method"] == "adain+el+cl"
    assert rows["sanet-released"].data.tags["method"] == "sanet"


def test_the_pictures_lie_where_the_user_study_takes_them(project, runs):
    folder = project.folder / ".work" / "benchmarks" / runs[0].info.run_id
    pairs = pd.read_csv(folder / "pairs.csv", dtype=str)
    assert list(pairs.columns) == ["pair", "content", "style"]
    assert len(pairs) == 4
    for row in pairs.itertuples():
        originals = [folder / "contents" / f"{row.content}.png", folder / "styles" / f"{row.style}.png"]
        made = [folder / "methods" / label / f"{row.pair}.png" for label in LABELS]
        with Image.open(originals[0]) as content:
            for path in made:
                with Image.open(path) as picture:
                    assert picture.size == content.size
        assert all(path.is_file() for path in originals)
    artworks = {path.stem.split("_", 1)[1] for path in (folder / "artworks").iterdir()}
    assert len(artworks) == 3
    assert not artworks & set(pairs["style"])


def test_the_report_has_the_published_values_beside_ours_and_speed(project, benchmark, runs):
    parent, rows = runs
    folder = project.folder / ".work" / "reports" / parent.info.run_id
    page = (folder / "report.html").read_text()
    assert not re.search("https?:", page)  # by chance, pictures in base 64 hold the four letters, but no colon
    for text in (*LABELS, "Table 2", "Speed and memory", "Compared with sanet-released", "64 px, MiB"):
        assert text in page
    table = pd.read_csv(folder / "tables" / "table_2.csv", index_col="method")
    assert list(table.index) == ["inputs", *LABELS]
    assert table.loc["inputs", "published LPIPS"] == TABLE_2["inputs"]
    assert table.loc["sanet-released", "published LPIPS"] == TABLE_2["sanet"]
    assert pd.isna(table.loc["adain+el+cl", "published LPIPS"])  # the paper has no such row
    ours = rows["sanet-released"].data.metrics["temporal_encoder_tap_distance"]
    assert table.loc["sanet-released", "temporal_encoder_tap_distance"] == pytest.approx(ours)
    assert table.loc["inputs", "ours / inputs"] == table.loc["inputs", "published / inputs"] == 1
    speed = pd.read_csv(folder / "tables" / "speed_and_memory.csv", index_col="method")
    assert (speed > 0).all(axis=None)
    said = benchmark.stdout + benchmark.stderr
    assert f"ieast study build .work/benchmarks/{parent.info.run_id}" in said


def test_a_model_that_is_not_there_is_refused_before_anything_runs(project):
    result = run(project, [*METHODS, {"model": "models:/nowhere@champion", "label": "champion"}], check=False)
    assert result.returncode != 0
    assert "model models:/nowhere@champion cannot be fetched" in result.stdout + result.stderr
    assert "has started" not in result.stdout + result.stderr
