"""The ablation as a user runs it: ZenML's command line, a real MLflow store, the repository's own DVC dataset."""

import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from filelock import FileLock
from helpers.browsers import chromium, until
from helpers.warm_processes import run_warm
from helpers.zenml_projects import SCORED_ABLATION, AblationProject
from mlflow import MlflowClient

import pipelines.ui
from ieast.config import EncoderConfig
from ieast.evaluation.features import pooled_features
from ieast.evaluation.preference import PreferenceScorer, ScorerCard, save_scorer
from ieast.evaluation.references import REFERENCES
from ieast.io.files import sha256
from ieast.models.encoder_weights import build_encoder
from ieast.registry.comparing import SCORER
from ieast.registry.landing import landing_page, serve_landing
from steps.support.notes import COLOUR, NOTE, run_colour

ROOT = Path(__file__).resolve().parents[2]
VARIANTS, SEEDS = ("full", "neither"), (0,)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = AblationProject(tmp_path_factory.mktemp("project"))
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    width = 3 * len(pooled_features(encoder, torch.rand(1, 3, 32, 32)))
    card = ScorerCard(encoder.digest(), "vgg19-compact", "votes", 12, 40.0, 0.71, 0.62, 0.81, 9)
    scorer = PreferenceScorer(np.full(width, 0.1), np.zeros(width), np.ones(width), card)
    save_scorer(scorer, project.folder / "scorer.safetensors")
    return project


@pytest.fixture(scope="module")
def client(project):
    return MlflowClient(project.store)


def runs(client, query=""):
    experiment = client.get_experiment_by_name("ablation_pipeline")
    return client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"])


def parent_of(client, name):
    (run,) = runs(client, f"attributes.run_name LIKE '{name}-%'")
    return run


def children(client, parent):
    return runs(client, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")


@pytest.fixture(scope="module")
def broken(project, client):
    """The first run, in which one variant cannot train because its folder is in use, and what was said."""
    # Found by letting a run that is refused at once say where it would train.
    from ieast.data.prepare import preparation_key
    from ieast.experiment import AblationConfig
    from ieast.training.folders import training_folder

    document = yaml.safe_load((ROOT / "configs" / "ablation.yaml").read_text())["parameters"]["config"]
    for section, values in SCORED_ABLATION.items():
        document["experiment"].setdefault(section, {}).update(values)
    config = AblationConfig.parse(document)
    md5 = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    cell = config.cell("neither", 0)
    folder = training_folder(project.folder / ".work", cell, preparation_key(cell.prepare, md5))
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        result = project.ablate("broken", check=False)
    return result, parent_of(client, "broken")


@pytest.fixture(scope="module")
def mended(project, client, broken):
    before = {run.info.run_id for run in children(client, broken[1])}
    result = project.ablate("mended")
    return result, parent_of(client, "mended"), before


def test_a_variant_that_fails_does_not_lose_the_others_and_the_run_says_so(broken):
    result, _ = broken
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "1 of 2 variants failed; the others and the report are kept" in said
    assert re.search(r"neither +seed 0 +TrainingError: another process is training in", said)


def test_a_rerun_trains_only_what_is_missing(client, mended):
    result, parent, before = mended
    assert "was finished by an earlier run" in result.stdout + result.stderr
    after = children(client, parent)
    assert {run.info.run_id for run in after} == before  # the failed one went on in its own run
    assert sorted((run.data.tags["variant"], run.data.tags["seed"]) for run in after) == [("full", "0"), ("neither", "0")]
    assert {run.info.status for run in after} == {"FINISHED"}
    assert {run.data.tags["error"] for run in after} == {""}


def test_each_variant_is_one_run_with_curves_scores_pictures_and_model(client, mended):
    _, parent, _ = mended
    steps = set()
    for run in children(client, parent):
        has_el = run.data.tags["variant"] == "full"
        assert (run.data.tags["EL"], run.data.tags["CL"]) == (str(has_el), str(has_el))
        assert (run.data.params["EL"], run.data.params["CL"]) == (str(has_el), str(has_el))
        assert run.info.run_name == f"{run.data.tags['variant']} seed {run.data.tags['seed']}"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train/total")] == [2, 3, 4]
        assert bool(client.get_metric_history(run.info.run_id, "train/adversarial")) == has_el
        for name in ("style_distance", "content_ssim", "temporal_encoder_tap_distance", "warping_error_1"):
            assert run.data.metrics[name] > 0
        assert run.data.tags["model_uri"].startswith("models:/")
        images = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")]
        shown = (re.search(r"(stylizations|pairs)\Wstep\W(\d+)", path) for path in images)
        steps.add(tuple(sorted({(match[1], int(match[2])) for match in shown if match})))
    iterations = {("stylizations", step) for step in (0, 2, 4)}
    assert [set(each) - iterations for each in steps] == [
        {("pairs", number) for number in range(4)}
    ]  # the same in every variant
    assert iterations <= set(steps.pop())


def test_variants_of_a_seed_see_the_same_batches(client, mended):
    # Without EL and CL the first iteration of all is that of the reconstruction stage, which knows neither.
    found = children(client, mended[1])
    assert len({client.get_metric_history(run.info.run_id, "train/reconstruction")[0].value for run in found}) == 1


def test_the_report_is_self_contained_and_linked_at_the_end(project, client, mended, tmp_path):
    result, parent, _ = mended
    folder = project.folder / ".work" / "reports" / parent.info.run_id
    page = (folder / "report.html").read_text()
    said = result.stdout + result.stderr
    assert str(folder.relative_to(project.folder) / "report.html") in said
    assert not re.search("https?:", page)  # by chance, pictures in base 64 hold the four letters, but no colon
    assert page.count("data:image/jpeg;base64,") == 5
    for text in ("full", "neither", "Compared with full", "warping_error_1", "content_ssim", "every", "Fewer than three seeds"):
        assert text.lower() in page.lower()
    scores = pd.read_csv(folder / "tables" / "scores.csv")
    assert set(scores["variant"]) == {*VARIANTS, "inputs", *REFERENCES}
    assert all(name in page for name in REFERENCES)
    copy = scores[scores["variant"] == "content as it is"].set_index("metric")["mean"]
    assert copy["content_distance"] == 0
    for run in children(client, parent):
        references = pd.read_csv(client.download_artifacts(run.info.run_id, "evaluation/references.csv", str(tmp_path)))
        measured = references[references["reference"] == "content as it is"]
        assert measured["style_mismatch"].mean() == pytest.approx(copy["style_mismatch"])
        assert run.data.metrics["preference_agreement"] == 0.71
        assert run.data.tags[SCORER] == sha256(project.folder / "scorer.safetensors")
    assert "by a scorer that agreed with 71% (95 % interval 62% to 81%) of comparisons it had not seen" in page
    row = scores[(scores["variant"] == "full") & (scores["metric"] == "style_distance")].iloc[0]
    found = [run.data.metrics["style_distance"] for run in children(client, parent) if run.data.tags["variant"] == "full"]
    assert row["mean"] == pytest.approx(sum(found) / len(found))
    assert row["low"] <= row["mean"] <= row["high"]


def test_a_variants_model_becomes_a_version_that_the_gate_can_decide_on(project, client, mended):
    (run,) = (run for run in children(client, mended[1]) if run.data.tags["variant"] == "neither")
    said = project.run("ieast", "register", run.info.run_id, "ablated").stdout
    assert "version 1 of ablated, alias challenger" in said
    assert "ieast promote ablated 1 --config CONFIG" in said
    version = client.get_model_version_by_alias("ablated", "challenger")
    assert str(version.version) == "1"
    assert version.tags["method"] == "sanet"
    assert version.tags["data.md5"] == run.data.tags["data.md5"]
    assert float(version.tags["score.style_distance"]) == pytest.approx(run.data.metrics["style_distance"], rel=1e-5)
    assert not any(tag.endswith(("_low", "_high")) for tag in version.tags)


@pytest.mark.parametrize(("which", "message"), [("parent", "holds no model"), ("none", "there is no run 0000")])
def test_a_run_without_a_model_cannot_be_registered(project, mended, which, message):
    run = mended[1].info.run_id if which == "parent" else "0" * 32
    result = project.run("ieast", "register", run, "ablated-not", check=False)
    assert result.returncode == 2
    assert message in result.stderr


# -- what a person sees without searching for it -------------------------------------------------------------------------

SHOWN = {"style_mismatch", "content_distance", "content_ssim", "temporal_encoder_tap_distance", "warping_error_1"}


@pytest.fixture(scope="module")
def said(mended):
    return mended[0].stdout + mended[0].stderr


@pytest.fixture(scope="module")
def by_name(client, mended):
    return {run.data.tags["variant"]: run for run in children(client, mended[1])} | {"parent": mended[1]}


# -- in the terminal -----------------------------------------------------------------------------------------------------


def test_compare_says_what_differs_pair_by_pair(project, client, by_name, tmp_path):
    printed = project.run("ieast", "compare", by_name["parent"].info.run_id, "-o", str(tmp_path / "report")).stdout
    assert "neither" in printed
    assert "against full" in printed
    assert f"data        {by_name['full'].data.tags['data.md5']}" in printed
    table = pd.read_csv(tmp_path / "report" / "differences.csv")
    row = table[(table["metric"] == "content_ssim") & (table["variant"] == "neither")].iloc[0]
    full, neither = (
        pd.read_csv(client.download_artifacts(by_name[name].info.run_id, "evaluation/pairs.csv", str(tmp_path)))["content_ssim"]
        for name in ("full", "neither")
    )
    differences = neither - full
    assert row["difference"] == pytest.approx(differences.mean())
    assert differences.min() <= row["low"] <= row["difference"] <= row["high"] <= differences.max()
    assert "<html" in (tmp_path / "report" / "report.html").read_text()


def test_compare_takes_runs_and_a_baseline(project, by_name):
    ids = [by_name[name].info.run_id for name in ("full", "neither")]
    assert "against neither seed 0" in project.run("ieast", "compare", *ids, "--baseline", "neither seed 0").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{full}"], "there is only full seed 0 to compare; name another run or version"),
        (["{full}", "0" * 32], f"there is no run {'0' * 32}; the last words of a pipeline name its runs"),
        (["{full}", "nothing/1"], "nothing"),
        (
            ["{full}", "{neither}", "--baseline", "sanet"],
            "there is no sanet to compare with; there are full seed 0, neither seed 0",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(project, by_name, arguments, message):
    names = [each.format(**{name: run.info.run_id for name, run in by_name.items()}) for each in arguments]
    result = project.run("ieast", "compare", *names, check=False)
    assert result.returncode == 2
    assert message in result.stderr


# -- what runs bring along -----------------------------------------------------------------------------------------------


def test_runs_have_few_columns_a_note_a_dataset_and_a_colour_of_their_own(by_name):
    variants = [by_name[name] for name in VARIANTS]
    for run in variants:
        assert len(run.data.params) <= 12
        assert not [name for name in run.data.metrics if name.endswith(("_low", "_high"))]
        assert "style_mismatch ↓" in run.data.tags[NOTE]
        assert run.inputs.dataset_inputs[0].dataset.name == "data"
        assert run.outputs.model_outputs
    assert len({run.data.tags[COLOUR] for run in variants}) == 2
    assert not by_name["parent"].data.metrics


def test_no_two_variants_and_seeds_share_a_colour():
    colours = [run_colour(variant, seed) for variant in range(12) for seed in range(4)]
    assert len(set(colours)) == len(colours)
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)


# -- in a browser --------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), scripts=True) as browser:
        browser.window(1920, 1000)
        yield browser


@pytest.fixture(scope="module")
def ui(browser, project, said, tmp_path_factory):  # no server is started where there is no browser
    """The port of MLflow's UI, as `make ui` starts it."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.ui, "MLFLOW_PORT", port)
        patch.setenv("MLFLOW_PORT", str(port))
        command, environment = pipelines.ui.mlflow_command(project.store)
        log = (tmp_path_factory.mktemp("ui") / "log").open("w")
        settings = {"env": environment, "cwd": project.folder, "start_new_session": True}
        with subprocess.Popen(command, stdout=log, stderr=log, **settings) as server:
            try:
                until(lambda: pipelines.ui._answers(port), "MLflow's UI answers")
                yield port
            finally:
                os.killpg(server.pid, signal.SIGKILL)  # in good order it would wait for the browser


@pytest.fixture(scope="module")
def links(said, ui):
    """The addresses that the last words name, by what they are for."""
    return {what: link.replace(":5000", f":{ui}") for what, link in re.findall(r"compare (\w+) +(http\S+)", said)}


def show(browser, link):
    browser.open("about:blank")  # else an address that differs after # loads nothing
    browser.open(link)


def test_the_printed_link_shows_variant_seed_and_six_scores_sorted(browser, links):
    show(browser, links["scores"])
    cells = """[...document.querySelectorAll('.ag-header-cell')]
        .map((one) => [one.getAttribute('col-id'), one.getBoundingClientRect().right])"""
    until(lambda: len(browser.ask(cells)) > 8, "the table is there")
    right = {re.sub(r"\w+\.`(.*)`", r"\1", name): place for name, place in browser.ask(cells)}
    width = browser.ask("document.querySelector('.ag-root').getBoundingClientRect().right")
    assert {name for name, place in right.items() if place <= width + 1} >= SHOWN | {"variant", "seed", "preference"}
    until(lambda: "Group: neither" in browser.text("body"), "the runs are grouped")
    text = browser.text("body")
    assert "Sort: style_mismatch" in text
    assert {"full seed 0", "neither seed 0"} <= set(text.splitlines())


def test_the_printed_link_lays_curves_of_both_variants_over_each_other(browser, links):
    show(browser, links["curves"])
    plots = "[...document.querySelectorAll('.js-plotly-plot')].map((plot) => plot.parentElement.innerText + plot.data.length)"
    until(lambda: len(browser.ask(plots)) > 3, "the charts are there")
    until(lambda: "full (train/content)" in browser.text("body"), "a legend is there")
    assert "neither (train/content)" in browser.text("body")


def test_the_printed_link_shows_the_same_pair_by_all_variants(browser, links, by_name):
    show(browser, links["pictures"])
    code = """[...document.querySelectorAll('img')].filter((one) => one.naturalWidth && one.src.includes('pairs%2Bstep%2B0'))
        .map((one) => new URL(one.src).searchParams.get('run_uuid'))"""
    until(lambda: len(browser.ask(code)) >= 2, "the pictures are there")
    assert set(browser.ask(code)) == {by_name[name].info.run_id for name in ("full", "neither")}


def test_the_first_page_leads_to_everything(browser, project, ui, by_name):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        mlflow_ui = f"http://127.0.0.1:{ui}"
        server = serve_landing(("127.0.0.1", 0), partial(landing_page, project.store, mlflow_ui, "http://127.0.0.1:1/zenml"))
        try:
            show(browser, f"http://127.0.0.1:{server.server_port}/")
            text = browser.text("body")
            assert by_name["parent"].info.run_name in text
            assert "none yet: make demo" in text  # no champion
            places = browser.ask("[...document.querySelectorAll('a')].map((one) => [one.innerText, one.href])")
            assert {"scores", "curves", "pictures", "models", "report", "MLflow", "ZenML"} <= {name for name, _ in places}
            with browser.loading():
                browser.ask("[...document.querySelectorAll('a')].find((one) => one.innerText == 'scores').click()")
            until(lambda: "Sort: style_mismatch" in browser.text("body"), "MLflow's table is there")
        finally:
            server.shutdown()


# -- ZenML ---------------------------------------------------------------------------------------------------------------


def test_the_dashboard_begins_without_a_survey(project, said):
    code = (
        "from pipelines.ui import skip_survey; skip_survey(); skip_survey()\n"
        "from zenml.client import Client; client = Client(); user = client.get_user(client.active_user.id)\n"
        "print(user.email_opted_in, user.user_metadata['finished_onboarding_survey'])"
    )
    assert project.run(sys.executable, "-c", code).stdout.splitlines()[-1] == "False True"


def test_a_dead_zenml_server_is_seen_at_once(tmp_path):
    environment = os.environ | {
        "ZENML_CONFIG_PATH": str(tmp_path),
        "ZENML_STORE_URL": f"http://127.0.0.1:{free_port()}",
        "ZENML_STORE_TYPE": "rest",
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    for name in ("ZENML_REPOSITORY_PATH", "ZENML_ACTIVE_STACK_ID"):
        environment.pop(name, None)
    result = run_warm([sys.executable, "-m", "pipelines.stack"], tmp_path, environment)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("the ZenML server at http://127.0.0.1:")
    assert "`zenml login --local --restart` starts it again" in result.stderr
    assert "Traceback" not in result.stderr
