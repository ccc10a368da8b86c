"""`ieast promote`, `rollback` and `models`, on a real MLflow, a real DVC repository and real models."""

import functools
import io
import os
import re
import shlex
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from helpers.configurations import QUICKSTART, merge
from helpers.datasets import draw_dataset
from helpers.dvc_repositories import git, new_repository, record
from helpers.registries import Registry
from helpers.warm_processes import run_warm
from typer.testing import CliRunner

from ieast.checkpoint import save_model
from ieast.cli.main import app, main
from ieast.config import PromotionConfig
from ieast.errors import ConfigError, IeastError
from ieast.installation import install_with
from ieast.models.pretrained import MODELS
from ieast.registry.gate import whoami
from ieast.registry.store import STORE, note_store


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def sources(registry, tmp_path_factory, stylizer):
    """The shipped model, and a worse one: random."""
    folder = tmp_path_factory.mktemp("random") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={})
    return {"good": registry.log(MODELS["ieast"], "good"), "bad": registry.log(folder, "bad")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, environment):
    """A repository whose data have a version `data-v1`, and its digest."""
    repository = new_repository(tmp_path_factory.mktemp("data") / "repository")
    draw_dataset(repository / "data", 4, 4)
    digest = record(repository, "data")
    git(repository, "tag", "data-v1")
    return repository, digest


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def config(dataset, work, tmp_path):
    """A function that writes a configuration with these thresholds; the file is small.yaml."""

    def write(*thresholds):
        document = yaml.safe_load(QUICKSTART.read_text())
        changes = {
            "work_folder": str(work),
            "data": {"repository": str(dataset[0]), "revision": "data-v1"},
            "prepare": {"size": 48, "min_side": 16, "held_out": 0},
            "training": {"crop": 32},
            "model": {"discriminator_scales": 1},
            "evaluation": {"size": 48, "pairs": 3, "grid_contents": 1, "grid_styles": 1},
            "promotion": {"thresholds": list(thresholds)},
        }
        config = {section: {} for section in changes} | document["parameters"]["config"]
        document["parameters"]["config"] = merge(config, changes)
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


NO_WORSE = {"metric": "content_distance", "relative_to_champion": 1.0}


@pytest.fixture(autouse=True)
def wide(monkeypatch, registry):
    monkeypatch.setenv("COLUMNS", "200")
    mlflow.set_tracking_uri(registry.uri)


def ieast(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeeds(*arguments):
    result = ieast(*arguments)
    assert result.exception is None, result.output + repr(result.exception)
    return result.output


def refusal(*arguments):
    result = ieast(*arguments)
    assert isinstance(result.exception, IeastError), result.output + repr(result.exception)
    return str(result.exception)


def test_the_first_model_is_promoted_with_its_scores_and_the_data(registry, sources, config, dataset):
    registry.add("first", sources["good"])
    path = config({"metric": "content_distance", "at_most": 1e6})
    said = succeeds("promote", "first", "1", "-c", path)
    assert registry.aliases("first") == {"champion": "1"}
    tags = registry.tags("first", "1")
    assert f"data      {dataset[1]} (data-v1)" in said
    assert "first version 1\n" in said
    score = next(line for line in said.splitlines() if "content_distance" in line)
    assert f"{float(tags['gate.score.content_distance']):.4f}" in score
    assert "\n  there is no champion yet\npromoted: version 1 is champion\n" in said
    assert f"model     models:/first/1 in {registry.uri}\nrecord    ieast models first\n" in said
    assert (tags["gate.data.md5"], tags["gate.data.revision"]) == (dataset[1], "data-v1")
    assert tags["gate.run"] == f"ieast promote -c {path}"


def test_a_better_model_takes_the_place_of_a_worse_one_and_not_the_other_way_round(registry, sources, config):
    registry.add("two", sources["bad"], sources["good"])
    registry.client.set_registered_model_alias("two", "champion", "1")
    result = ieast("promote", "two", "2", "-c", config(NO_WORSE))
    assert (result.exit_code, registry.champion("two")) == (0, "2")
    assert "two version 2 against champion 1" in result.output
    result = ieast("promote", "two", "1", "-c", config(NO_WORSE))
    assert (result.exit_code, registry.champion("two")) == (3, "2")
    assert "x the champion's" in result.output
    assert "asked: fails\nkept: the champion stays\n" in result.output
    assert registry.tags("two", "1")["gate.decision"] == "kept"


def asked(number, path, answers):
    return CliRunner().invoke(app, ["promote", "asked", number, "-c", str(path), "--ask"], input=answers)


def test_what_the_gate_lets_through_waits_for_a_person_who_is_recorded(registry, sources, config):
    registry.add("asked", sources["bad"], sources["good"])
    registry.client.set_registered_model_alias("asked", "champion", "1")
    nobody = asked("2", config(NO_WORSE), "")
    assert isinstance(nobody.exception, ConfigError)
    assert "nobody answered, so nothing was changed" in str(nobody.exception)
    assert "gate.decision" not in registry.tags("asked", "2")
    refused = asked("2", config(NO_WORSE), "n\nhalos in skies\n")
    assert (refused.exit_code, registry.champion("asked")) == (3, "1")
    assert registry.tags("asked", "2")["gate.reasons"].splitlines()[-1] == f"{whoami()} refuses: halos in skies"
    agreed = asked("2", config(NO_WORSE), "y\ncalmer\n")
    assert (agreed.exit_code, registry.champion("asked")) == (0, "2")
    assert registry.tags("asked", "2")["gate.reasons"].splitlines()[-1] == f"{whoami()} agrees: calmer"
    kept = asked("1", config(NO_WORSE), "")  # whom the gate does not let through nobody is asked about
    assert (kept.exit_code, registry.champion("asked")) == (3, "2")


def test_a_tie_keeps_the_champion(registry, sources, config):
    registry.add("tie", sources["good"], sources["good"])
    registry.client.set_registered_model_alias("tie", "champion", "1")
    result = ieast("promote", "tie", "2", "-c", config(NO_WORSE))
    assert (result.exit_code, registry.champion("tie")) == (3, "1")
    assert "no compared metric is better than the champion's, so the champion stays" in result.output


@pytest.mark.parametrize(("order", "code", "says"), [("bg", 0, "would be promoted"), ("gb", 3, "would not be promoted")])
def test_a_dry_run_decides_and_changes_nothing(registry, sources, config, order, code, says):
    name = f"dry {order}"
    registry.add(name, *[sources["good" if letter == "g" else "bad"] for letter in order])
    registry.client.set_registered_model_alias(name, "champion", "1")
    before = registry.aliases(name), registry.tags(name, "2"), registry.client.get_registered_model(name).tags
    result = ieast("promote", name, "2", "-c", config(NO_WORSE), "--dry-run")
    assert result.exit_code == code, result.output
    assert f"version 2 {says}; nothing was changed" in result.output
    assert before == (registry.aliases(name), registry.tags(name, "2"), registry.client.get_registered_model(name).tags)


def test_a_threshold_on_a_score_that_nobody_computes_keeps_even_the_first_model_out(registry, sources, config):
    registry.add("missing", sources["good"])
    result = ieast("promote", "missing", "1", "-c", config({"metric": "temporal_lpips_alex", "at_most": 1}))
    assert result.exit_code == 3
    assert re.search(r"temporal_lpips_alex: the candidate has no such score; there are cfsd, .*style_distance", result.output)
    assert "kept: there is still no champion" in result.output
    assert registry.aliases("missing") == {"challenger": "1"}


def test_an_unloadable_champion_stays_and_force_replaces_it(registry, sources, config):
    registry.add("unloadable", (registry.folder / "gone").as_uri(), sources["good"])
    registry.client.set_registered_model_alias("unloadable", "champion", "1")
    result = ieast("promote", "unloadable", "2", "-c", config({"metric": "content_distance", "at_most": 1e6}))
    assert (result.exit_code, registry.champion("unloadable")) == (3, "1")
    assert "`ieast promote unloadable 2 --force --reason TEXT`" in result.output
    said = succeeds("promote", "unloadable", "2", "--force", "--reason", "the champion is lost")
    assert said.startswith("version 2 of unloadable is champion, instead of version 1; the gate was not asked\n")
    tags = registry.tags("unloadable", "2")
    assert (tags["gate.decision"], tags["gate.reasons"]) == ("forced", "the champion is lost")
    assert "cannot be fetched" in refusal("rollback", "unloadable")


def test_options_that_do_not_go_together_are_refused(registry, sources, config):
    registry.add("options", sources["good"])
    path = config(NO_WORSE)
    assert refusal("promote", "options", "1").startswith("say with --config FILE what the gate asks")
    assert refusal("promote", "options", "1", "--force") == "--force needs --reason TEXT, which is recorded with your name"
    assert refusal("promote", "options", "1", "--force", "--reason", " ").startswith("--force needs --reason TEXT")
    assert refusal("promote", "options", "1", "--reason", "x").startswith("--reason goes with --force")
    for more in (["-c", path], ["--dry-run"]):
        assert refusal("promote", "options", "1", "--force", "--reason", "x", *more).startswith("--force promotes without")
    assert "there is no configuration file" in refusal("promote", "options", "1", "-c", "nowhere.yaml")
    assert registry.aliases("options") == {"challenger": "1"}


def test_an_unknown_model_or_version_is_refused_before_data_are_read(registry, sources, config, work):
    registry.add("known", sources["good"])
    path = config(NO_WORSE)
    document = yaml.safe_load(path.read_text())
    document["parameters"]["config"]["data"]["revision"] = "no-such-revision"
    path.write_text(yaml.safe_dump(document))
    assert refusal("promote", "known", "7", "-c", path) == "known has no version 7; it has 1"
    assert refusal("promote", "knwon", "1", "-c", path).startswith("there is no registered model knwon; there are ")
    assert "no-such-revision" in refusal("promote", "known", "1", "-c", path)


def test_rollback_says_who_is_champion_again_and_goes_further_back(registry, sources):
    registry.add("back", *[sources["good"]] * 3)
    for version in ("1", "2", "3"):
        succeeds("promote", "back", version, "--force", "--reason", "a story")
    said = succeeds("rollback", "back", "--reason", "flicker")
    assert said.startswith("version 2 of back is champion again, instead of version 3\nmodel     models:/back/2 in sqlite:")
    assert registry.tags("back", "3")["rollback.reason"] == "flicker"
    succeeds("rollback", "back", "--to", "1")
    assert registry.champion("back") == "1"
    assert "none was before it" in refusal("rollback", "back")


def test_models_shows_versions_with_aliases_scores_and_decisions(registry, sources, config, dataset):
    tags = {"method": "sanet", "encoder": "vgg19-compact", "data.md5": "0123456789.dir"}
    registry.add("shown", sources["good"], sources["good"], **tags, **{"score.style_distance": "9.5", "score.t_inputs": "1"})
    succeeds("promote", "shown", "1", "-c", config({"metric": "content_distance", "at_most": 1e6}))
    succeeds("promote", "shown", "2", "--force", "--reason", "a story")
    succeeds("rollback", "shown")
    said = succeeds("models", "shown")
    cells = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if "│ shown" in line]
    second, first = cells
    assert second[1:8] == ["shown", "2", "", "sanet", "style_distance 9.5", "forced, rolled back to 1", "01234567"]
    assert first[1:5] == ["shown", "1", "champion", "sanet"]
    assert first[6] == "promoted"
    assert said.count("vgg19-compact") == 2
    assert f"content_distance {registry.tags('shown', '1')['gate.score.content_distance']}" in said
    assert "t_inputs" not in said
    assert "two" not in said


def test_models_as_csv_holds_everything(registry, sources):
    registry.add("plain", sources["good"], **{"score.style_distance": "9.5", "note": "with, comma"})
    registry.add("quoted's", sources["good"])
    table = pd.read_csv(io.StringIO(succeeds("models", "--csv")), dtype=str, keep_default_na=False)
    assert list(table.columns[:5]) == ["name", "version", "aliases", "created", "run"]
    row = table[table["name"] == "plain"].iloc[0]
    assert (row["version"], row["aliases"], row["score.style_distance"]) == ("1", "challenger", "9.5")
    assert row["note"] == "with, comma"
    assert (table["name"] == "quoted's").sum() == 1
    assert succeeds("models", "quoted's", "--csv").count("\n") == 2


def test_many_versions_are_all_listed(registry, monkeypatch, sources):
    small_pages = functools.partialmethod(mlflow.MlflowClient.search_model_versions, max_results=2)
    monkeypatch.setattr(mlflow.MlflowClient, "search_model_versions", small_pages)
    registry.add("many", *[sources["good"]] * 3)
    assert [line.split(",")[1] for line in succeeds("models", "many", "--csv").splitlines()] == ["version", "3", "2", "1"]


def test_an_empty_registry_says_what_fills_it(registry, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(registry.empty)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    assert refusal("models") == (
        "the registry holds no model version yet; a run of the training pipeline registers one. If there should be one, set "
        "MLFLOW_TRACKING_URI to the store that holds it"
    )
    for command in (["models", "ieast"], ["rollback", "ieast"], ["promote", "ieast", "1", "--force", "--reason", "x"]):
        assert refusal(*command).startswith("there is no registered model ieast; there are none. ")
        assert "MLFLOW_TRACKING_URI" in refusal(*command)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://user:secret@127.0.0.1:9", "http://127.0.0.1:9"),
        ("postgresql://user:secret@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db"),
        ("nonsense://user:secret@host", "nonsense://host"),
    ],
)
def test_a_registry_that_cannot_be_reached_is_named_without_its_password(uri, says, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(uri)
    for command in (["models"], ["rollback", "ieast"], ["promote", "ieast", "1", "--force", "--reason", "x"]):
        said = refusal(*command)
        assert f" failed in MLflow at {says}: " in said
        assert "Set MLFLOW_TRACKING_URI to the store that holds the models" in said
        assert "secret" not in said


def test_a_database_that_is_none_is_said_so(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database at all, but long enough to be looked at as one\n" * 99)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    assert f"{tmp_path}/mlflow.db: the file is not an SQLite database. Set MLFLOW_TRACKING_URI" in refusal("models")


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/typo.db")
    for command in (["models"], ["stylize", "photo.jpg", "style.jpg", "-o", "x.png", "--model", "models:/ieast@champion"]):
        for name in ("photo.jpg", "style.jpg"):
            Path(tmp_path / name).touch()
        said = refusal(*(str(tmp_path / word) if word.endswith(".jpg") else word for word in command))
        assert said.startswith(f"there is no MLflow store sqlite:///{tmp_path}/typo.db: the file does not exist. Set MLFLOW_TR")
    assert not (tmp_path / "typo.db").exists()


def run(folder, *arguments, **environment):
    """In a process of its own, since MLflow keeps what it was told."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [sys.executable, "-c", "from ieast.cli.main import main; main()", *arguments]
    return run_warm(command, folder, inherited | environment)


def test_the_store_of_the_last_pipeline_run_is_found_and_a_variable_goes_before_it(registry, sources, tmp_path):
    registry.add("noted", sources["good"])
    note_store(tmp_path / ".work")
    assert "noted" in run(tmp_path, "models", "noted").stdout
    other = run(tmp_path, "models", MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/other.db")
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr.startswith(f"ieast: there is no MLflow store sqlite:///{tmp_path}/other.db")


def test_without_any_store_nothing_is_made_and_the_error_says_what_to_set(tmp_path):
    result = run(tmp_path, "models")
    assert result.returncode == 2
    assert "Set MLFLOW_TRACKING_URI to the store" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_with_a_password_is_not_written_down(registry, tmp_path):
    note_store(tmp_path)
    assert (tmp_path / STORE).read_text() == registry.uri + "\n"
    mlflow.set_tracking_uri("postgresql://user:secret@host/db")
    note_store(tmp_path)
    assert not (tmp_path / STORE).exists()


def test_without_mlflow_the_commands_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for command in (["models"], ["rollback", "ieast"], ["promote", "ieast", "1", "--force", "--reason", "x"]):
        assert refusal(*command) == f"ieast {command[0]} needs MLflow, which is not installed: {install_with('pipelines')}"


def test_the_gate_says_no_with_exit_code_3_and_errors_are_2(registry, sources, config, monkeypatch, capsys):
    registry.add("codes", sources["good"])
    path = config({"metric": "content_distance", "at_most": 0})
    for version, code, says in (
        ("1", 3, "kept: there is still no champion"),
        ("2", 2, "codes has no version 2; it has 1"),
    ):
        monkeypatch.setattr(sys, "argv", ["ieast", "promote", "codes", version, "-c", str(path)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == code
        assert says in "".join(capsys.readouterr())


README = (QUICKSTART.parents[1] / "README.md").read_text()
SECTION = README[README.index("### Promote") : README.index("### Work without")]


def test_the_readmes_commands_on_the_registry_work_as_they_stand(registry, sources, config):
    registry.add("ieast", sources["bad"], sources["good"])
    registry.client.set_registered_model_alias("ieast", "champion", "1")
    path = config(NO_WORSE)
    commands = re.findall(r"`ieast ([^`]+ [^`]*|models)`", SECTION)
    assert {command.split()[0] for command in commands} == {"models", "promote", "rollback"}
    # A promotion needs someone else as champion, and a way back a way there.
    again = {command for command in commands if "--force" in command or "--ask" in command}
    for command in sorted(commands, key=lambda command: ("rollback" in command, command in again, "--dry" not in command)):
        if command in again:
            succeeds("rollback", "ieast")
        words = [str(path) if word == "configs/quickstart.yaml" else word for word in shlex.split(command)]
        result = CliRunner().invoke(app, words, input="y\ncalmer\n")
        assert result.exception is None, result.output + repr(result.exception)


def test_the_readmes_thresholds_are_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    thresholds = PromotionConfig.model_validate(yaml.safe_load(block)["promotion"]).thresholds
    assert [threshold.metric for threshold in thresholds] == ["style_mismatch", "content_distance", "content_ssim"]
